"""What a training says of itself while it runs."""

import json
import math

import pytest

from asr.training import monitor
from asr.training.monitor import Monitor, format_time
from asr.training.run_folder import RunFolder
from asr.training.state import Progress
from asr.training.step import StepOutcome


class Clock:
    """Stands for the module `time`."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(monitor, "time", clock)
    return clock


def follow(run, clock, outcomes, step_s=6.0, epochs=2, log_every=1):
    """Follow one epoch of two batches more than there are outcomes; 60 s of speech a batch."""
    watch = Monitor(
        RunFolder(run), metric="wer", max_epochs=epochs, log_every=log_every, show_samples=0
    )
    now = Progress(lr=1e-3, best=[(0.25, 3.0, "epoch_001")])
    with watch.epoch(now, [60.0] * (len(outcomes) + 2)):
        for outcome in outcomes:
            clock.now += step_s
            now.batch, now.step = now.batch + 1, now.step + 1
            now.recent_loss_sum += outcome.loss_sum
            now.recent_utterances += outcome.num_utterances
            watch.step(now, outcome)
    watch.run.close()
    return watch


def test_lines_say_speed_and_time_left(tmp_path, clock, caplog):
    caplog.set_level("INFO")

    follow(tmp_path, clock, [StepOutcome(20.0, 4, 1.5, [])] * 8)

    # 6 s a step: lines after the first 10 s, and 30 s later.
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "epoch 0.20 of 2: loss 5.00, gradient 1.5, lr 1.0e-03, 10 h of speech an hour, "
        "best WER 25.0 %, 2 min left",
        "epoch 0.70 of 2: loss 5.00, gradient 1.5, lr 1.0e-03, 10 h of speech an hour, "
        "best WER 25.0 %, 78 s left",
    ]


def test_metrics_by_step(tmp_path, clock):
    follow(tmp_path, clock, [StepOutcome(20.0, 4, 1.5, []), StepOutcome(7.0, 2, 2.5, [])])

    first, second = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert first == {
        "step": 1,
        "epoch": 0.25,
        "loss": 5.0,
        "grad_norm": 1.5,
        "lr": 1e-3,
        "speech_hours_per_hour": 10.0,
    }
    assert second["loss"] == 3.5


def test_skipped_step_is_null_in_json(tmp_path, clock):
    follow(tmp_path, clock, [StepOutcome(0.0, 0, math.nan, ["inf"])])

    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert "NaN" not in line
    assert (json.loads(line)["loss"], json.loads(line)["grad_norm"]) == (None, None)


def test_other_ranks_are_silent(tmp_path, clock, caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setattr(monitor.distributed, "is_first", lambda: False)

    follow(tmp_path, clock, [StepOutcome(20.0, 4, 1.5, [])] * 8)

    assert not caplog.records
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89.4, "89 s"), (90, "2 min"), (3599, "1 h 00 min"), (11100, "3 h 05 min")],
)
def test_times_are_written_as_one_reads_them(seconds, text):
    assert format_time(seconds) == text
