"""Saliency by derivatives of the score: gradient, gradient times input, integrated gradients."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from asr.explain.score import ScoredNetwork

# Frames that go through the network at once.
MAX_FRAMES = 6000
# Steps of the first, coarsest sum.
FIRST_STEPS = 16


class Integral(NamedTuple):
    """Integrated gradients, and how complete they are.

    Attributes:
        attributions: (T, F) nats of the score.
        steps: points of the path that were summed.
        difference: score of the features less score of the baseline, nats.
        gap: sum of the attributions less `difference`, nats: 0 for the exact integral.
    """

    attributions: Tensor
    steps: int
    difference: float
    gap: float

    @property
    def relative_gap(self) -> float:
        """|gap| / |difference|."""
        return abs(self.gap) / max(abs(self.difference), 1e-12)


def mean_baseline(features: Tensor) -> Tensor:
    """The recording's own mean in every frame: (1, T, F) to (1, T, F).

    What says nothing of any moment; where features have mean 0 in an utterance, that is 0.
    """
    return features.mean(1, keepdim=True).expand_as(features)


def gradient(score: ScoredNetwork, features: Tensor) -> Tensor:
    """Differentiate by features (1, T, F): (T, F) nats for a unit of the feature.

    Source: Simonyan, Vedaldi and Zisserman 2014 (arXiv:1312.6034), section 3.
    """
    return score.gradient(features)[0]


def gradient_times_input(slopes: Tensor, features: Tensor, baseline: Tensor) -> Tensor:
    """(x - b) dQ / dx: (T, F) nats, what a straight line makes of Q(x) - Q(b).

    Args:
        slopes: dQ / dx by `gradient`, (T, F).
        features: x, (1, T, F).
        baseline: b, (1, T, F).

    Source: Shrikumar et al. 2016 (arXiv:1605.01713), with the baseline in place of 0.
    """
    return (features - baseline)[0] * slopes


def integrated_gradients(
    score: ScoredNetwork,
    features: Tensor,
    baseline: Tensor,
    tolerance: float,
    max_steps: int,
) -> Integral:
    """Integrate the gradient along the line from the baseline b to the features x.

        a = (x - b) int_0^1 dQ/dx (b + u (x - b)) du,    sum(a) = Q(x) - Q(b)

    The integral is the midpoint rule's, with twice the steps until the two sides agree.

    Args:
        score: the network with the score.
        features: (1, T, F).
        baseline: (1, T, F).
        tolerance: of |sum(a) - (Q(x) - Q(b))| / |Q(x) - Q(b)|, > 0.
        max_steps: at which it ends all the same, >= 1.

    Source: Sundararajan, Taly and Yan 2017 (arXiv:1703.01365), equation 1 and proposition 1.
    """
    ends = scores(score, torch.cat([features, baseline]))
    difference = float(ends[0] - ends[1])
    steps = min(FIRST_STEPS, max_steps)
    while True:
        places = (torch.arange(steps, device=features.device) + 0.5) / steps
        slopes = _sum_of_gradients(score, features, baseline, places) / steps
        attributions = ((features - baseline) * slopes)[0]
        gap = float(attributions.double().sum()) - difference
        integral = Integral(attributions, steps, difference, gap)
        if integral.relative_gap <= tolerance or steps == max_steps:
            return integral
        steps = min(2 * steps, max_steps)


@torch.no_grad()
def scores(score: ScoredNetwork, features: Tensor) -> Tensor:
    """Score features (N, T, F), some at a time: (N,) nats."""
    return torch.cat([score(part) for part in in_parts(features)])


def in_parts(features: Tensor) -> tuple[Tensor, ...]:
    """Split (N, T, F) into batches that memory holds."""
    return features.split(max(1, MAX_FRAMES // max(1, features.shape[1])))


def _sum_of_gradients(
    score: ScoredNetwork, features: Tensor, baseline: Tensor, places: Tensor
) -> Tensor:
    """Sum the gradients at places (P,) of the line: (1, T, F)."""
    total = torch.zeros_like(features)
    for part in places.split(max(1, MAX_FRAMES // max(1, features.shape[1]))):
        points = baseline + part[:, None, None].to(features) * (features - baseline)  # (P, T, F)
        total += score.gradient(points).sum(0, keepdim=True)
    return total


def sample_gradient(
    score: ScoredNetwork,
    front_end: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    waveform: Tensor,
) -> Tensor | None:
    """Differentiate through the front end: waveform (L,) to (L,) nats for a unit of amplitude.

    Returns:
        None where the front end cannot be differentiated.
    """
    samples = waveform[None].detach().requires_grad_()
    with torch.backends.cudnn.flags(enabled=False):
        features, _ = front_end(samples, torch.tensor([len(waveform)]))
        if not features.requires_grad:
            return None
        (found,) = torch.autograd.grad(score(features).sum(), samples, allow_unused=True)
    return None if found is None else found[0]
