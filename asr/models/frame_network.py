"""Frame network: features (N, T, F) -> logits (T, N, C), each frame by itself."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from asr.features.front_end import length_mask

# A sigmoid's slope is 1/4 at most: without it, five layers make one constant of all frames.
SIGMOID_GAIN = 4.0


class FrameNetwork(nn.Module):
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

    class_layer = "linear"
    intermediate = None
    subsampling_factor = 1

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        num_layers: int,
        hidden_size: int,
        dropout: float,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"num_layers must be >= 1, got {num_layers}")
        if hidden_size < 1:
            raise ValueError(f"hidden_size must be >= 1, got {hidden_size}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {dropout}")
        sizes = [num_features] + [hidden_size] * num_layers
        self.layers = nn.ModuleList(_layer(*pair) for pair in pairwise(sizes))
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden_size, num_classes)

    def forward(self, features: Tensor, feature_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute class scores before the softmax.

        Args:
            features: (N, T, F); what stands beyond a length is ignored.
            feature_lengths: (N,) frames, 0..T.

        Returns:
            logits (T, N, C) and their lengths (N,).
        """
        mask = length_mask(feature_lengths, features.shape[1])[..., None]  # (N, T, 1)
        x = features.masked_fill(~mask, 0.0).transpose(0, 1)  # (T, N, F)
        for layer in self.layers:
            x = self.dropout(torch.sigmoid(layer(x)))
        return self.linear(x), feature_lengths

    def output_lengths(self, feature_lengths: Tensor) -> Tensor:
        """Frames that come out: those that come in."""
        return feature_lengths


def _layer(before: int, after: int) -> nn.Linear:
    layer = nn.Linear(before, after)
    nn.init.xavier_uniform_(layer.weight, gain=SIGMOID_GAIN)
    nn.init.zeros_(layer.bias)
    return layer
