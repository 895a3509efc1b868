import io
import json
import tarfile

import numpy as np
import pytest
import soundfile
from shard_sets import serving, sleepless, write_speech

from asr.data.shards.corpus import ShardCorpus
from asr.data.shards.foreign import NemoLayout, WebDatasetLayout, expand, index_tars
from asr.data.shards.streams import Patience, ShardError

LONG = "folder/" + "long" * 30


@pytest.fixture
def speech(tmp_path, rng):
    """The files of four recordings."""
    write_speech(tmp_path, rng, 4)
    return tmp_path


def write_tar(path, files):
    with tarfile.open(path, "w") as tar:  # pax, as most programs write
        for name, content in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))


def wav(speech, number):
    return (speech / f"u{number}.wav").read_bytes()


@pytest.fixture
def samples(speech):
    """Two tars as WebDataset has them: texts in .txt, in .json, and names of any length."""
    write_tar(
        speech / "shard-000000.tar",
        {
            "a/one.wav": wav(speech, 0),
            "a/one.txt": b"hello world\n",
            f"{LONG}.json": json.dumps({"text": "two", "speaker": "s1", "duration": 99}).encode(),
            f"{LONG}.wav": wav(speech, 1),
        },
    )
    write_tar(
        speech / "shard-000001.tar",
        {
            "three.txt": "ünï".encode(),
            "three.wav": wav(speech, 2),
            "four.wav": wav(speech, 3),
            "five.txt": b"no audio",
            "six.wav": b"RIFF",
            "six.txt": b"broken",
        },
    )
    return expand(str(speech / "shard-{000000..000001}.tar"))


def check_samples(folder, headers):
    utterances = ShardCorpus(str(folder)).utterances(0)
    assert [(u.id, u.text, u.duration) for u in utterances] == [
        ("a/one", "hello world", 0.2),
        (LONG, "two", 0.3),
        ("three", "ünï", 0.4),
    ]
    assert utterances[1].extra["speaker"] == "s1"
    rejected = {item["id"]: item["reason"] for header in headers for item in header.rejected}
    assert set(rejected) == {"four", "five", "six"}
    assert rejected["four"] == "has no .txt, and no 'text' in a .json"
    assert rejected["five"] == "a sample must have one audio file, got txt"
    assert "six.wav: cannot be decoded" in rejected["six"]
    return utterances


@pytest.mark.parametrize("folder", ["index", "."])
def test_tars_of_webdataset_are_indexed_where_they_lie(speech, samples, folder):
    headers = index_tars(samples, speech / folder, WebDatasetLayout(), Patience())

    utterances = check_samples(speech / folder, headers)

    for number, utterance in enumerate(utterances):
        expected, _ = soundfile.read(speech / f"u{number}.wav", dtype="float32")
        np.testing.assert_array_equal(utterance.waveform(16000), expected)
    absolute = folder != "."
    assert [header.tar.startswith("/") for header in headers] == [absolute, absolute]


def test_tars_of_a_server_are_indexed_in_one_answer_each(speech, samples, monkeypatch):
    sleepless(monkeypatch)
    with serving(speech) as server:
        tars = expand(server.url + "/shard-{000000..000001}.tar")
        headers = index_tars(tars, speech / "index", WebDatasetLayout(), Patience())

        assert len(server.requests) == 2
        utterances = check_samples(speech / "index", headers)
        expected, _ = soundfile.read(speech / "u1.wav", dtype="float32")
        np.testing.assert_array_equal(utterances[1].waveform(16000), expected)


def test_indexing_goes_on_where_it_was(speech, samples):
    index_tars(samples, speech / "index", WebDatasetLayout(), Patience())
    kept = (speech / "index/shard-000000.jsonl").stat().st_mtime_ns
    (speech / "index/shards.json").unlink()

    headers = index_tars(samples, speech / "index", WebDatasetLayout(), Patience())

    assert (speech / "index/shard-000000.jsonl").stat().st_mtime_ns == kept
    check_samples(speech / "index", headers)


def test_the_index_of_other_tars_is_not_written_over(speech, samples):
    index_tars(samples, speech / "index", WebDatasetLayout(), Patience())

    with pytest.raises(ShardError, match="is the index of another tar"):
        index_tars(samples[1:], speech / "index", WebDatasetLayout(), Patience())


def test_a_truncated_tar_is_indexed_up_to_the_cut_and_named(speech, samples):
    path = speech / "shard-000000.tar"
    path.write_bytes(path.read_bytes()[:9000])

    headers = index_tars(samples, speech / "index", WebDatasetLayout(), Patience())

    assert [u.id for u in ShardCorpus(str(speech / "index")).utterances(0)] == ["a/one", "three"]
    assert headers[0].rejected[-1]["id"] == str(path)
    assert "the tar is damaged or cut short" in headers[0].rejected[-1]["reason"]


def test_a_missing_tar_is_refused(speech, samples):
    (speech / "shard-000001.tar").unlink()

    with pytest.raises(ShardError, match=r"shard-000001.tar: no such file"):
        index_tars(samples, speech / "index", WebDatasetLayout(), Patience())


def test_a_file_that_is_no_tar_is_refused(speech):
    (speech / "x.tar").write_bytes(b"RIFF" * 1000)

    with pytest.raises(ShardError, match=r"x.tar: is no tar: "):
        index_tars([str(speech / "x.tar")], speech / "index", WebDatasetLayout(), Patience())


def test_tars_without_an_utterance_are_refused(speech):
    write_tar(speech / "x.tar", {"x.txt": b"text"})

    with pytest.raises(ShardError, match=r"x.tar: not one utterance was found in 1 tars"):
        index_tars([str(speech / "x.tar")], speech / "index", WebDatasetLayout(), Patience())


def nemo(speech, *entries):
    path = speech / "tarred_audio_manifest.json"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return NemoLayout([str(path)], Patience())


def entry(name, **changes):
    values = {"audio_filepath": name, "duration": 0.2, "text": "hello", "shard_id": 0}
    return values | changes


def test_tars_of_nemo_are_indexed_by_their_manifest(speech):
    for number in (0, 1):
        write_tar(
            speech / f"audio_{number}.tar",
            {f"u{n}.wav": wav(speech, n) for n in range(2 * number, 2 * number + 2)},
        )
    layout = nemo(
        speech,
        entry("u0.wav"),
        entry("u1.wav", offset=0.1),
        entry("u2.wav", text="there", speaker="s0", shard_id=1),
        entry("u9.wav"),
    )
    tars = expand(str(speech / "audio__OP_0..1_CL_.tar"))

    headers = index_tars(tars, speech / "index", layout, Patience())

    utterances = ShardCorpus(str(speech / "index")).utterances(0)
    assert [(u.id, u.text) for u in utterances] == [("u0", "hello"), ("u2", "there")]
    assert utterances[1].extra == {"id": "u2", "speaker": "s0", "shard_id": 1}
    expected, _ = soundfile.read(speech / "u2.wav", dtype="float32")
    np.testing.assert_array_equal(utterances[1].waveform(16000), expected)
    assert {item["id"]: item["reason"] for header in headers for item in header.rejected} == {
        "u1.wav": "is a part of a recording (offset): `asr prepare nemo` cuts it",
        "u3.wav": "no entry of the manifest names it",
    }
    assert [item.id for item in layout.missing(speech / "index")] == ["u9"]


@pytest.mark.parametrize(
    ("line", "message"),
    [("{", ":1: is no entry of NeMo's"), ("[]", "a JSON object"), ("{}", "'audio_filepath'")],
)
def test_a_nemo_manifest_that_is_none_is_refused(speech, line, message):
    (speech / "m.json").write_text(line)

    with pytest.raises(ShardError, match=message):
        NemoLayout([str(speech / "m.json")], Patience())


def test_a_name_that_a_nemo_manifest_has_twice_is_refused(speech):
    with pytest.raises(ShardError, match=r":2: 'b/u0.wav' is there twice"):
        nemo(speech, entry("a/u0.wav"), entry("b/u0.wav"))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.tar", ["a.tar"]),
        ("s-{008..010}.tar", ["s-008.tar", "s-009.tar", "s-010.tar"]),
        ("s-{8..10}.tar", ["s-8.tar", "s-9.tar", "s-10.tar"]),
        ("{a,b}/{0..1}.tar", ["a/0.tar", "a/1.tar", "b/0.tar", "b/1.tar"]),
        ("audio__OP_0..2_CL_.tar", ["audio_0.tar", "audio_1.tar", "audio_2.tar"]),
    ],
)
def test_patterns_are_written_out(pattern, expected):
    assert expand(pattern) == expected


def test_a_range_that_goes_backwards_is_refused():
    with pytest.raises(ValueError, match=r"a range must go upwards, got \{3..1\}"):
        expand("s-{3..1}.tar")
