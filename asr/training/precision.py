"""Which number format is faster on this machine: measured, not guessed."""

import logging
import time
from copy import deepcopy

import torch

from asr.data.loading import Batch
from asr.training import distributed
from asr.training.step import DTYPES, Stepper

logger = logging.getLogger(__name__)
# bfloat16 must earn its rounding: it is chosen only where it saves a tenth.
WORTHWHILE = 0.9


def measure_precision(stepper: Stepper, batch: Batch) -> str:
    """Time a training step in float32 and bfloat16, on a copy of the model.

    Args:
        stepper: as training will use it.
        batch: a batch that is like the others.

    Returns:
        "float32" or "bfloat16", the same on every rank.
    """
    trial = deepcopy(stepper.model)
    optimizer = torch.optim.SGD(trial.network.parameters(), lr=0.0)
    steps = {
        precision: Stepper(
            trial,
            optimizer,
            augment=None,
            loss=stepper.loss,
            precision=precision,
            grad_clip=stepper.grad_clip,
        )
        for precision in DTYPES
    }
    seconds = {precision: torch.tensor(float("inf")) for precision in DTYPES}
    # In turn, and the least of several: other programs disturb single measurements. The first
    # round is the warm-up in which kernels compile.
    for _ in range(4):
        for precision, step in steps.items():
            started = time.perf_counter()
            step(batch, 0.0, 0)
            taken = torch.tensor(time.perf_counter() - started)
            seconds[precision] = torch.minimum(seconds[precision], taken)
    distributed.copy_from_first(seconds.values())
    faster = seconds["bfloat16"] < WORTHWHILE * seconds["float32"]
    chosen = "bfloat16" if faster else "float32"
    logger.info(
        "precision: %s (a step took %.3f s in float32, %.3f s in bfloat16)",
        chosen,
        seconds["float32"],
        seconds["bfloat16"],
    )
    return chosen
