"""Learning-rate schedules: pure functions of progress, so resuming needs no state.

Those that watch the dev set are functions of its losses at the end of the epochs so far, which the
trainer remembers. Losses, because error rates stand at 100 % through the first epochs of CTC.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol


class Schedule(Protocol):
    """Gives the factor on the peak rate."""

    def __call__(self, epoch: float, max_epochs: int, dev_losses: Sequence[float] = ()) -> float:
        """Factor on the peak rate, > 0 but for a warm-up's beginning.

        Args:
            epoch: epochs after the step that is taken, fractional.
            max_epochs: epochs at most.
            dev_losses: nats an utterance, at the end of each epoch so far.
        """
        ...


class Constant:
    """The peak rate throughout, after a linear warm-up.

    Args:
        warmup_epochs: epochs of warm-up, >= 0.
    """

    def __init__(self, *, warmup_epochs: float) -> None:
        _check_at_least_zero("warmup_epochs", warmup_epochs)
        self.warmup_epochs = warmup_epochs

    def __call__(self, epoch: float, max_epochs: int, dev_losses: Sequence[float] = ()) -> float:
        """Factor on the peak rate at a fractional epoch."""
        return _warm_up(epoch, self.warmup_epochs)


class WarmupCosine:
    """Linear warm-up, then half a cosine down.

    Args:
        warmup_epochs: epochs of warm-up, >= 0.
        final_fraction: of the peak rate, at the end, in [0, 1].

    Source: Loshchilov and Hutter 2017 (arXiv:1608.03983), equation 5, without restarts.
    """

    def __init__(self, *, warmup_epochs: float, final_fraction: float) -> None:
        _check_at_least_zero("warmup_epochs", warmup_epochs)
        _check_fraction("final_fraction", final_fraction)
        self.warmup_epochs = warmup_epochs
        self.final_fraction = final_fraction

    def __call__(self, epoch: float, max_epochs: int, dev_losses: Sequence[float] = ()) -> float:
        """Factor on the peak rate at a fractional epoch."""
        if epoch < self.warmup_epochs:
            return _warm_up(epoch, self.warmup_epochs)
        return _cosine(epoch, self.warmup_epochs, max_epochs, 1.0, self.final_fraction)


class InverseSquareRoot:
    """Linear warm-up over w epochs, then sqrt(w / epoch).

    Up to the peak it is Noam's: d^-0.5 min(n^-0.5, n w^-1.5).

    Args:
        warmup_epochs: w, > 0.

    Source: Vaswani et al. 2017 (arXiv:1706.03762), equation 3.
    """

    def __init__(self, *, warmup_epochs: float) -> None:
        if not warmup_epochs > 0:
            raise ValueError(f"warmup_epochs must be > 0, got {warmup_epochs}")
        self.warmup_epochs = warmup_epochs

    def __call__(self, epoch: float, max_epochs: int, dev_losses: Sequence[float] = ()) -> float:
        """Factor on the peak rate at a fractional epoch."""
        return min(epoch / self.warmup_epochs, math.sqrt(self.warmup_epochs / max(epoch, 1e-9)))


class OneCycle:
    """Half a cosine up from a fraction of the peak, and half a cosine down to a smaller one.

    The momentum stays as it is.

    Args:
        warmup_fraction: of the epochs, that go up, in [0, 1].
        start_fraction: of the peak rate, at the beginning, in [0, 1].
        final_fraction: of the peak rate, at the end, in [0, 1].

    Source: Smith and Topin 2018 (arXiv:1708.07120); with cosines as in torch's OneCycleLR.
    """

    def __init__(
        self, *, warmup_fraction: float, start_fraction: float, final_fraction: float
    ) -> None:
        _check_fraction("warmup_fraction", warmup_fraction)
        _check_fraction("start_fraction", start_fraction)
        _check_fraction("final_fraction", final_fraction)
        self.warmup_fraction = warmup_fraction
        self.start_fraction = start_fraction
        self.final_fraction = final_fraction

    def __call__(self, epoch: float, max_epochs: int, dev_losses: Sequence[float] = ()) -> float:
        """Factor on the peak rate at a fractional epoch."""
        top = self.warmup_fraction * max_epochs
        if epoch < top:
            return _cosine(epoch, 0.0, top, self.start_fraction, 1.0)
        return _cosine(epoch, top, max_epochs, 1.0, self.final_fraction)


class Plateau:
    """After a linear warm-up, the rate falls each time the dev loss has not for a while.

    Better is a loss below (1 - threshold) times the best before it.

    Args:
        warmup_epochs: epochs of warm-up, >= 0.
        factor: that the rate is multiplied with, in (0, 1).
        patience: epochs in a row without anything better that are borne, >= 0; the next one lowers
            the rate, and counting begins anew.
        threshold: in [0, 1).
        floor: of the factor on the peak rate, in [0, 1].
    """

    def __init__(
        self,
        *,
        warmup_epochs: float,
        factor: float,
        patience: int,
        threshold: float,
        floor: float,
    ) -> None:
        _check_at_least_zero("warmup_epochs", warmup_epochs)
        _check_at_least_zero("patience", patience)
        _check_factor(factor, threshold)
        _check_fraction("floor", floor)
        self.warmup_epochs = warmup_epochs
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.floor = floor

    def __call__(self, epoch: float, max_epochs: int, dev_losses: Sequence[float] = ()) -> float:
        """Factor on the peak rate at a fractional epoch."""
        best, since_best, scale = math.inf, 0, 1.0
        for loss in dev_losses:
            if loss < best * (1 - self.threshold):
                best, since_best = loss, 0
                continue
            since_best += 1
            if since_best > self.patience:
                scale, since_best = max(self.floor, scale * self.factor), 0
        return scale * _warm_up(epoch, self.warmup_epochs)


class NewBob:
    """The peak rate until an epoch gains little, and from then on half as much each epoch.

    ICSI's schedule also ends training once an epoch gains little again: `trainer.patience` does.

    Args:
        warmup_epochs: epochs of warm-up, linear, >= 0.
        factor: that the rate is multiplied with, in (0, 1).
        threshold: a gain is little that is below this part of the loss before, in [0, 1).

    Source: Bourlard and Morgan 1994, "Connectionist speech recognition"; ICSI's QuickNet, which
    watches the accuracy of frames.
    """

    def __init__(self, *, warmup_epochs: float, factor: float, threshold: float) -> None:
        _check_at_least_zero("warmup_epochs", warmup_epochs)
        _check_factor(factor, threshold)
        self.warmup_epochs = warmup_epochs
        self.factor = factor
        self.threshold = threshold

    def __call__(self, epoch: float, max_epochs: int, dev_losses: Sequence[float] = ()) -> float:
        """Factor on the peak rate at a fractional epoch."""
        scale = _warm_up(epoch, self.warmup_epochs)
        for number, (before, loss) in enumerate(pairwise(dev_losses), start=2):
            # Within the warm-up, a small gain says nothing.
            if number > self.warmup_epochs and before - loss < self.threshold * before:
                return scale * self.factor ** (len(dev_losses) + 1 - number)
        return scale


def _warm_up(epoch: float, warmup_epochs: float) -> float:
    return epoch / warmup_epochs if epoch < warmup_epochs else 1.0


def _cosine(epoch: float, start: float, end: float, first: float, last: float) -> float:
    """Half a cosine from `first` at epoch `start` to `last` at `end`, and that from there on."""
    done = min(1.0, (epoch - start) / (end - start)) if end > start else 1.0
    return last + (first - last) * (1 + math.cos(math.pi * done)) / 2


def _check_at_least_zero(name: str, value: float) -> None:
    if value < 0:
        raise ValueError(f"{name} must be >= 0, got {value}")


def _check_fraction(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {value}")


def _check_factor(factor: float, threshold: float) -> None:
    if not 0 < factor < 1:
        raise ValueError(f"factor must be in (0, 1), got {factor}")
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold must be in [0, 1), got {threshold}")
