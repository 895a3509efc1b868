"""The Python blocks of docs/serving.md, run as printed against a server, and its links."""

import re
from pathlib import Path

import numpy as np
import pytest
import servers
import tones

from asr.audio import write_wav

PATH = Path(__file__).parents[2] / "docs" / "serving.md"
GUIDE = PATH.read_text()
HTTP, STREAM = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A reader's folder with a recording, of which the servers here know the language."""
    monkeypatch.chdir(tmp_path)
    speech = tones.speak("ab cad", np.random.default_rng(0))
    write_wav(tmp_path / "speech.wav", speech, tones.SAMPLE_RATE)
    return tmp_path


def run(code, served):
    code = code.replace("127.0.0.1:8000", f"127.0.0.1:{served.port}")
    exec(compile(code, str(PATH), "exec"), {})


def test_openai_client_of_the_guide_prints_words_with_times(folder, capsys):
    pytest.importorskip("openai", reason="pip install openai")
    with servers.serving(name="quickstart") as served:
        run(HTTP, served)

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines] == ["ab", "cad"]


def test_stream_of_the_guide_prints_what_was_said(folder, capsys):
    with servers.serving(model=servers.streaming_model()) as served:
        run(STREAM, served)

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ready")
    assert [line.split()[0] for line in lines[-2:]] == ["final", "done"]
    assert lines[-2].split()[1:] == lines[-1].split()[1:] != []


def test_links_and_pictures_exist():
    links = re.findall(r"\]\(([^)#:]+)\)", GUIDE)

    assert len(links) >= 2
    assert not [link for link in links if not (PATH.parent / link).exists()]
