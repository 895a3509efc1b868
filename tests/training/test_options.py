"""What the trainer and the schedule accept."""

import pytest

from asr.training.loop import Trainer
from asr.training.schedule import WarmupCosine


def test_schedule_warms_up_and_decays():
    schedule = WarmupCosine(warmup_epochs=2.0, final_fraction=0.1)

    rates = [schedule(epoch, 10) for epoch in (0.0, 1.0, 2.0, 6.0, 10.0)]

    assert rates == pytest.approx([0.0, 0.5, 1.0, 0.55, 0.1])


@pytest.mark.parametrize("change", [{"warmup_epochs": -1.0}, {"final_fraction": 2.0}])
def test_schedule_refuses_parameters_out_of_range(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        WarmupCosine(**({"warmup_epochs": 1.0, "final_fraction": 0.1} | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_epochs": 0}, "max_epochs must be a whole number >= 1, got 0"),
        ({"patience": 0}, "patience must be a whole number >= 1, got 0"),
        ({"validate_every": 1.5}, "validate_every must be a whole number >= 1, got 1.5"),
        ({"log_every": 0}, "log_every must be a whole number >= 1, got 0"),
        ({"keep_best": 0}, "keep_best must be a whole number >= 1, got 0"),
        ({"precision": "half"}, "precision must be auto, float32 or bfloat16, got 'half'"),
        ({"grad_clip": 0.0}, "grad_clip must be > 0, got 0.0"),
        ({"metric": "mer"}, "metric must be auto, wer or cer, got 'mer'"),
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
