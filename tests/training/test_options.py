"""What the trainer accepts."""

import pytest
from tiny import make_corpus, overrides

from asr.cli import main
from asr.training.loop import Trainer


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_epochs": 0}, "max_epochs must be a whole number >= 1, got 0"),
        ({"patience": 0}, "patience must be a whole number >= 1, got 0"),
        ({"validate_every": 1.5}, "validate_every must be a whole number >= 1, got 1.5"),
        ({"log_every": 0}, "log_every must be a whole number >= 1, got 0"),
        ({"keep_best": 0}, "keep_best must be a whole number >= 1, got 0"),
        ({"precision": "half"}, "precision must be auto, float32, bfloat16 or float16, got 'half'"),
        ({"grad_clip": 0.0}, "grad_clip must be > 0, got 0.0"),
        ({"grad_clip_value": -1.0}, "grad_clip_value must be > 0, got -1.0"),
        ({"accumulate": 0}, "accumulate must be a whole number >= 1, got 0"),
        ({"metric": "mer"}, "metric must be auto, wer, cer or per, got 'mer'"),
        ({"checkpoint_minutes": 0}, "checkpoint_minutes must be > 0, got 0"),
    ],
)
def test_trainer_refuses_parameters_out_of_range(change, message):
    options = {
        "max_epochs": 1,
        "metric": "auto",
        "validate_every": None,
        "log_every": 1,
        "precision": "auto",
        "grad_clip": 1.0,
        "patience": 1,
        "keep_best": 1,
        "checkpoint_minutes": 1.0,
        "max_bad_steps": 0,
        "snapshot_epochs": [],
        "show_samples": 0,
    }
    with pytest.raises(ValueError, match=message):
        Trainer(**(options | change))


def test_optimizer_that_refuses_a_value_is_named(tmp_path, capsys):
    make_corpus(tmp_path, num_train=2, num_dev=1)

    assert main(["train", *overrides(tmp_path, tmp_path / "run", optimizer__lr=-1)]) == 2

    assert "asr train: optimizer: Invalid learning rate: -1" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
