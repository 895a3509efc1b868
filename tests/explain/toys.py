"""Networks so small that their derivatives are written down by hand."""

import torch
from torch import nn

from asr.explain.score import ScoredNetwork


class Toy(nn.Module):
    """Layers on every frame of (N, T, F), one after the other; logits are (T, N, C)."""

    subsampling_factor = 1
    class_layer = ""
    intermediate = None

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, features, lengths):
        x = features
        for layer in self.layers:
            x = layer(x)
        return x.transpose(0, 1), lengths

    def output_lengths(self, feature_lengths):
        return feature_lengths


class Function(nn.Module):
    """A function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def linear(weights):
    """A layer (F -> rows of `weights`) without a bias, in float64."""
    weights = torch.as_tensor(weights, dtype=torch.float64)
    layer = nn.Linear(weights.shape[1], weights.shape[0], bias=False, dtype=torch.float64)
    layer.weight.data.copy_(weights)
    return layer


def scored(*layers, score):
    return ScoredNetwork(Toy(*layers), score)
