"""A network's matrices: how their weights are spread, and their singular values."""

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from asr.models import Network

# Bins of a histogram.
NUM_BINS = 60


class Matrix(NamedTuple):
    """A parameter of two or more dimensions, as a matrix: its first against all others.

    Attributes:
        name: of the parameter.
        shape: of the parameter.
        mean: of its weights.
        deviation: of its weights.
        edges: (NUM_BINS + 1,) of the histogram's bins.
        counts: (NUM_BINS,) weights in each.
        singular_values: largest first.
    """

    name: str
    shape: tuple[int, ...]
    mean: float
    deviation: float
    edges: np.ndarray
    counts: np.ndarray
    singular_values: np.ndarray

    @property
    def effective_rank(self) -> float:
        """How many are large: exp of the entropy of the values' shares; 0 for a matrix of zeros.

        Source: Roy and Vetterli 2007, "The effective rank: a measure of effective dimensionality".
        """
        total = self.singular_values.sum()
        if not total:
            return 0.0
        shares = self.singular_values[self.singular_values > 0] / total
        return float(np.exp(-(shares * np.log(shares)).sum()))


@torch.no_grad()
def describe_weights(network: Network) -> list[Matrix]:
    """Describe every parameter of two or more dimensions, in the order of the network."""
    assert isinstance(network, nn.Module)
    return [
        _describe(name, parameter.detach().float().cpu())
        for name, parameter in network.named_parameters()
        if parameter.dim() >= 2
    ]


def _describe(name: str, weights: torch.Tensor) -> Matrix:
    counts, edges = np.histogram(weights.numpy(), NUM_BINS)
    values = torch.linalg.svdvals(weights.flatten(1)).numpy()
    mean, deviation = float(weights.mean()), float(weights.std(correction=0))
    return Matrix(name, tuple(weights.shape), mean, deviation, edges, counts, values)
