"""How many epochs this machine trains in a given time: measured, then taken from a short list.

Machines of one kind differ by a few percent from minute to minute; the list's steps are wider, so
that the same kind nearly always makes the same choice, and trains the same model.
"""

import statistics
import time
from collections.abc import Sequence
from copy import deepcopy

from asr.data.loading import BatchLoader
from asr.training.step import Stepper

# Steps to measure at least.
MIN_STEPS = 10
# Of an epoch's time: validation, checkpoints and shapes that the measured steps did not see.
OVERHEAD = 0.08


def measure_epoch(stepper: Stepper, loader: BatchLoader, measure_s: float) -> float:
    """Seconds that an epoch takes, from steps on some of its batches; no weight changes.

    Args:
        stepper: as training will use it, its precision chosen.
        loader: of the training set.
        measure_s: seconds after which measuring ends, > 0.
    """
    if not measure_s > 0:
        raise ValueError(f"measure_s must be > 0, got {measure_s}")
    trial = deepcopy(stepper)
    taken: dict[bool, list[float]] = {False: [], True: []}  # of shapes seen before, and of new ones
    shapes: set[tuple[int, ...]] = set()
    started = last = time.perf_counter()
    # Epoch 0 goes from short to long utterances; in any other a batch is like the next.
    for batch in loader.batches(1):
        trial(batch, 0.0, 0)
        now = time.perf_counter()
        is_new = batch.waveforms.shape not in shapes
        shapes.add(batch.waveforms.shape)
        taken[is_new].append(now - last)
        last = now
        if now - started > measure_s and len(taken[False]) >= MIN_STEPS:
            break
    # A new shape compiles kernels, which an epoch does once for each.
    step_s = statistics.median(taken[False] or taken[True])
    return step_s * len(loader.plan(1)) * (1 + OVERHEAD)


def choose_epochs(epoch_s: float, budget_s: float, choices: Sequence[int]) -> int:
    """Take the largest of `choices` whose epochs fit into `budget_s`, at least the smallest."""
    if not choices or min(choices) < 1:
        raise ValueError(f"choices must be one or more numbers >= 1, got {list(choices)}")
    return max((n for n in choices if n * epoch_s <= budget_s), default=min(choices))
