"""A run's folder: who may use it, and what is written into it.

config.yaml env.json log.txt metrics.jsonl tb/ ckpt/{last,best,...}.ckpt snapshots/ decode/
"""

import json
import logging
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from asr.files import write_atomically

PACKAGES = ("ctc-asr", "torch", "torchaudio", "numba", "numpy", "sentencepiece", "hydra-core")
# A resumed run may differ in these: they steer the loop, not what a step computes.
FREE_KEYS = ("run_dir", "resume", "overwrite", "device", "loading.num_threads", "trainer.")

logger = logging.getLogger(__name__)


class RunFolderError(ValueError):
    """A run folder that cannot be used as asked."""


class RunFolder:
    """Writes a run's files; made by `open_run_folder`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "ckpt"
        self.metrics_path = path / "metrics.jsonl"
        self._board: SummaryWriter | None = None

    @property
    def last(self) -> Path:
        """The checkpoint to resume from."""
        return self.checkpoints / "last.ckpt"

    @property
    def best(self) -> Path:
        """The checkpoint to decode with."""
        return self.checkpoints / "best.ckpt"

    @property
    def averaged(self) -> Path:
        """The mean of the best checkpoints, written last: where it is, training is done."""
        return self.checkpoints / "averaged.ckpt"

    def log_metrics(self, metrics: dict[str, float | int | str], step: int) -> None:
        """Append one line to metrics.jsonl and show its numbers in TensorBoard."""
        with self.metrics_path.open("a") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")
        if self._board is None:
            self._board = SummaryWriter(str(self.path / "tb"))
        for name, value in metrics.items():
            if isinstance(value, (int, float)):
                self._board.add_scalar(name, value, step)

    def metrics_size(self) -> int:
        """Bytes of metrics.jsonl."""
        return self.metrics_path.stat().st_size if self.metrics_path.exists() else 0

    def cut_metrics(self, size: int) -> None:
        """Drop what a killed run logged after the checkpoint that is resumed from."""
        if self.metrics_path.exists():
            os.truncate(self.metrics_path, size)

    def save_snapshot(self, epoch: int, utterance_id: str, text: str, log_probs: Tensor) -> None:
        """Keep the posteriors (T, C) of one utterance, to see CTC's spikes emerge."""
        folder = self.path / "snapshots"
        folder.mkdir(exist_ok=True)
        np.savez(
            folder / f"epoch_{epoch:03d}.npz",
            log_probs=log_probs.numpy(),
            utterance_id=utterance_id,
            text=text,
        )

    def close(self) -> None:
        """Flush TensorBoard's file."""
        if self._board is not None:
            self._board.close()


def open_run_folder(path: Path, config: dict, *, resume: str | None, overwrite: bool) -> RunFolder:
    """Make or reopen a run's folder.

    Args:
        path: the folder.
        config: resolved configuration, written as config.yaml.
        resume: "auto" goes on from ckpt/last.ckpt where there is one; None starts afresh.
        overwrite: whether a folder that is not empty may be started afresh; its old files of a
            run are removed.

    Raises:
        RunFolderError: the folder is not empty and neither option was given, or the
            configuration differs from the one that is resumed.
    """
    if resume not in (None, "auto"):
        raise RunFolderError(f"resume must be auto or null, got {resume!r}")
    run = RunFolder(path)
    occupied = path.exists() and any(path.iterdir())
    if occupied and resume == "auto":
        if not run.last.is_file():
            logger.info("resume=auto: %s holds no checkpoint yet, starting afresh", path)
        elif (path / "config.yaml").is_file():
            check_same_config(path / "config.yaml", config)
    elif occupied and not overwrite:
        raise RunFolderError(f"run_dir {path} is not empty: add resume=auto or overwrite=true")
    elif occupied:
        _remove_old_run(run)
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    write_atomically(path / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    write_atomically(path / "env.json", json.dumps(environment(), indent=2))
    return run


def check_same_config(path: Path, config: dict, free_keys: tuple[str, ...] = FREE_KEYS) -> None:
    """Refuse to go on with a run whose config.yaml differs in more than `free_keys`.

    Raises:
        RunFolderError: names the key and both values.
    """
    old, new = _flatten(yaml.safe_load(path.read_text())), _flatten(config)
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) == new.get(key):
            continue
        change = f"{key}: {old.get(key)!r} -> {new.get(key)!r}"
        if not key.startswith(free_keys):
            raise RunFolderError(f"cannot resume {path.parent} with another {change}")
        logger.info("resuming with another %s", change)


def environment() -> dict[str, object]:
    """Versions, commit and hardware of this run."""
    commit = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "command": sys.argv,
        "commit": commit.stdout.strip() or None,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "machine": platform.machine(),
        "processor": processor_name(),
        "num_threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def processor_name() -> str:
    """The processor as the system calls it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def _remove_old_run(run: RunFolder) -> None:
    """Remove files that would be mistaken for the new run's."""
    files = [run.metrics_path, run.path / "log.txt"]
    for pattern in ("ckpt/*.ckpt", "snapshots/*.npz", "tb/events*"):
        files += run.path.glob(pattern)
    for file in files:
        file.unlink(missing_ok=True)


def _flatten(tree: object, prefix: str = "") -> dict[str, object]:
    if not isinstance(tree, dict):
        return {prefix[:-1]: tree}
    flat: dict[str, object] = {}
    for key, value in tree.items():
        flat |= _flatten(value, f"{prefix}{key}.")
    return flat
