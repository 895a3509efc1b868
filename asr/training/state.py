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
from asr.augment import WaveformAugment
from asr.training import distributed
from asr.training.loss import TrainingLoss
from asr.training.step import StepOutcome, Stepper

# What a training's file calls the tensors of auxiliary heads, and of the loss.
_HEADS = "auxiliary."
_LOSS = "loss."


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
    best: list[tuple[float, float, str]] = field(default_factory=list)  # (rate, loss, name)
    gained: bool = False  # whether a validation of the current epoch was the best
    lr: float = 0.0  # of the last step
    validated: int = 0  # step of the last validation
    recent_loss_sum: float = 0.0  # since the last line of metrics by step, nats
    recent_utterances: int = 0
    trained: bool = False  # whether the current epoch wants only its validation
    precision: str = ""  # chosen at the start
    world_size: int = 1  # ranks: batches of an epoch are planned for that many
    corpora: dict[str, str] = field(default_factory=dict)  # fingerprints of train and dev
    metrics_size: int = 0  # bytes of metrics.jsonl
    seconds: float = 0.0  # of training so far
    processor_s: float = 0.0  # that this process took for it
    dev_losses: list[float] = field(default_factory=list)  # at the end of each epoch
    scaler: dict[str, float] = field(default_factory=dict)  # of float16's loss
    # By task: nats and utterances of the epoch so far, and of those since the last line by step.
    tasks: dict[str, list[float]] = field(default_factory=dict)
    recent_tasks: dict[str, list[float]] = field(default_factory=dict)

    def add(self, outcome: StepOutcome) -> None:
        """Take in a step that was taken."""
        self.skipped_in_a_row = 0
        self.loss_sum += outcome.loss_sum
        self.num_utterances += outcome.num_utterances
        self.recent_loss_sum += outcome.loss_sum
        self.recent_utterances += outcome.num_utterances
        for sums in (self.tasks, self.recent_tasks):
            for name, numbers in outcome.tasks.items():
                before = sums.get(name, (0.0, 0))
                sums[name] = [a + b for a, b in zip(before, numbers, strict=True)]


class ResumeError(ValueError):
    """A run that cannot go on as asked."""


def resume_training(path: Path, stepper: Stepper) -> Progress | None:
    """Give every rank the state that rank 0 finds at `path`; None where it finds none.

    Other ranks need not see the file: a run's folder may lie on one node's own disk.

    Raises:
        ModelFileError: the file cannot be read or does not fit.
    """
    found = None
    if distributed.is_first() and path.is_file():
        found = load_training(path, stepper)
    found, tensors = distributed.from_first((found, _state_tensors(stepper)))
    if found is not None and not distributed.is_first():
        _restore_state(stepper, tensors)
    copy_model_from_first(stepper.model)
    return found


def copy_model_from_first(model: AcousticModel) -> None:
    """Give every rank the weights and statistics of rank 0."""
    for module in (model.network, model.features):
        distributed.copy_from_first(list(module.state_dict().values()))


def check_resumable(now: Progress, corpora: dict[str, str]) -> None:
    """Refuse to go on with other data, or in the middle of an epoch with other batches.

    Args:
        now: where training stood.
        corpora: fingerprints of the sets, and of other sources, by name.

    Raises:
        ResumeError: says what differs.
    """
    ranks = distributed.world_size()
    if now.world_size != ranks and now.batch and not now.trained:
        raise ResumeError(
            f"cannot resume in the middle of epoch {now.epoch + 1} with {ranks} ranks: its batches "
            f"were planned for {now.world_size}; resume with {now.world_size}"
        )
    for name, value in corpora.items():
        if now.corpora.get(name, value) == value:
            continue
        what, why = f"{name} set", "its files, texts or durations differ"
        if name.startswith("loss."):
            what, why = f"file of {name}", "its content differs"
        raise ResumeError(
            f"cannot resume: the {what} is not the one that the run was begun with ({why})"
        )


def source_fingerprints(augment: WaveformAugment | None, loss: TrainingLoss) -> dict[str, str]:
    """Fingerprints of what is read beside the sets: augmentation's folders, by number; files."""
    folders = () if augment is None else augment.sounds()
    found = {f"augment {n}": folder.fingerprint() for n, folder in enumerate(folders, start=1)}
    return found | loss.fingerprints()


def save_training(path: Path, stepper: Stepper, now: Progress) -> None:
    """Write everything that resuming needs into one file, atomically."""
    save_checkpoint(path, stepper.model, {"progress": asdict(now)}, _state_tensors(stepper))


def load_training(path: Path, stepper: Stepper) -> Progress:
    """Restore what `_state_tensors` names and the model, in place; return where training stood.

    Raises:
        ModelFileError: the file cannot be read or does not fit.
    """
    header, tensors = read_checkpoint(path)
    restore(stepper.model, tensors, path)
    try:
        _restore_state(stepper, tensors)
        progress = Progress(**header["extra"]["progress"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ModelFileError(f"{path}: holds no training state that fits: {reason}") from error
    # Until there were validations within epochs, checkpoints had numbers.
    progress.best = [
        (rate, loss, f"epoch_{name:03d}" if isinstance(name, int) else name)
        for rate, loss, name in progress.best
    ]
    # Until losses named their files by keys, there was one.
    if (aligner := progress.corpora.pop("aligner", None)) is not None:
        progress.corpora["loss.aligner"] = aligner
    return progress


def _state_tensors(stepper: Stepper) -> dict[str, Tensor]:
    """Name what changes beside the model: heads, loss, the optimizer, the moving average."""
    found = optimizer_tensors(stepper.optimizer)
    for prefix, module in ((_HEADS, stepper.heads), (_LOSS, stepper.loss)):
        found |= {f"{prefix}{name}": value for name, value in module.state_dict().items()}
    return found if stepper.average is None else found | stepper.average.state()


def _restore_state(stepper: Stepper, tensors: dict[str, Tensor]) -> None:
    for prefix, module in ((_HEADS, stepper.heads), (_LOSS, stepper.loss)):
        module.load_state_dict(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
    restore_optimizer(stepper.optimizer, tensors)
    if stepper.average is not None:
        stepper.average.restore(tensors)


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Flatten the optimizer's state to named tensors."""
    tensors = {}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value).cpu()
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
