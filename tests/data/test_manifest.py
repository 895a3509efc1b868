import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio import AudioError
from asr.data.manifest import ManifestError, Utterance, read_manifest, write_manifest

GOOD = {"audio_filepath": "clips/a.wav", "duration": 1.5, "text": "hello"}


def write_lines(path, *records):
    lines = [item if isinstance(item, str) else json.dumps(item) for item in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_read_manifest_resolves_paths_and_keeps_further_keys(tmp_path):
    path = write_lines(tmp_path / "train.jsonl", GOOD | {"id": "u1", "speaker": "s", "age": 6})

    assert read_manifest(path) == [
        Utterance(
            tmp_path / "clips" / "a.wav", 1.5, "hello", {"id": "u1", "speaker": "s", "age": 6}
        )
    ]


def test_read_manifest_accepts_absolute_paths_blank_lines_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "train.jsonl"
    record = GOOD | {"audio_filepath": "/elsewhere/b.flac"}
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(record).encode() + b"\r\n\r\n\n")

    assert read_manifest(path)[0].audio_filepath == Path("/elsewhere/b.flac")


def test_utterance_id_falls_back_to_the_file_name():
    assert Utterance(Path("clips/a.b.wav"), 1.0, "").id == "a.b"
    assert Utterance(Path("clips/a.wav"), 1.0, "", {"id": "x"}).id == "x"
    assert Utterance(Path("clips/a.wav"), 1.0, "", {"id": 7}).id == "7"


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("{'audio_filepath': 1}", "is not JSON"),
        ('{"audio_filepath": "a.wav", "dura', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1, 2]", "must be a JSON object, got a list"),
        ("null", "must be a JSON object, got null"),
        ({"audio_filepath": "a.wav", "duration": 1}, "lacks the key 'text'"),
        ({"text": "a"}, "lacks the key 'audio_filepath' and 'duration'"),
        (GOOD | {"text": None}, "'text' must be a string, got null"),
        (GOOD | {"text": ["a"]}, "'text' must be a string, got a list"),
        (GOOD | {"duration": "1.5"}, "'duration' must be a number of seconds, got a string"),
        (GOOD | {"duration": True}, "'duration' must be a number of seconds, got a boolean"),
        (GOOD | {"duration": -1.5}, "'duration' must be > 0 .* got -1.5"),
        (GOOD | {"duration": 0}, "'duration' must be > 0 .* got 0"),
        (GOOD | {"duration": 10**400}, "'duration' must be > 0 and < 1e\\+09 seconds"),
        ('{"audio_filepath": "a.wav", "duration": NaN, "text": ""}', "'duration' .* got nan"),
        ('{"audio_filepath": "a.wav", "duration": Infinity, "text": ""}', "'duration' .* got inf"),
        (GOOD | {"audio_filepath": 3}, "'audio_filepath' must be a string, got the number 3"),
        (GOOD | {"audio_filepath": ""}, "'audio_filepath' must name a file"),
        (GOOD | {"audio_filepath": "a\0.wav"}, "'audio_filepath' must name a file"),
        (GOOD | {"audio_filepath": "../b/a.wav"}, "must stay inside the manifest's folder"),
        (GOOD | {"audio_filepath": "x/../../a.wav"}, "got 'x/../../a.wav'"),
        (GOOD | {"id": ["a"]}, "'id' must be a string, got a list"),
        (GOOD | {"id": "\ud800"}, r"'id' must hold no control characters, got U\+D800"),
        (GOOD | {"text": "a\x1b[2J"}, r"'text' must hold no control characters, got U\+001B"),
        (GOOD | {"offset": 2.5}, "'offset' is not supported"),
        (GOOD | {"id": "first"}, "id 'first' is on line 1 already"),
    ],
)
def test_read_manifest_names_file_line_and_rule(tmp_path, line, rule):
    path = write_lines(tmp_path / "train.jsonl", GOOD | {"id": "first"}, line)

    with pytest.raises(ManifestError, match=rule) as caught:
        read_manifest(path)

    assert str(caught.value).startswith(f"{path}:2: ")
    assert "\n" not in str(caught.value)


def test_read_manifest_refuses_bytes_that_are_not_utf8(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_bytes(b'{"audio_filepath": "a.wav", "duration": 1, "text": "caf\xe9"}\n')

    with pytest.raises(ManifestError, match=r":1: is not UTF-8 at byte 55"):
        read_manifest(path)


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_read_manifest_refuses_what_is_no_file(tmp_path, kind):
    path = tmp_path if kind == "folder" else tmp_path / "train.jsonl"
    if kind == "pipe":
        os.mkfifo(path)

    with pytest.raises(ManifestError, match=r"cannot be read|is not a regular file"):
        read_manifest(path)


def test_write_manifest_names_audio_relative_only_below_its_folder(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    inside = Utterance(out / "clips" / "a.wav", 1.0, "a")
    outside = Utterance(tmp_path / "outer" / "b.wav", 1.0, "b")

    write_manifest(out / "train.jsonl", [inside, outside])

    lines = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    assert [line["audio_filepath"] for line in lines] == [
        "clips/a.wav",
        str(tmp_path / "outer" / "b.wav"),
    ]


names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1).filter(
    lambda name: name not in {".", ".."}
)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], include_characters="\t\n"))
values = st.one_of(st.text(st.characters(codec="utf-8")), st.integers(), st.booleans(), st.none())
extras = st.dictionaries(
    st.text(st.characters(codec="utf-8")).filter(
        lambda key: key not in {"audio_filepath", "duration", "text", "id", "offset"}
    ),
    values,
    max_size=3,
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(names, st.integers(1, 10**9), texts, extras),
        max_size=5,
        unique_by=lambda item: item[0],
    )
)
def test_write_manifest_then_read_manifest_gives_the_same(tmp_path_factory, items):
    folder = tmp_path_factory.mktemp("manifest")
    utterances = [
        Utterance(folder / "clips" / name, micros / 1e6, text, extra | {"id": f"{index}"})
        for index, (name, micros, text, extra) in enumerate(items)
    ]

    write_manifest(folder / "m.jsonl", utterances)

    assert read_manifest(folder / "m.jsonl") == utterances


def test_utterances_without_id_are_named_after_their_paths(tmp_path):
    places = ["anna/001.wav", "bert/001.wav", "bert/002.v2.flac"]
    path = write_lines(tmp_path / "m.jsonl", *(GOOD | {"audio_filepath": p} for p in places))

    ids = [utterance.id for utterance in read_manifest(path)]

    assert ids == ["anna/001", "bert/001", "bert/002.v2"]


def test_utterances_elsewhere_are_named_below_the_folder_that_they_share(tmp_path):
    places = ["/data/x/anna/1.wav", "/data/x/bert/1.wav"]
    named = GOOD | {"audio_filepath": "/elsewhere/a.wav", "id": "mine"}
    records = [named, *(GOOD | {"audio_filepath": p} for p in places)]
    path = write_lines(tmp_path / "m.jsonl", *records)

    assert [utterance.id for utterance in read_manifest(path)] == ["mine", "anna/1", "bert/1"]


def test_names_that_are_not_utf8_are_read_and_written_with_an_id_that_is(tmp_path):
    name = os.fsdecode(b"caf\xe9\x1b[2J")
    path = write_lines(tmp_path / "m.jsonl", GOOD | {"audio_filepath": f"{name}.wav"})

    (utterance,) = read_manifest(path)
    write_manifest(tmp_path / "copy.jsonl", [utterance])

    assert utterance.id == r"caf\udce9\x1b[2J"
    assert utterance.audio_filepath == tmp_path / f"{name}.wav"
    assert read_manifest(tmp_path / "copy.jsonl") == [utterance]


@pytest.mark.parametrize(
    ("utterances", "rule"),
    [
        (
            [Utterance(Path("/a.wav"), 1.0, ""), Utterance(Path("/b/a.wav"), 1.0, "")],
            "occurs twice",
        ),
        ([Utterance(Path("/a.wav"), 0.0, "")], "'duration' must be > 0"),
        ([Utterance(Path("/a.wav"), 1.0, "", {"text": "b"})], "'extra' must not hold 'text'"),
        ([Utterance(Path("/a.wav"), 1.0, "", {"x": object()})], "utterance 'a'"),
    ],
)
def test_write_manifest_refuses_what_could_not_be_read_back(tmp_path, utterances, rule):
    (tmp_path / "m.jsonl").write_text("kept\n")

    with pytest.raises(ManifestError, match=rule):
        write_manifest(tmp_path / "m.jsonl", utterances)

    assert (tmp_path / "m.jsonl").read_text() == "kept\n"
    assert [item.name for item in tmp_path.iterdir()] == ["m.jsonl"]


@pytest.mark.parametrize(
    ("name", "count", "minutes"),
    [
        ("fsdd/train", 1600, 11.03),
        ("librispeech-mini/test_other", 50, 6.80),
        ("speech-commands-mini/background", 100, 1.67),
        ("noise/noise", 80, 6.67),
    ],
)
def test_read_manifest_reads_real_manifests(real_speech, name, count, minutes):
    utterances = read_manifest(real_speech / f"{name}.jsonl")

    assert len(utterances) == count
    assert sum(item.duration for item in utterances) / 60 == pytest.approx(minutes, abs=0.005)


def test_audio_much_longer_than_its_manifest_says_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(16000 * 4), 16000)

    assert len(Utterance(tmp_path / "a.wav", 3.0, "a").waveform(16000)) == 64000
    with pytest.raises(AudioError, match=r"a\.wav: lasts 4\.000 s, maximum 3 s"):
        Utterance(tmp_path / "a.wav", 1.0, "a").waveform(16000)
