"""The whole pipeline at its smallest size: corpus, language model, training, decoding, report."""

import json
from importlib.util import find_spec

import pytest

from asr.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if find_spec("espeakng_loader") is None:
        pytest.skip("needs the extra synth")
    return tmp_path_factory.mktemp("quickstart")


def test_quickstart_does_everything_once(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)

    assert main(["quickstart", "quickstart.size=tiny"]) == 0

    out = capsys.readouterr().out
    for decoder in ("greedy", "prefix search", "beam", "beam + language model"):
        assert f"\n{decoder}  " in out
    assert "said:" in out
    assert "heard:" in out
    run = folder / "runs/quickstart_tiny"
    report = (run / "report.html").read_text()
    assert report.count("<svg") + report.count("data:image/") >= 2
    scores = json.loads((run / "decode/synth_test/scores.json").read_text())
    assert len(scores) == 4
    before = (run / "ckpt/best.ckpt").stat().st_mtime_ns

    assert main(["quickstart", "quickstart.size=tiny"]) == 0

    assert (run / "ckpt/best.ckpt").stat().st_mtime_ns == before
    assert "is done" in capsys.readouterr().err


def test_quickstart_refuses_to_pass_off_another_model_as_done(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)

    assert main(["quickstart", "quickstart.size=tiny", "model.num_layers=1"]) == 2

    assert "cannot resume" in capsys.readouterr().err
