"""A run's folder: what training writes into it.

config.yaml env.json log.txt metrics.jsonl tb/ ckpt/{last,best,...}.ckpt snapshots/ decode/
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from asr.data.loading import Speech
from asr.data.manifest import Utterance
from asr.files import append_text, write_atomically

# Files of a run that one started afresh in the same folder would mistake for its own.
OWNED = ("metrics.jsonl", "log.txt", "ckpt/*.ckpt", "snapshots/*.npz", "tb/events*")


class RunFolder:
    """Writes a run's files; the folder exists."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "ckpt"
        self.metrics_path = path / "metrics.jsonl"
        self._board: SummaryWriter | None = None
        self._resumed_at: int | None = None

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

    def add_facts(self, facts: dict[str, str]) -> None:
        """Say more in env.json."""
        path = self.path / "env.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        write_atomically(path, json.dumps(known | facts, indent=2))

    def log_metrics(self, metrics: Mapping[str, float | int | None], step: int) -> None:
        """Append one line to metrics.jsonl and show its numbers in TensorBoard."""
        append_text(self.metrics_path, json.dumps({"step": step, **metrics}) + "\n")
        if self._board is None:
            self._board = SummaryWriter(str(self.path / "tb"), purge_step=self._resumed_at)
        for name, value in metrics.items():
            if value is not None:
                self._board.add_scalar(name, value, step)

    def metrics_size(self) -> int:
        """Bytes of metrics.jsonl."""
        return self.metrics_path.stat().st_size if self.metrics_path.exists() else 0

    def cut_metrics(self, size: int, step: int) -> None:
        """Drop what a killed run logged after `step`, where it is resumed."""
        self._resumed_at = step + 1
        if self.metrics_path.exists():
            os.truncate(self.metrics_path, size)

    def save_snapshot(self, epoch: int, speech: Speech, text: str, log_probs: Tensor) -> None:
        """Keep the posteriors (T, C) of one utterance, to see CTC's spikes emerge."""
        audio = speech.audio_filepath if isinstance(speech, Utterance) else ""
        folder = self.path / "snapshots"
        folder.mkdir(exist_ok=True)
        np.savez(
            folder / f"epoch_{epoch:03d}.npz",
            log_probs=log_probs.numpy(),
            utterance_id=speech.id,
            text=text,
            audio_filepath=str(audio),
        )

    def close(self) -> None:
        """Flush TensorBoard's file."""
        if self._board is not None:
            self._board.close()
