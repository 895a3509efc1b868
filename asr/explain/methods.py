"""The methods of saliency side by side: how each is computed, and what its map means."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from torch import Tensor

from asr.explain.class_activation import class_activation
from asr.explain.gradients import (
    Integral,
    gradient,
    gradient_times_input,
    integrated_gradients,
    mean_baseline,
)
from asr.explain.rectifiers import Rectifiers, Rectify, deconvolve, guide
from asr.explain.score import ScoredNetwork


class Method(NamedTuple):
    """A way to a map.

    Attributes:
        title: as a page names it.
        formula: of the map.
        shows: what a reader sees in it.
        unit: of its cells.
        signed: whether its cells add to the score or take from it; otherwise their size counts.
    """

    title: str
    formula: str
    shows: str
    unit: str
    signed: bool


class SaliencyMap(NamedTuple):
    """A method's map (T, F), or None; and a remark: of what it was made, or why it is not there."""

    method: Method
    values: np.ndarray | None
    remark: str = ""

    def per_frame(self) -> np.ndarray:
        """How much each frame matters: (T,).

        Of a signed map the sum of a frame, an estimate of what the score loses without it; of
        another the sum of the sizes.
        """
        assert self.values is not None
        return (self.values if self.method.signed else np.abs(self.values)).sum(1)


METHODS: dict[str, Method] = {
    "gradient": Method(
        "Gradient",
        "|∂Q/∂x|",
        "where a small change of the features would move the score, up or down",
        "nats for a unit of the feature",
        signed=False,
    ),
    "gradient_times_input": Method(
        "Gradient times input",
        "(x - b) ∂Q/∂x",
        "what the features here add to the score or take from it, were the network linear",
        "nats",
        signed=True,
    ),
    "integrated_gradients": Method(
        "Integrated gradients",
        "(x - b) ∫₀¹ ∂Q/∂x (b + u (x - b)) du",
        "what the features here add to the score or take from it; the cells sum to Q(x) - Q(b)",
        "nats",
        signed=True,
    ),
    "guided_backpropagation": Method(
        "Guided backpropagation",
        "R ← (f > 0) (R > 0) R at every rectifier",
        "fine patterns that make active units more active; it looks crisp on any network",
        "no unit",
        signed=False,
    ),
    "deconvolution": Method(
        "Deconvolution",
        "R ← (R > 0) R at every rectifier",
        "patterns that would excite the units above, whether they were active or not",
        "no unit",
        signed=False,
    ),
    "class_activation": Method(
        "Grad-CAM",
        "max(0, Σₖ αₖ Aₖ), αₖ the mean of ∂Q/∂Aₖ",
        "which places of the last convolution speak for the word; as coarse as its frames and bins",
        "no unit",
        signed=False,
    ),
}


def compute_maps(score: ScoredNetwork, features: Tensor) -> dict[str, SaliencyMap]:
    """Compute the maps of features (1, T, F) by all methods but integrated gradients."""
    slopes = gradient(score, features)
    results: dict[str, Tensor | str | tuple[Tensor, str]] = {
        "gradient": slopes,
        "gradient_times_input": gradient_times_input(slopes, features, mean_baseline(features)),
        "guided_backpropagation": _through_rectifiers(score, features, guide),
        "deconvolution": _through_rectifiers(score, features, deconvolve),
    }
    activation = class_activation(score, features)
    results["class_activation"] = (
        activation if isinstance(activation, str) else (activation.values, f"of {activation.layer}")
    )
    return {name: _as_map(METHODS[name], found) for name, found in results.items()}


def compute_integral(
    score: ScoredNetwork, features: Tensor, tolerance: float, max_steps: int
) -> tuple[Integral, SaliencyMap]:
    """Compute integrated gradients of features (1, T, F), and their map."""
    found = integrated_gradients(score, features, mean_baseline(features), tolerance, max_steps)
    remark = f"{found.steps} steps"
    return found, _as_map(METHODS["integrated_gradients"], (found.attributions, remark))


def in_order(maps: Mapping[str, SaliencyMap]) -> dict[str, SaliencyMap]:
    """Bring maps into the order of `METHODS`."""
    return {name: maps[name] for name in METHODS if name in maps}


def _through_rectifiers(
    score: ScoredNetwork, features: Tensor, rectify: Rectify
) -> str | tuple[Tensor, str]:
    with Rectifiers(rectify) as rectifiers:
        found = score.gradient(features)[0]
    if not rectifiers.count:
        return "does not apply: the network has no rectifier (ReLU)"
    return found, f"changed at {rectifiers.count} rectifier{'s' if rectifiers.count > 1 else ''}"


def _as_map(method: Method, found: Tensor | str | tuple[Tensor, str]) -> SaliencyMap:
    if isinstance(found, str):
        return SaliencyMap(method, None, found)
    values, remark = (found, "") if isinstance(found, Tensor) else found
    return SaliencyMap(method, values.detach().float().cpu().numpy(), remark)
