import importlib.util
import json

import pytest

from asr.cli import main
from asr.data.manifest import read_manifest
from tests.sounds import tone, write_sounds

needs_voice = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None,
    reason="the voice is an extra: pip install 'ctc-asr[synth]'",
)


def prepare(*words):
    return main(["prepare", "synth", *map(str, words)])


@needs_voice
def test_german_words_and_numbers_are_read_in_rooms_and_noise(tmp_path, capsys):
    noise = write_sounds(tmp_path / "noise", {"hum.wav": tone(8000, 8000)})
    text = tmp_path / "saetze.txt"
    long = "sehr " * 60
    text.write_text(f"Zwölf Uhr!\n\n12 Uhr\n ... \nGrüße\nžena\n{long}\n", encoding="utf-8")
    surroundings = ("--rooms", 1, "--noise", noise, "--noise-share", 1, "--snr", 10, 20)
    reading = ("--text", text, "--hours", 0.001, "--alphabet", "de", "--workers", 1)

    assert prepare(*reading, *surroundings, "--out", tmp_path / "out") == 0

    utterances = read_manifest(tmp_path / "out/train.jsonl")
    assert {u.text for u in utterances} == {"zwölf uhr", "grüße"}
    assert {str(u.extra["speaker"]).partition("+")[0] for u in utterances} == {"de"}
    said = capsys.readouterr()
    assert "2 texts in 7 lines; 1 blank, 1 the same as another, 3 left out" in said.err
    assert "left out 3 in all" in said.out
    lines = (tmp_path / "out/rejected.jsonl").read_text().splitlines()
    rejected = [json.loads(line) for line in lines]
    assert [(item["id"], item["reason"]) for item in rejected] == [
        ("6", "text outside the alphabet"),
        ("4", "nothing to pronounce"),
        ("7", "longer than 250 characters"),
    ]
    assert f"{text}:7: 299 characters" in rejected[2]["detail"]
    assert json.loads((tmp_path / "out/normalizer.json").read_text())["language"] == "de"


@needs_voice
@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        ("", (), "text.txt: holds no line to read"),
        ("\n \n", (), "text.txt: holds no line to read"),
        ("!\n...\n", (), "text.txt: not one line can be read aloud"),
        ("stop\n", ("--hours", 0), "hours must be > 0, got 0.0"),
        ("stop\n", ("--hours", -1), "hours must be > 0, got -1.0"),
        ("stop\n", ("--size", "tiny"), "--size is the embedded corpus's"),
        ("stop\n", ("--rooms", 2), "rooms must be in [0, 1], got 2.0"),
        ("stop\n", ("--noise", "nowhere"), "nowhere: is no folder of audio files"),
        ("stop\n", ("--snr", 1, 2), "--snr and --noise-share need --noise DIR"),
        ("stop\n", ("--alphabet", "auto"), "--alphabet auto needs --language LANG"),
        ("stop\n", ("--language", "xx"), "espeak-ng has no voice of 'xx'"),
        ("stop\n", ("--out", "text.txt"), "text.txt: is a file, not a folder to write to"),
        ("stop\n", ("--out", "text.txt/x"), "text.txt/x: the folder cannot be made"),
        ("stop\n", ("--workers", 0), "num_workers must be >= 1, got 0"),
    ],
)
def test_mistake_is_one_line_and_nothing_is_written(
    tmp_path, monkeypatch, capsys, content, words, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(content)

    assert prepare("--text", "text.txt", "--hours", 1, "--out", "out", *words) == 2

    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("asr prepare: ")
    assert message in line
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--text", "no.txt"), "--text needs --hours"),
        (("--rooms", 0.5), "--rooms needs --text FILE"),
        (("--noise", "x"), "--noise needs --text FILE"),
        (("--alphabet", "de"), "--alphabet needs --text FILE"),
        (("--no-numbers",), "--no-numbers needs --text FILE"),
    ],
)
def test_options_of_texts_need_a_text_and_texts_need_hours(
    tmp_path, monkeypatch, capsys, words, message
):
    monkeypatch.chdir(tmp_path)

    assert prepare(*words) == 2

    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@needs_voice
def test_language_without_rules_is_read_and_that_is_said(tmp_path, capsys):
    (tmp_path / "text.txt").write_text("saluton\n12\n")
    words = ("--alphabet", "auto", "--language", "eo", "--workers", 1, "--yes")

    code = prepare(
        "--text", tmp_path / "text.txt", "--hours", 1e-4, "--out", tmp_path / "out", *words
    )

    assert code == 0
    assert "no rules for texts in 'eo'" in capsys.readouterr().err
    assert {u.text for u in read_manifest(tmp_path / "out/train.jsonl")} == {"saluton"}
