"""Frame network: features (N, T, F) -> logits (T, N, C), each frame by itself."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from asr.features.front_end import length_mask
from asr.models.network import StridedNetwork
from asr.models.options import check_counts, check_dropout

# A sigmoid's slope is 1/4 at most: without it, five layers make one constant of all frames.
SIGMOID_GAIN = 4.0


class FrameNetwork(StridedNetwork):
    """Sigmoid layers on one frame after the other, and a linear layer.

    What it knows of time is what the front end joins to a frame (`features.context`).

    Args:
        num_features: F, bins of the input.
        num_classes: C, with blank.
        num_layers: sigmoid layers, >= 1.
        hidden_size: units of each.
        dropout: probability, after every layer.

    Source: Nagamine et al. 2015, "Exploring how deep neural networks form phonemic categories";
    the deviation of first weights: Glorot and Bengio 2010, "Understanding the difficulty of
    training deep feedforward neural networks", equation 16.
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        num_layers: int,
        hidden_size: int,
        dropout: float,
    ) -> None:
        check_counts(num_layers=num_layers, hidden_size=hidden_size)
        check_dropout(dropout)
        super().__init__([])
        sizes = [num_features] + [hidden_size] * num_layers
        self.layers = nn.ModuleList(_layer(*pair) for pair in pairwise(sizes))
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden_size, num_classes)

    def encode(self, features: Tensor, feature_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, T, F), (N,) to (T, N, H), (N,)."""
        mask = length_mask(feature_lengths, features.shape[1])[..., None]  # (N, T, 1)
        x = features.masked_fill(~mask, 0.0).transpose(0, 1)  # (T, N, F)
        for layer in self.layers:
            x = self.dropout(torch.sigmoid(layer(x)))
        return x, feature_lengths


def _layer(before: int, after: int) -> nn.Linear:
    layer = nn.Linear(before, after)
    nn.init.xavier_uniform_(layer.weight, gain=SIGMOID_GAIN)
    nn.init.zeros_(layer.bias)
    return layer
