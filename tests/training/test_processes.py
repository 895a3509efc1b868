"""A training whose audio is loaded by processes: what is left when it ends, however it does."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from kills import Killed, kill_at
from tiny import overrides

from asr.acoustic.checkpoint import read_checkpoint
from asr.cli.hydra_config import compose_config
from asr.cli.train import train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
LOST = "asr train: one of 2 loading processes was ended from outside, as by a system that"


def words_of(corpus, run_dir, **changes):
    options = {"loading__num_processes": 2, "trainer__patience": 1000} | changes
    return overrides(corpus, run_dir, **options)


def descendants(pid):
    """Every process below one."""
    table = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, check=True)
    parent_of = dict(map(int, line.split()) for line in table.stdout.splitlines())
    below = {pid}
    while more := {child for child, parent in parent_of.items() if parent in below} - below:
        below |= more
    return below - {pid}


def wait_for(condition):
    deadline = time.monotonic() + 600
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


@pytest.fixture
def training(corpus, tmp_path):
    """A training without end, in the middle of it; its processes that load, and all below it."""
    run_dir = tmp_path / "run"
    command = [sys.executable, "-m", "asr", "train", *words_of(corpus, run_dir)]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(
        [*command, "trainer.max_epochs=100000"], start_new_session=True, **pipes
    ) as process:
        try:
            wait_for((run_dir / "ckpt/best.ckpt").exists)
            below = descendants(process.pid)
            loading = [pid for child in below for pid in descendants(child)]
            assert len(loading) == 2
            yield process, loading, below
        finally:
            process.kill()


def gone(pids):
    return lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_a_lost_process_ends_it_with_one_line_and_it_goes_on(training, corpus, tmp_path):
    process, loading, below = training

    os.kill(loading[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 2
    assert errors.splitlines()[-1].startswith(LOST)
    assert "Traceback" not in errors
    wait_for(gone(below))
    done = read_checkpoint(tmp_path / "run/ckpt/last.ckpt")[0]["extra"]["progress"]["epoch"]
    more = {"trainer__max_epochs": done + 1, "resume": "auto"}
    train(compose_config("train", words_of(corpus, tmp_path / "run", **more)))
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    epochs = [line["epoch"] for line in map(json.loads, lines) if "dev_wer" in line]
    assert epochs == list(range(1, done + 2))


def test_ctrl_c_saves_the_state_and_leaves_no_process(training):
    process, _, below = training

    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    assert errors.splitlines()[-1] == "stopped by SIGINT; go on with resume=auto"
    wait_for(gone(below))


def test_a_training_begun_with_threads_goes_on_with_processes(corpus, tmp_path, monkeypatch):
    def fit(run, **changes):
        options = {"trainer__checkpoint_minutes": 1e-9, "augment": "full"} | changes
        train(compose_config("train", words_of(corpus, tmp_path / run, **options)))
        return read_checkpoint(tmp_path / run / "ckpt/last.ckpt")[1]

    whole = fit("one", loading__num_processes=0)
    with monkeypatch.context() as patch:
        kill_at(patch, 3)  # within the first epoch
        with pytest.raises(Killed):
            fit("two", loading__num_processes=0)

    found = fit("two", resume="auto")

    assert all(torch.equal(found[name], tensor) for name, tensor in whole.items())
