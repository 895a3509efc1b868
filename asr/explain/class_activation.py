"""Grad-CAM: which places of the last convolution's maps the score rests on.

    alpha_k = mean over places of dQ / dA_k,     map = max(0, sum_k alpha_k A_k)

The last convolution is the last one over time and frequency; in a network without any, the last one
over time. A_k are the maps that the first rectifier behind it gives at the same places, or its own
where none does. Places are wider than the features': the map is interpolated to their size. A
network on samples has channels of filters for bins, which are no place in a frame of samples: there
the map is the mean of its bins, interpolated from sample to sample.

Source: Selvaraju et al. 2017 (arXiv:1610.02391), equations 1 and 2; class activation maps (Zhou et
al. 2016, arXiv:1512.04150) are the case of a linear layer on the means of the maps.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from asr.explain.recording import CONVOLUTIONS, Call, by_time, modules_of, recording, time_axes
from asr.explain.rectifiers import Rectifiers, clip
from asr.explain.score import ScoredNetwork
from asr.models import WaveformNetwork


class ClassActivation(NamedTuple):
    """A map (T, F) >= 0, without a unit, and what it weighs."""

    values: Tensor
    layer: str


class Target(NamedTuple):
    """Maps that are weighed: their place among the convolutions' calls, and themselves."""

    place: int
    maps: Tensor
    rectified: bool


def class_activation(score: ScoredNetwork, features: Tensor) -> ClassActivation | str:
    """Compute Grad-CAM of features (1, T, F).

    Returns:
        The map, or why there is none.
    """
    behind: list[tuple[int, Tensor]] = []  # convolutions before a rectifier, and what it gives

    def note(x: Tensor, ceiling: float) -> Tensor:
        behind.append((len(calls), clip(x, ceiling)))
        return behind[-1][1]

    with recording(score.network, _is_convolution) as calls, Rectifiers(note):
        result = score(features.detach().requires_grad_())
    target = choose_target(calls, behind)
    if target is None:
        return "does not apply: the network has no convolution"
    axes = time_axes(calls, score.network, features, _is_convolution)
    name, axis = calls[target.place].name, axes[target.place]
    if axis is None or axis == 1:
        return f"does not apply: no axis of {name} follows the time of the features"
    with torch.backends.cudnn.flags(enabled=False):
        (slopes,) = torch.autograd.grad(result.sum(), target.maps)
    maps, slopes = (by_time(x.detach(), axis, channels=1) for x in (target.maps, slopes))
    if maps is None or slopes is None:
        return f"does not apply: {name} gives more than channels, frames and bins"
    parts = [score.network, *modules_of(score.network).values()]
    on_samples = any(isinstance(part, WaveformNetwork) for part in parts)
    values = weigh_maps(maps, slopes, features.shape[1:], on_samples=on_samples)
    return ClassActivation(values, f"{name}, rectified" if target.rectified else name)


def weigh_maps(maps: Tensor, slopes: Tensor, size: Sequence[int], *, on_samples: bool) -> Tensor:
    """Weigh maps (T', K[, F']) by their mean slopes; bring what is positive to a size (T, F)."""
    bins = maps.flatten(2) if maps.dim() > 2 else maps[..., None]  # (T', K, F')
    weights = slopes.reshape(bins.shape).mean((0, 2))  # (K,)
    weighted = torch.einsum("tkf,k->tf", bins, weights).clamp_min(0.0)
    if on_samples:
        places, mode, weighted = (math.prod(size),), "linear", weighted.mean(1)
    else:
        places, mode = tuple(size), "bilinear"
    found = nn.functional.interpolate(
        weighted[None, None], size=places, mode=mode, align_corners=False
    )
    return found.reshape(*size)


def choose_target(calls: Sequence[Call], behind: Sequence[tuple[int, Tensor]]) -> Target | None:
    """Find the maps to weigh; None without any convolution.

    Args:
        calls: of the convolutions, in order.
        behind: for each rectifier, how many convolutions were before it, and what it gave.
    """
    kinds = [kind for kind in (nn.Conv2d, nn.Conv1d) if any(_is(kind, call) for call in calls)]
    if not kinds:
        return None
    last = max(place for place, call in enumerate(calls) if _is(kinds[0], call))
    own = calls[last].output
    for count, output in behind:
        same_places = output.dim() == own.dim() and output.shape[2:] == own.shape[2:]
        if count > last and same_places and len(output) == len(own):
            return Target(last, output, rectified=True)
    return Target(last, own, rectified=False)


def _is_convolution(name: str, module: nn.Module) -> bool:
    return isinstance(module, CONVOLUTIONS)


def _is(kind: type[nn.Module], call: Call) -> bool:
    return isinstance(call.module, kind)
