"""`asr sweep` with real trainings, killed in the middle of one."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from tiny import overrides

from asr.cli.run_folder import holder

CORPUS = {"num_train": 12, "num_dev": 2}
EPOCHS = 20
TRIALS = 3


def command_of(corpus, folder):
    options = {"trainer__max_epochs": EPOCHS, "trainer__patience": EPOCHS, "trainer__keep_best": 1}
    words = overrides(corpus, folder, **options)
    words += ["optimizer.lr=tag(log,interval(1e-4,1e-2))", "sweep.pruner=none"]
    return [sys.executable, "-m", "asr", "sweep", *words, f"sweep.num_trials={TRIALS}"]


def epochs_of(trial):
    path = trial / "run/metrics.jsonl"
    rows = path.read_text().splitlines() if path.exists() else []
    return [row["epoch"] for row in map(json.loads, rows)]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("ending", ["with its training", "alone"])
def test_killed_sweep_loses_no_trial_and_runs_none_twice(corpus, tmp_path, ending):
    command = command_of(corpus, tmp_path / "sweep")
    first, second, third = (tmp_path / f"sweep/trials/{n:04d}" for n in range(TRIALS))
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while len(epochs_of(second)) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    if ending == "with its training":
        os.kill(int(re.findall(r"process (\d+)", holder(second / "run"))[0]), signal.SIGKILL)
        assert len(epochs_of(second)) < EPOCHS
    assert not third.exists()
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}

    resumed = subprocess.run([*command, "resume=auto"], capture_output=True, text=True, check=False)

    assert resumed.returncode == 0, resumed.stderr
    assert "trial 1 was in flight: its run goes on" in resumed.stderr
    assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == before
    for trial in (first, second, third):
        assert epochs_of(trial) == list(range(1, EPOCHS + 1))
    rows = [line.split() for line in resumed.stdout.splitlines()[2:-1]]
    assert sorted(row[0] for row in rows) == ["0", "1", "2"]
    assert {row[3] for row in rows} == {str(EPOCHS)}
