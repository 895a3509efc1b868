import argparse
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest
import tones

from asr.acoustic.checkpoint import save_checkpoint
from asr.audio import to_pcm16
from asr.cli import main
from asr.cli.listen import _CtrlC, add_arguments
from asr.cli.live_text import LiveText
from asr.recognition.transcripts import PartialTranscript

RATE = tones.SAMPLE_RATE
TEXTS = ["ab cad", "dab", "bad ab"]


def speech(texts=TEXTS):
    """16-bit samples of texts, with a pause of 1.5 s after each but the last."""
    rng = np.random.default_rng(3)
    pause = 1e-3 * rng.standard_normal(12000)
    parts = [part for text in texts for part in (tones.speak(text, rng), pause)]
    return to_pcm16(np.concatenate(parts[:-1])).tobytes()


def wav(samples):
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setparams((1, 2, RATE, 0, "NONE", ""))
        made.writeframes(samples)
    return file.getvalue()


class Stdin:
    def __init__(self, content, is_terminal=False):
        self.buffer = io.BufferedReader(io.BytesIO(content))
        self.isatty = lambda: is_terminal


@pytest.fixture
def listen(monkeypatch):
    def run(content, *words, checkpoint=None, is_terminal=False):
        monkeypatch.setattr(sys, "stdin", Stdin(content, is_terminal))
        path = checkpoint or tones.streaming_checkpoint_path()
        return main(["listen", "-", *words, "--checkpoint", str(path), "--device", "cpu"])

    return run


def test_raw_samples_become_a_line_an_utterance(listen, capsys):
    assert listen(speech(), "--rate", str(RATE)) == 0

    out, err = capsys.readouterr()
    assert out.splitlines() == TEXTS
    assert err.strip() == "listening: standard input; Ctrl-C ends"


def test_wav_stream_becomes_json_lines(listen, capsys):
    assert listen(wav(speech()), "--format", "json", "--n-best", "2") == 0

    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["text"] for record in records] == TEXTS
    assert records[0].keys() == {"start", "end", "text", "score", "alternatives", "words"}
    assert [word["word"] for word in records[0]["words"]] == ["ab", "cad"]
    assert records[0]["end"] < records[1]["start"]


def test_longer_silence_joins_utterances(listen, capsys):
    assert listen(speech(), "--rate", str(RATE), "--silence", "2.5") == 0

    assert capsys.readouterr().out.splitlines() == [" ".join(TEXTS)]


def test_terminal_shows_the_utterance_that_is_being_said(listen, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    assert listen(speech(["ab cad"]), "--rate", str(RATE)) == 0

    out = capsys.readouterr().out.replace("\x1b[2m", "|").replace("\x1b[0m", "")
    assert re.fullmatch(r"ab\| ca?d?", out.split("\r\x1b[K")[1])
    assert out.split("\r\x1b[K")[2:] == ["ab cad\n", ""]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rate", "12"], "sample_rate must be 1000..768000 Hz, got 12"),
        ([], "is no WAV stream of integers"),
        (["--silence", "0"], "--silence and --longest: silence_s must be > 0 s, got 0.0"),
        (["--microphone", "2"], "--microphone has no effect with -, which is standard input"),
        (["--lm-alpha", "2"], "--lm-alpha has no effect without --lm"),
    ],
)
def test_mistakes_are_one_line(listen, capsys, words, message):
    assert listen(speech(), *words) == 2

    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("asr listen: ")
    assert message in line


def test_model_of_whole_utterances_is_refused_before_anything_is_read(listen, capsys, tmp_path):
    save_checkpoint(tmp_path / "whole.ckpt", tones.untrained_model())

    assert listen(b"", "--rate", str(RATE), checkpoint=tmp_path / "whole.ckpt") == 2

    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "the model cannot stream: features.normalize=utterance" in line


def test_keyboard_is_no_sound(listen, capsys):
    assert listen(b"", is_terminal=True) == 2

    assert "standard input is a terminal" in capsys.readouterr().err


def test_rate_of_a_microphone_is_its_own(capsys):
    assert main(["listen", "--checkpoint", "best.ckpt", "--rate", "8000"]) == 2

    assert "--rate is for standard input" in capsys.readouterr().err


def test_end_of_a_long_line_is_shown(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "10")
    text = LiveText("text")

    text.show_partial(PartialTranscript("one two three", "one two", []))
    text.show_partial(PartialTranscript("one \u4f60\u4f60\u4f60\u4f60\u4f60", "one", []))
    text.show_partial(PartialTranscript("a\x1b[2J", "", []))

    shown = [line.replace("\x1b[2m", "|").replace("\x1b[0m", "") for line in
             capsys.readouterr().out.split("\r\x1b[K")[1:]]  # fmt: skip
    assert shown == ["two| three", "|\u4f60\u4f60\u4f60\u4f60", "|a\\x1b[2J"]


def test_ctrl_c_ends_the_sound_and_twice_the_command():
    done = []

    def sound():
        yield 1
        signal.raise_signal(signal.SIGINT)  # while one waits for sound
        yield 2

    with _CtrlC().caught() as ctrl_c:
        done += ctrl_c.until_pressed(sound())
        assert done == [1]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    with _CtrlC().caught() as ctrl_c:
        for item in ctrl_c.until_pressed(iter([1, 2])):
            signal.raise_signal(signal.SIGINT)  # while one works: the work is done
            done.append(item)
    assert done == [1, 1]


def wait_until_read(file):
    """Wait until a pipe is empty, and what came out of it is on its way."""
    import fcntl  # not on Windows
    import termios

    count = bytearray(4)
    while fcntl.ioctl(file, termios.FIONREAD, count) or any(count):
        time.sleep(0.05)
    time.sleep(0.2)


@pytest.mark.slow
def test_process_says_utterances_while_it_is_fed_and_ctrl_c_the_last_words():
    words = ["listen", "-", "--rate", str(RATE), "--device", "cpu", "--checkpoint"]
    command = [sys.executable, "-m", "asr", *words, str(tones.streaming_checkpoint_path())]
    samples = speech()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        for start in range(0, len(samples), 4001):
            child.stdin.write(samples[start : start + 4001])
            child.stdin.flush()
        lines = [child.stdout.readline().decode().strip() for _ in range(2)]
        wait_until_read(child.stdin)
        os.kill(child.pid, signal.SIGINT)
        out, err = child.communicate()

    assert lines == TEXTS[:2]
    assert out.decode().splitlines() == TEXTS[2:]
    assert err.decode().splitlines() == ["listening: standard input; Ctrl-C ends"]
    assert child.returncode == 0


def test_commands_of_the_guide_are_understood():
    guide = (Path(__file__).parents[2] / "docs/streaming.md").read_text()
    commands = re.findall(r"asr listen ([^#\n<]*)", "".join(guide.split("```")[1::2]))
    parser = argparse.ArgumentParser()
    add_arguments(parser)

    parsed = [parser.parse_args(shlex.split(command.split(" > ")[0])) for command in commands]

    assert len(parsed) >= 4
    assert {args.source for args in parsed} == {"microphone", "-"}
