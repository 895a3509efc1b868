"""Long recordings cut by STM, TextGrids, subtitles and NeMo's offsets: what goes wrong, by line."""

import json

import numpy as np
import pytest
import soundfile

from asr.audio import read_audio, read_segment
from asr.corpora.layouts import UnusableError
from asr.corpora.textgrids import read_utterances
from asr.data.manifest import read_manifest
from asr.text import TextNormalizer
from asr.text.alphabet import ENGLISH
from tests.corpora.layout_makers import (
    SHORT_TEXTGRID,
    TEXTGRID,
    long_recording,
    make_subtitles,
    make_textgrid,
    speech,
    write_speech,
)
from tests.corpus_files import run, write_text


@pytest.fixture
def source(tmp_path):
    long_recording(tmp_path / "source" / "talk.wav")
    return tmp_path / "source"


def details(report):
    found = [(reason, e) for reason, item in report.rejected.items() for e in item.examples]
    return sorted(found)


def everything(out):
    names = json.loads((out / "report.json").read_text())["splits"]
    return {u.id: u for name in names for u in read_manifest(out / f"{name}.jsonl")}


@pytest.mark.parametrize(
    ("ending", "subtype"),
    [
        ("wav", "PCM_16"),
        ("flac", "PCM_16"),
        ("ogg", "VORBIS"),
        ("opus", "OPUS"),
        ("mp3", "MPEG_LAYER_III"),
    ],
)
def test_a_segment_is_what_the_whole_file_holds_there(tmp_path, ending, subtype):
    path = tmp_path / f"a.{ending}"
    kind = {"opus": "OGG"}.get(ending, ending.upper())
    soundfile.write(path, speech(0, 5.0), 16000, format=kind, subtype=subtype)
    whole = read_audio(path).waveform

    for start, stop in ((0, 1600), (12345, 45678), (70000, len(whole))):
        part = read_segment(path, start / 16000, stop / 16000).waveform
        np.testing.assert_array_equal(part, whole[start:stop])
    assert len(read_segment(path, 4.0, 99.0).waveform) == len(whole) - 64000


def test_stm_names_the_line_of_what_it_cannot_use(source, out):
    stereo = np.stack([speech(1), speech(2)], axis=1)
    soundfile.write(source / "call.wav", stereo, 16000)
    path = write_text(
        source / "talk.stm",
        "talk 1 anna 0 1 hello",
        "talk 1 anna one 2 hello",
        "talk 1 anna",
        "talk 1 anna 8 12 hello",
        "none 1 anna 0 1 hello",
        "../../talk 1 anna 0 1 hello",
        "call A anna 0 1 hello",
        "talk 1 anna 2 3 <o,f0,female>",
        "talk 1 anna 3 4 <unk>",
    )

    report = run("stm", source, out)

    assert {u.text for u in everything(out).values()} == {"hello"}
    assert [
        (reason, detail.removeprefix(f"{path}:")[:1]) for reason, detail in details(report)
    ] == [
        ("bad segment", "4"),
        ("broken transcript line", "2"),
        ("broken transcript line", "3"),
        ("empty transcript", "8"),
        ("no audio", "5"),
        ("no audio", "6"),
        ("no speech to learn", "9"),
        ("one of several channels", "7"),
    ]


def test_speakers_of_tiers_and_voices_are_kept(tmp_path, out):
    make_textgrid(tmp_path / "grids")
    make_subtitles(tmp_path / "subtitles")

    run("textgrid", tmp_path / "grids", out)
    run("subtitles", tmp_path / "subtitles", tmp_path / "out2")

    grids = {name: u.extra.get("speaker") for name, u in everything(out).items()}
    assert grids == {
        "talk0-00001": "anna0",
        "talk0-00002": "anna0",
        "talk1-00001": "anna1",
        "talk1-00002": "anna1",
        "short-00001": None,
    }
    voices = everything(tmp_path / "out2")
    assert voices["other.en-00001"].extra["speaker"] == "Anna"
    assert voices["talk-00001"].extra["recording"] == "talk"
    assert voices["talk-00003"].extra["recording_start"] == 6.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ":1: ends within a tier"),
        ("hello", ":1: ends within a tier"),
        ('"ooTextFile" "Sound"', ":1: must begin as Praat's TextGrids do"),
        (SHORT_TEXTGRID[:-20], "ends within a tier, or a number is missing"),
        (SHORT_TEXTGRID.replace("\n2\n0", "\n9\n0"), "ends within a tier, or a number is missing"),
        (SHORT_TEXTGRID.replace("utterances", "words"), "only tiers of pieces or points ('words')"),
    ],
)
def test_broken_textgrids_are_refused_in_one_line(source, content, message):
    path = source / "talk.TextGrid"
    path.write_text(content)

    with pytest.raises(UnusableError) as caught:
        read_utterances(path)

    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_intervals_know_their_lines(source):
    path = source / "talk.TextGrid"
    path.write_text(TEXTGRID.format(speaker="anna"))

    first, second = read_utterances(path)

    assert first == (22, "anna", 1.0, 2.5, 'one "two"')
    assert second == (26, "anna", 2.5, 10.0, "three")


def test_subtitles_name_the_line_of_what_they_cannot_use(source, out):
    path = source / "talk.srt"
    path.write_bytes(
        b"\xef\xbb\xbf1\r\n00:00:00,000 --> 00:00:01,000\r\n{\\an8}Hello &lt;\r\n\r\n"
        b"2\r\n00:00:01 --> 00:00:02\r\nbroken\r\n\r\n"
        b"3\r\n00:00:09,000 --> 00:00:12,000\r\nlate\r\n\r\n"
        b"4\r\n00:00:03,000 --> 00:00:04,000\r\ngr\xfcn\r\n\r\n"
        b"5\r\n00:00:05,000 --> 00:00:06,000\r\n(applause) \r\n\r\n"
        b"6\r\n00:00:07,000 --> 00:00:06,000\r\nbackwards\r\n"
    )
    (source / "lonely.vtt").write_text("WEBVTT\n")

    removing = TextNormalizer(ENGLISH, "remove", language="en")
    report = run("subtitles", source, out, normalizer=removing)

    assert [u.text for u in everything(out).values()] == ["hello"]
    lonely = source / "lonely.vtt"
    assert [(reason, detail.split(": ")[0]) for reason, detail in details(report)] == [
        ("bad segment", f"{path}:10 9.0 to 12.0 s leaves {source / 'talk.wav'} of 10.000 s"),
        ("bad segment", f"{path}:22 7.0 to 6.0 s leaves {source / 'talk.wav'} of 10.000 s"),
        ("broken times", f"{path}:6"),
        ("cue without speech", f"{path}:18"),
        ("no audio", str(lonely)),
        ("row cannot be read", f"{path}:15"),
    ]


def test_nemo_names_the_line_of_what_it_cannot_use(source, out):
    write_speech(source / "a.wav", 3)
    lines = [
        '{"audio_filepath": "a.wav", "duration": 1.0, "text": "whole", "lang": "en"}',
        '{"audio_filepath": "a.wav", "offset": 0, "duration": 1.0, "text": "whole", "id": "b"}',
        '{"audio_filepath": "talk.wav", "offset": 2.5, "duration": 1, "text": "part", "id": "c"}',
        '{"audio_filepath": "talk.wav", "offset": 9.5, "duration": 1, "text": "late"}',
        '{"audio_filepath": "talk.wav", "offset": 1, "text": "endless"}',
        '{"audio_filepath": "talk.wav", "offset": "1", "duration": 1, "text": "string"}',
        '{"audio_filepath": "../talk.wav", "duration": 1, "text": "outside"}',
        '{"audio_filepath": "talk.wav", "duration": 1}',
        '{"duration": 1, "text": "nothing"}',
        "[1]",
        "{",
        '{"audio_filepath": "talk.wav", "duration": 1, "text": "shorter than the file"}',
    ]
    path = write_text(source / "train_manifest.json", *lines)

    report = run("nemo", source, out)

    found = everything(out)
    assert {name: u.text for name, u in found.items()} == {"a": "whole", "b": "whole", "c": "part"}
    assert found["a"].extra == {"lang": "en", "id": "a"}
    assert found["b"].audio_filepath == source / "a.wav"
    assert read_audio(found["c"].audio_filepath).waveform[0] == pytest.approx(2 / 32 + 1 / 64)
    numbers = [d.removeprefix(f"{path}:").partition(":")[0].split()[0] for _, d in details(report)]
    assert [(reason, n) for (reason, _), n in zip(details(report), numbers, strict=True)] == [
        ("bad segment", "4"),
        ("bad segment", "5"),
        ("duration differs from the manifest", "12"),
        ("no audio", "9"),
        ("no transcript", "8"),
        ("path outside the folder", "7"),
        ("row cannot be read", "10"),
        ("row cannot be read", "11"),
        ("row cannot be read", "6"),
    ]


@pytest.mark.parametrize(
    ("layout", "name"),
    [("stm", "talk.stm"), ("subtitles", "talk.srt"), ("textgrid", "talk.TextGrid")],
)
def test_a_recording_behind_a_link_outside_is_not_read(tmp_path, out, layout, name):
    long_recording(tmp_path / "home" / "talk.wav")
    long_recording(tmp_path / "source" / "good.wav")
    (tmp_path / "source" / "talk.wav").symlink_to(tmp_path / "home" / "talk.wav")
    texts = {
        "stm": "{} 1 anna 0 1 hello\n",
        "subtitles": "00:00:00,000 --> 00:00:01,000\nhello\n",
        "textgrid": SHORT_TEXTGRID,
    }
    for stem in ("good", "talk"):
        path = (tmp_path / "source" / name).with_stem(stem)
        path.write_text(texts[layout].replace("{}", stem))

    report = run(layout, tmp_path / "source", out)

    assert {u.extra["recording"] for u in everything(out).values()} == {"good"}
    assert not list((out / "segments").rglob("talk*"))
    assert report.rejected
