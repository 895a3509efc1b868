"""A rehearsal of the largest batches before the first epoch: does a step fit into memory?

Forward and backward pass alone. Everything that they touch is put back, so that a training with a
rehearsal is the training without one.
"""

import copy
import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from asr.data.loading import Batch, BatchLoader
from asr.training.step import Moment, Stepper

Wanted = bool | Literal["auto"]
# How PyTorch says that the CPU's memory does not do.
_CPU_WORDS = ("can't allocate memory", "not enough memory")

logger = logging.getLogger(__name__)


class RehearsalError(ValueError):
    """A batch that does not fit into memory; the message says what to lower."""


def is_wanted(wanted: Wanted, device: torch.device) -> bool:
    """Whether there is a rehearsal: by "auto" where the device is a GPU of CUDA's."""
    return device.type == "cuda" if wanted == "auto" else wanted


def rehearse(stepper: Stepper, loader: BatchLoader, epoch: int) -> None:
    """Run the largest planned batches forward and backward, and forget it.

    Args:
        stepper: as training will use it, its precision chosen.
        loader: of the training set.
        epoch: whose batches; those of others are about as large.

    Raises:
        RehearsalError: one of them does not fit into memory.
        TooManyBadError: as `BatchLoader.batches`.
    """
    device = stepper.model.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    plan, durations = loader.plan(epoch), loader.durations(epoch)
    chosen = largest([[durations[i] for i in batch] for batch in plan])
    with untouched(stepper):
        for batch in loader.render(epoch, [plan[number] for number in chosen]):
            _try(stepper, batch, loader.batch_seconds)
    done = "forward and backward pass of the largest batches fit into memory"
    if device.type == "cuda":
        peak, all_there_is = torch.cuda.max_memory_allocated(device), torch.cuda.mem_get_info()[1]
        done += f": {peak / 2**30:.1f} of {all_there_is / 2**30:.1f} GiB"
    logger.info("rehearsal: %s", done)


def largest(batches: list[list[float]]) -> list[int]:
    """Numbers of the batch with the most padded seconds and of that with the longest utterance.

    Args:
        batches: seconds of the utterances of each.
    """
    if not batches:
        return []
    padded = [len(seconds) * max(seconds) for seconds in batches]
    longest = [max(seconds) for seconds in batches]
    return sorted({padded.index(max(padded)), longest.index(max(longest))})


@contextmanager
def untouched(stepper: Stepper) -> Iterator[None]:
    """Put back what a forward and a backward pass change.

    That is random states, statistics (of batch norm, of features, of a loss), gradients, and modes.
    """
    model = stepper.model
    modules = (model.network, model.features, stepper.heads, stepper.loss)
    parts = [cast(nn.Module, part) for part in modules]
    modes = [(module, module.training) for part in parts for module in part.modules()]
    buffers = [buffer for part in parts for buffer in part.buffers()]
    kept = [buffer.clone() for buffer in buffers]
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, kept, strict=True):
                buffer.copy_(value)
        stepper.optimizer.zero_grad(set_to_none=True)
        for module, training in modes:
            module.training = training


def _try(stepper: Stepper, batch: Batch, batch_seconds: float) -> None:
    """Run a batch forward and backward, beside room for what the optimizer will keep.

    Raises:
        RehearsalError: it does not fit.
    """
    try:
        room = _room_of(stepper.optimizer, stepper.model.device)
        stepper.rehearse([batch], Moment(0.0, [0], 0, 0))
        del room
    except RuntimeError as error:  # of which OutOfMemoryError is one
        said = " ".join(str(error).split())
        if not isinstance(error, torch.OutOfMemoryError) and not any(w in said for w in _CPU_WORDS):
            raise
        seconds = batch.waveforms.numel() / stepper.model.sample_rate
        raise RehearsalError(
            f"a batch of {len(batch.ids)} utterances, {seconds:.0f} padded seconds, does not fit "
            f"into the memory of {stepper.model.device}: lower loading.batch_seconds="
            f"{batch_seconds:g}, or leave long utterances out (max_duration): {said[:200]}"
        ) from error


def _room_of(optimizer: Optimizer, device: torch.device) -> list[Tensor]:
    """Hold as much memory as the optimizer will for its weights, if it does not yet."""
    if optimizer.state:
        return []
    copies = copies_of(optimizer)
    weights = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    return [torch.ones(p.numel() * copies, dtype=p.dtype, device=device) for p in weights]


def copies_of(optimizer: Optimizer) -> int:
    """How many numbers an optimizer keeps for each weight: 2 for Adam, 0 for plain SGD."""
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.zeros(2)
    trial = copy.copy(optimizer)
    trial.state = defaultdict(dict)
    trial.param_groups = [{**optimizer.param_groups[0], "params": [weight]}]
    trial.step()
    kept = trial.state[weight].values()
    return sum(isinstance(value, Tensor) and value.shape == weight.shape for value in kept)
