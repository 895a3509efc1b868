"""Deletion curves: what is left of a word when the frames that a map calls salient are taken out.

A frame is taken out by putting the baseline in its place. A map that finds what the network uses
must hurt the word more than an order drawn at random does.

Source: Samek et al. 2017 (arXiv:1509.06321), "region perturbation"; Petsiuk et al. 2018
(arXiv:1806.07421), the area under the curve.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from asr.explain.gradients import mean_baseline, scores
from asr.explain.methods import SaliencyMap
from asr.explain.score import ScoredNetwork

# Shares of all frames that are taken out: close together first, where salient frames differ most.
SHARES = np.linspace(0.0, 1.0, 11) ** 2


class Deletions(NamedTuple):
    """Curves over `SHARES`: the geometric mean probability of the word's labels, in [0, 1].

    Attributes:
        shares: (P,) of the frames that are taken out.
        curves: (P,) of each method, the most salient frames first.
        random: (D, P) of orders drawn at random.
    """

    shares: np.ndarray
    curves: dict[str, np.ndarray]
    random: np.ndarray

    def area(self, name: str) -> float:
        """Area under a method's curve: small where salient frames are needed."""
        return area_under(self.shares, self.curves[name])

    def random_areas(self) -> np.ndarray:
        """Areas (D,) under the curves of random orders."""
        return np.array([area_under(self.shares, curve) for curve in self.random])


def delete_frames(
    score: ScoredNetwork,
    features: Tensor,
    maps: Mapping[str, SaliencyMap],
    draws: int,
    seed: int,
) -> Deletions:
    """Take out frames of features (1, T, F) by every map there is, and in random orders.

    Args:
        score: the network with the score.
        features: of the recording.
        maps: of the same features.
        draws: random orders, >= 1.
        seed: of the orders, >= 0.
    """
    rng = np.random.default_rng(seed)
    curves = {
        name: curve(score, features, np.argsort(-found.per_frame(), kind="stable"))
        for name, found in maps.items()
        if found.values is not None
    }
    orders = [rng.permutation(features.shape[1]) for _ in range(draws)]
    random = np.stack([curve(score, features, order) for order in orders])
    return Deletions(SHARES, curves, random)


def curve(score: ScoredNetwork, features: Tensor, order: np.ndarray) -> np.ndarray:
    """Take out frames of features (1, T, F) in an order (T,): probabilities (P,)."""
    counts = np.rint(SHARES * len(order)).astype(int)
    found = scores(score, without(features, [order[:count] for count in counts]))
    return score.score.probability(found).cpu().double().numpy()


def without(features: Tensor, frames: Sequence[np.ndarray]) -> Tensor:
    """Copies (P, T, F) of features (1, T, F), each with the baseline in some frames."""
    baseline = mean_baseline(features)
    gone = torch.zeros(len(frames), features.shape[1], 1, dtype=torch.bool, device=features.device)
    for row, chosen in zip(gone, frames, strict=True):
        row[torch.tensor(chosen.tolist(), dtype=torch.int64, device=features.device)] = True
    return torch.where(gone, baseline, features)


def area_under(shares: np.ndarray, values: np.ndarray) -> float:
    """Area under straight lines between points."""
    return float(np.trapezoid(values, shares))
