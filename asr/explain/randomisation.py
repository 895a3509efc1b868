"""Randomised weights: a map that stays the same without what was learnt does not show it.

From the output down, one layer after the other gets weights drawn at random, of the mean and the
deviation that its own had, and stays so. Each time the maps are computed anew, of the same score,
and compared with those of the trained network by the rank correlation of their cells' sizes.

Source: Adebayo et al. 2018 (arXiv:1810.03292), section 3, "cascading randomization".
"""

import copy
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from asr.evaluation.ranks import ranks
from asr.explain.gradients import FIRST_STEPS
from asr.explain.methods import SaliencyMap, compute_integral, compute_maps
from asr.explain.recording import modules_of, record
from asr.explain.score import ScoredNetwork
from asr.models import Network

# Layers of a deep network are randomised some at a time, in so many stages.
MOST_STAGES = 6


class Randomisation(NamedTuple):
    """Similarity of the maps to those of the trained network.

    Attributes:
        stages: the lowest layer that is random, from the output down; the last is the whole
            network.
        correlations: (stages,) of each method, in [-1, 1]; NaN where a map is flat. Integrated
            gradients, which are costly, have the last stage alone, and NaN before it.
        floor: of each method, between two networks that are random throughout: what the shape of
            the network and the recording itself leave alike.
    """

    stages: list[str]
    correlations: dict[str, np.ndarray]
    floor: dict[str, float]


def randomise_maps(
    score: ScoredNetwork,
    features: Tensor,
    maps: Mapping[str, SaliencyMap],
    frames: np.ndarray,
    seed: int,
) -> Randomisation:
    """Compare maps of features (1, T, F) with those of ever more random networks.

    Args:
        score: the trained network with the score.
        features: of the recording.
        maps: of the trained network.
        frames: (T,) bool, those that are compared: at others a score says nothing of moments far
            from its own, whatever the weights are.
        seed: of the weights.
    """
    generator = torch.Generator().manual_seed(seed)
    stages = stages_of(score.network, features)
    network = ScoredNetwork(copy.deepcopy(score.network), score.score)
    found = []
    for names in stages:
        randomise(network.network, names, generator)
        found.append(compute_maps(network, features))
    found[-1] |= _integral(network, features)
    other = ScoredNetwork(copy.deepcopy(score.network), score.score)
    randomise(other.network, [name for names in stages for name in names], generator)
    second = compute_maps(other, features) | _integral(other, features)
    shown = [name for name, made in maps.items() if made.values is not None]
    return Randomisation(
        [names[-1] for names in stages],
        {
            name: np.array([_similarity(maps, stage, name, frames) for stage in found])
            for name in shown
        },
        {name: _similarity(found[-1], second, name, frames) for name in shown},
    )


def _integral(score: ScoredNetwork, features: Tensor) -> dict[str, SaliencyMap]:
    # A coarse sum will do: nothing is read off it but the order of its cells.
    _, found = compute_integral(score, features, tolerance=1.0, max_steps=FIRST_STEPS)
    return {"integrated_gradients": found}


def stages_of(network: Network, features: Tensor) -> list[list[str]]:
    """Group the modules that have weights and are used, from the output down."""
    calls = record(network, features, lambda _, module: bool([*module.parameters(recurse=False)]))
    names = list(dict.fromkeys(call.name for call in calls))[::-1]
    return [part.tolist() for part in np.array_split(names, min(MOST_STAGES, len(names)))]


@torch.no_grad()
def randomise(network: Network, names: Sequence[str], generator: torch.Generator) -> None:
    """Draw the weights of some modules anew, with the mean and the deviation that they had."""
    modules = modules_of(network)
    for name in names:
        for parameter in modules[name].parameters(recurse=False):
            noise = torch.randn(parameter.shape, generator=generator).to(parameter)
            parameter.copy_(parameter.mean() + parameter.std(correction=0) * noise)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation of two arrays of one shape; NaN where one is constant."""
    a, b = (ranks(x.ravel()) for x in (first, second))
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else float("nan")


def _similarity(
    first: Mapping[str, SaliencyMap],
    second: Mapping[str, SaliencyMap],
    name: str,
    frames: np.ndarray,
) -> float:
    if name not in second:
        return float("nan")
    a, b = first[name].values, second[name].values
    assert a is not None
    assert b is not None
    return rank_correlation(np.abs(a[frames]), np.abs(b[frames]))
