import argparse
import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
import tones

from asr.acoustic.checkpoint import save_checkpoint
from asr.audio import read_audio
from asr.cli import main, serve
from asr.recognition.box import KNOWS, WORDS
from asr.recognition.recognizer import Recognizer
from asr.server import app, listener
from asr.server.decoders import Choice
from asr.server.listener import bind

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "serving.md").read_text()
DIGITS = ROOT / "tests/recordings/seven_two_nine.flac"
TOKEN = "0123456789abcdef"


@pytest.fixture(autouse=True)
def no_token(monkeypatch):
    monkeypatch.delenv("ASR_TOKEN", raising=False)


def said_by(capsys, *words):
    assert main(["serve", *map(str, words)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "example.org"])
def test_other_machines_need_a_token(host, capsys):
    line = said_by(capsys, "--checkpoint", "none.ckpt", "--host", host)

    assert line == (
        f"asr serve: --host {host} can be reached from elsewhere: set ASR_TOKEN or --token-file"
    )


@pytest.mark.parametrize("token", ["short", "with spaces in between", "ümlaut-ümlaut-ümlaut", ""])
def test_weak_token_is_refused_and_not_shown(token, capsys, monkeypatch):
    monkeypatch.setenv("ASR_TOKEN", token)

    line = said_by(capsys, "--checkpoint", "none.ckpt")

    assert line.startswith("asr serve: ASR_TOKEN: must be at least 16 visible ASCII characters")
    assert not token or token not in line


def test_token_comes_from_a_file_before_the_environment(tmp_path, monkeypatch):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("ASR_TOKEN", "another-token-of-some-length")

    assert serve.read_token(str(tmp_path / "token")) == TOKEN
    assert serve.read_token(None) == "another-token-of-some-length"


def test_port_that_is_taken_is_named(tmp_path, capsys):
    save_checkpoint(tmp_path / "best.ckpt", tones.untrained_model())
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        line = said_by(capsys, "--checkpoint", tmp_path / "best.ckpt", "--port", port)

    assert line == f"asr serve: cannot listen on 127.0.0.1 port {port}: Address already in use"


def test_commands_of_the_guide_are_understood():
    lines = "\n".join(re.findall(r"^```sh\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL))
    commands = [line for line in lines.replace("\\\n", " ").splitlines() if "asr serve" in line]
    parser = argparse.ArgumentParser(exit_on_error=False)
    serve.add_arguments(parser)

    for command in commands:
        words = shlex.split(command)
        parser.parse_args(words[words.index("serve") + 1 :])

    assert len(commands) > 2


class Unstarted:
    """A server that ends as soon as it is run."""

    def __init__(self, app, settings):
        pass

    def run(self, listening):
        pass


def test_server_without_a_checkpoint_is_that_of_the_box(monkeypatch, capsys):
    made = []
    monkeypatch.setattr(app, "make_app", lambda *parts: made.extend(parts))
    monkeypatch.setattr(listener, "make_server", Unstarted)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(serve, "log_json_lines", lambda: None)

    assert main(["serve", "--port", "0"]) == 0

    model, decoders, settings = made
    said = Recognizer(model, decoders.choose(Choice())).transcribe(DIGITS).text
    waveform, *_ = read_audio(DIGITS, 16000)
    noise = 0.05 * np.random.default_rng(0).standard_normal(len(waveform), np.float32)
    with pytest.raises(ValueError, match="hotwords: the lexicon lacks 'play'"):
        decoders.choose(Choice(hotwords=("play music",)))
    asked = Choice(hotwords=("Go, left!",), n_best=5)
    heard = Recognizer(model, decoders.choose(asked)).transcribe(waveform + noise, 16000).text
    assert f"using the model in the box: {KNOWS}; name another" in capsys.readouterr().err
    assert (settings.name, said) == ("box", "seven two nine")
    assert heard
    assert set(heard.split()) <= set(WORDS.read_text().split())


@pytest.mark.slow
def test_server_answers_and_stops_in_peace(tmp_path):
    save_checkpoint(tmp_path / "best.ckpt", tones.untrained_model())
    command = [sys.executable, "-m", "asr", "serve", "--checkpoint", tmp_path / "best.ckpt"]
    process = subprocess.Popen(
        [*command, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        url = process.stdout.readline().strip()
        health = httpx.get(f"{url}health", timeout=60, trust_env=False)
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)

    assert health.json()["status"] == "ok"
    assert process.returncode == 0
    events = [json.loads(line)["event"] for line in errors.splitlines()]
    assert events == ["began", "request", "stopped"]
