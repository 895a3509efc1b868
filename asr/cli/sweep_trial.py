"""One trial of a sweep: a training in a process of its own, watched from outside.

What ends that process (a loss that is not finite, no memory left, a signal) ends nothing else.
"""

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from asr.evaluation.run_record import RunRecord, read_run
from asr.training.stopping import StopSignal
from asr.tuning.sweep.study import Attempt

# Seconds between two looks at a training.
POLL_S = 0.5
COMMAND = (sys.executable, "-m", "asr", "train")
# In the folder of a trial: its run, and what the process printed.
RUN, OUTPUT = "run", "output.txt"
# Bytes of the output's end in which the reason of a failure is looked for.
_TAIL = 4000

logger = logging.getLogger(__name__)


def train_trial(words: Sequence[str], place: Path, attempt: Attempt, stop: StopSignal) -> None:
    """Train until the end, until the study says that others are better, or until it fails.

    A run that is there already goes on where it stopped.

    Args:
        words: of `asr train`.
        place: folder of the trial; it exists.
        attempt: the trial.
        stop: whether this process was asked to stop.

    Raises:
        Interrupted: a signal came; the training saved its state and the trial stays open.
    """
    run = place / RUN
    command = [*COMMAND, *words, f"run_dir={run}", "resume=auto"]
    with (place / OUTPUT).open("ab") as output:
        # A group of its own: what Ctrl-C sends to the terminal's group would reach it twice.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
        )
    try:
        pruned = _watch(process, run, attempt, stop)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()
    record = read_run(run) if run.is_dir() else None
    # One that ended by itself before it could be stopped is whole.
    if (process.returncode == 0 or pruned) and record is not None and record.best is not None:
        rate, epoch = (float(record.best[key]) for key in (f"dev_{record.metric}", "epoch"))
        seconds = float(record.history[-1]["seconds"])
        attempt.finish(rate, epoch, seconds, pruned=process.returncode != 0)
        if process.returncode != 0:
            _remove_checkpoints(run)
    else:
        attempt.fail(_reason(process.returncode, place / OUTPUT))


def _watch(process: subprocess.Popen, run: Path, attempt: Attempt, stop: StopSignal) -> bool:
    """Report every epoch; return whether the trial is to be given up."""
    while True:
        ended = process.poll() is not None  # asked first: what is written before is still seen
        if _report(run, attempt):
            return True
        if ended:
            return False
        if stop.asked:
            process.terminate()
            process.wait()
            stop.leave()
        time.sleep(POLL_S)


def _report(run: Path, attempt: Attempt) -> bool:
    """Write down the epochs that are new; say whether the trial should end before its last."""
    if not (run / "metrics.jsonl").is_file():
        return False
    record = read_run(run)
    for row in record.history:
        if row["epoch"] % 1 == 0:
            worse = attempt.report(int(row["epoch"]), float(row[f"dev_{record.metric}"]))
            if worse and row["epoch"] < _max_epochs(record):
                return True
    return False


def _max_epochs(record: RunRecord) -> float:
    return record.config.get("trainer", {}).get("max_epochs", float("inf"))


def _remove_checkpoints(run: Path) -> None:
    """Free the disk of weights that nobody will use; metrics and log stay."""
    for path in run.glob("ckpt/*.ckpt"):
        path.unlink(missing_ok=True)


def _reason(code: int, output: Path) -> str:
    """Say why a process ended: by a signal, or by the last line that it printed."""
    if code < 0:
        name = signal.Signals(-code).name
        memory = ", as by a system that has no memory left" if name == "SIGKILL" else ""
        return f"the training was ended by {name}{memory}"
    if code in (128 + signal.SIGINT, 128 + signal.SIGTERM):
        return f"the training was stopped by {signal.Signals(code - 128).name}"
    with output.open("rb") as file:
        file.seek(max(0, output.stat().st_size - _TAIL))
        text = file.read().decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines()]
    # A user's mistake begins with the command and may have further lines.
    said = [line for line in lines if line.startswith("asr train: ")] or [x for x in lines if x]
    last = said[-1] if said else "it printed nothing"
    return f"exit code {code}: {last.removeprefix('asr train: ')}"
