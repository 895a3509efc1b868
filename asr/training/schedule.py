"""Learning-rate schedules: pure functions of progress, so resuming needs no state."""

import math


class WarmupCosine:
    """Linear warm-up, then half a cosine down.

    Args:
        warmup_epochs: epochs of warm-up, >= 0.
        final_fraction: of the peak rate, at the end, in [0, 1].

    Source: Loshchilov and Hutter 2017 (arXiv:1608.03983), equation 5, without restarts.
    """

    def __init__(self, *, warmup_epochs: float, final_fraction: float) -> None:
        if warmup_epochs < 0:
            raise ValueError(f"warmup_epochs must be >= 0, got {warmup_epochs}")
        if not 0 <= final_fraction <= 1:
            raise ValueError(f"final_fraction must be in [0, 1], got {final_fraction}")
        self.warmup_epochs = warmup_epochs
        self.final_fraction = final_fraction

    def __call__(self, epoch: float, max_epochs: int) -> float:
        """Factor on the peak rate at a fractional epoch."""
        if epoch < self.warmup_epochs:
            return epoch / self.warmup_epochs
        rest = max_epochs - self.warmup_epochs
        done = min(1.0, (epoch - self.warmup_epochs) / rest) if rest > 0 else 1.0
        cosine = (1 + math.cos(math.pi * done)) / 2
        return self.final_fraction + (1 - self.final_fraction) * cosine
