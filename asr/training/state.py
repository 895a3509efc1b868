"""What resuming needs: where training stands, and the optimizer's tensors.

Order of batches, augmentation and dropout are pure functions of (seed, epoch, batch), so no
generator's state is kept.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from asr.acoustic.checkpoint import (
    AcousticModel,
    ModelFileError,
    read_checkpoint,
    restore,
    save_checkpoint,
)


@dataclass
class Progress:
    """Where training stands; all of it fits in JSON."""

    epoch: int = 0  # the current one, from 0
    batch: int = 0  # the next one of that epoch
    step: int = 0  # optimizer steps tried so far
    loss_sum: float = 0.0  # over the epoch so far, nats
    num_utterances: int = 0  # of the epoch so far
    skipped_in_a_row: int = 0  # steps with a non-finite loss or gradient
    skipped: int = 0
    epochs_without_gain: int = 0
    best: list[tuple[float, float, int]] = field(default_factory=list)  # (wer, loss, epoch)
    precision: str = ""  # chosen at the start
    metrics_size: int = 0  # bytes of metrics.jsonl
    seconds: float = 0.0  # of training so far


def save_training(path: Path, model: AcousticModel, optimizer: Optimizer, now: Progress) -> None:
    """Write everything that resuming needs into one file, atomically."""
    save_checkpoint(path, model, {"progress": asdict(now)}, optimizer_tensors(optimizer))


def load_training(path: Path, model: AcousticModel, optimizer: Optimizer) -> Progress:
    """Restore weights and optimizer in place and return where training stood.

    Raises:
        ModelFileError: the file cannot be read or does not fit.
    """
    header, tensors = read_checkpoint(path)
    restore(model, tensors, path)
    try:
        restore_optimizer(optimizer, tensors)
        progress = Progress(**header["extra"]["progress"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: holds no training state that fits: {error}") from error
    progress.best = [(wer, loss, epoch) for wer, loss, epoch in progress.best]
    return progress


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Flatten the optimizer's state to named tensors."""
    tensors = {}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
    return tensors


def restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Load what `optimizer_tensors` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".", 2)
            state.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
