"""The whole pipeline at its smallest size: corpus, language model, training, decoding, report."""

import json
from importlib.util import find_spec

import pytest
import yaml

from asr.cli import main
from asr.cli.hydra_config import compose_config
from asr.cli.quickstart import fit_to_machine
from asr.training.run_folder import RunFolder


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
    assert len(scores) == 5  # four decoders, and the first with silence around the speech
    before = (run / "ckpt/best.ckpt").stat().st_mtime_ns

    assert main(["quickstart", "quickstart.size=tiny"]) == 0

    assert (run / "ckpt/best.ckpt").stat().st_mtime_ns == before
    assert "is done" in capsys.readouterr().err


def test_quickstart_fits_its_epochs_to_the_machine_once(folder, caplog):
    words = ["quickstart.size=tiny", "quickstart.measure_s=0.1", "trainer.max_epochs=auto"]
    words += [f"data.root={folder}/data/synth_tiny", "quickstart.epoch_choices=[3, 5]"]
    config = compose_config("quickstart", words)
    new, begun = RunFolder(folder / "new"), RunFolder(folder / "begun")
    caplog.set_level("INFO")

    chosen = fit_to_machine(config, new)

    assert chosen["trainer"]["max_epochs"] == chosen["trainer"]["patience"] == 5
    assert "5 epochs of [3, 5] fit into 7.5 minutes" in caplog.text
    slow = config | {"quickstart": config["quickstart"] | {"train_minutes": 1e-6}}
    assert fit_to_machine(slow, new)["trainer"]["max_epochs"] == 3
    begun.path.mkdir()
    (begun.path / "config.yaml").write_text(yaml.safe_dump(chosen))
    assert fit_to_machine(slow, begun) == slow | {
        "trainer": chosen["trainer"],
        "quickstart": slow["quickstart"] | {"epoch_s": chosen["quickstart"]["epoch_s"]},
    }


def test_quickstart_refuses_to_pass_off_another_model_as_done(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)

    assert main(["quickstart", "quickstart.size=tiny", "model.num_layers=1"]) == 2

    assert "cannot resume" in capsys.readouterr().err
