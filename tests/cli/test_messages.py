"""What reaches a terminal: lines that explain, and that it does not obey."""

import logging
import subprocess
import sys

import pytest

from asr.cli import MAX_ERROR_LINE, PrintableFormatter, format_error, main
from asr.cli.hydra_config import compose_config
from tests.corpus_files import write_audio, write_text


def test_lines_of_an_error_stay_lines():
    error = ValueError("x: not one usable utterance\n  left out 1: too short\n    a.wav: 0.1 s\n")

    assert format_error("prepare", error).split("\n") == [
        "asr prepare: x: not one usable utterance",
        "    left out 1: too short",
        "      a.wav: 0.1 s",
    ]


def test_long_errors_are_capped():
    text = format_error("x", ValueError("\n".join(["a" * 2000] * 100)))

    lines = text.split("\n")
    assert len(lines) < 20
    assert max(map(len, lines)) <= MAX_ERROR_LINE + len("asr x: ")
    assert lines[-1].strip() == "... 88 more lines"


def test_errors_and_logs_are_printable():
    record = logging.LogRecord("x", logging.INFO, "", 0, "a\x1b[2J\nb\ud800 é", None, None)

    assert PrintableFormatter("%(message)s").format(record) == "a\\x1b[2J\nb\\ud800 é"
    assert format_error("x", ValueError("a\x1b[2J\ud800")) == "asr x: a\\x1b[2J\\ud800"


def test_an_error_without_words_names_its_kind():
    assert format_error("x", ValueError()) == "asr x: ValueError"


@pytest.mark.parametrize("alphabet", ["äöü", "abcäöü", "привет", "'äöü '"])
def test_an_alphabet_beyond_ascii_is_an_override(alphabet):
    config = compose_config("train", [f"tokenizer.alphabet={alphabet}"])

    assert config["tokenizer"]["alphabet"] == alphabet.strip("'")


def test_prepare_says_what_it_left_out_in_lines(tmp_path, capsys):
    write_audio(tmp_path / "source" / "a.wav", 0.05)
    write_text(tmp_path / "source" / "a.txt", "a")
    words = ["--from", str(tmp_path / "source"), "--out", str(tmp_path / "out")]

    assert main(["prepare", "folder", *words]) == 2

    lines = capsys.readouterr().err.strip().split("\n")
    assert [line for line in lines if "not one usable utterance" in line]
    assert [line for line in lines if line.strip() == "left out 1: too short"]


def test_prepare_ends_quietly_when_nobody_reads_on(tmp_path):
    write_audio(tmp_path / "source" / "train" / "a.wav")
    write_text(tmp_path / "source" / "train" / "a.txt", "a")
    command = f"{sys.executable} -m asr prepare folder --from source --out out | true"

    found = subprocess.run(
        command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert "Traceback" not in found.stderr
    assert "BrokenPipe" not in found.stderr
