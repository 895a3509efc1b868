"""Convolutions over time, and over time and frequency, that honour lengths.

Every layer takes and returns zero beyond an utterance's length. After a time stride s an utterance
has ceil(length / s) frames, the first of them centred on the first that came in. A layer's
`windows` are what it sees of time.
"""

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.features.front_end import length_mask
from asr.models.blocks import MaskedBatchNorm
from asr.models.network import StridedNetwork
from asr.models.options import check_kernel, check_strides
from asr.models.receptive_field import Window, ceil_div


class ConvBlock(nn.Module):
    """2-D convolution over time and frequency, batch norm, activation.

    Args:
        in_channels: C.
        channels: C'.
        kernel: (frames, bins), odd.
        stride: (frames, bins).
        activation: what maps zero to zero, so that padding stays zero.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        activation: nn.Module,
    ) -> None:
        super().__init__()
        check_kernel(*kernel)
        check_strides(*stride)
        self.windows = (Window(kernel[0], stride[0]),)
        self.stride = stride
        padding = (kernel[0] // 2, kernel[1] // 2)
        # The batch norm that follows has the bias.
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride, padding, bias=False)
        self.norm = MaskedBatchNorm(channels, feature_dim=1)
        self.activation = activation

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, C, T, F), (N,) to (N, C', ceil(T / s), ceil(F / s')), (N,)."""
        x = self.conv(x)
        lengths = ceil_div(lengths, self.stride[0])
        mask = map_mask(lengths, x)
        x = self.norm(x.masked_fill(~mask, 0.0), mask)
        return self.activation(x), lengths


class Pool(nn.Module):
    """What pooling layers share: cells that do not overlap.

    Args:
        size: (frames, bins) of a cell; what is left at an end is a cell too.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        check_strides(*size)
        self.size = size
        self.windows = (Window(size[0], size[0]),)


class MaxPool(Pool):
    """Largest value of cells, of maps >= 0: there, padding never wins."""

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, C, T, F), (N,) to (N, C, ceil(T / s), ceil(F / s')), (N,)."""
        x = functional.max_pool2d(x, self.size, ceil_mode=True)
        return x, ceil_div(lengths, self.size[0])


class MeanPool(Pool):
    """Mean of cells, over what is speech in them."""

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, C, T, F), (N,) to (N, C, ceil(T / s), ceil(F / s')), (N,)."""
        speech = map_mask(lengths, x).to(x.dtype)  # (N, 1, T, 1)
        mean = functional.avg_pool2d(x, self.size, ceil_mode=True)
        share = functional.avg_pool2d(speech, (self.size[0], 1), ceil_mode=True)  # (N, 1, T', 1)
        # A cell without speech is zero over something.
        mean = mean / share.clamp_min(torch.finfo(x.dtype).tiny)
        return mean, ceil_div(lengths, self.size[0])


class ConvStack(nn.ModuleList):
    """2-D layers one after the other, on features as a map of one channel."""

    @property
    def windows(self) -> Iterator[Window]:
        """What the layers see of time, in order."""
        for layer in self:
            yield from cast(ConvBlock, layer).windows

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, T, F), anything beyond (N,) lengths, to (T', N, C F'), zero there, and (N,)."""
        x = clear_padding(features, lengths)[:, None]  # (N, 1, T, F)
        for layer in self:
            x, lengths = layer(x, lengths)
        return x.permute(2, 0, 1, 3).flatten(2), lengths  # (T', N, C F')


class MapNetwork(StridedNetwork):
    """A network of 2-D layers, whose last map's channels and bins give the classes of a frame.

    Args:
        convs: the layers.
        size: features of a frame that come out of them, C F'.
        num_classes: C, with blank.
        dropout: probability, before the linear layer.
    """

    def __init__(self, convs: ConvStack, size: int, num_classes: int, dropout: float) -> None:
        super().__init__(convs.windows)
        self.convs = convs
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(size, num_classes)

    def encode(self, features: Tensor, feature_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, T, F), (N,) to (T', N, C F'), (N,)."""
        x, lengths = self.convs(features, feature_lengths)  # (T', N, C F')
        return self.dropout(x), lengths


class DepthwiseConv(nn.Module):
    """1-D convolution of each channel by itself: y[t, h] = sum_j w[h, j] x[s t + j - K // 2, h].

    It is computed as a 2-D one over a map of one bin. In that layout the channels of a frame lie
    side by side, as the linear layers around it want them; on CPUs it took a half to a quarter of
    the time of `nn.Conv1d` (N=32, T=100, H=192, K=31).

    Args:
        channels: H.
        kernel: K frames, odd.
        stride: s frames.
    """

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        check_kernel(kernel)
        check_strides(stride)
        self.windows = (Window(kernel, stride),)
        self.conv = nn.Conv2d(
            channels,
            channels,
            (kernel, 1),
            (stride, 1),
            (kernel // 2, 0),
            groups=channels,
            bias=False,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, H) to (N, ceil(T / s), H)."""
        x = x.transpose(1, 2)[..., None]  # (N, H, T, 1), channels last in memory
        return self.conv(x)[..., 0].transpose(1, 2)  # (N, T', H)


class SqueezeExcitation(nn.Module):
    """Scale channels by what the whole utterance holds.

    y[t] = x[t] * sigmoid(W2 ReLU(W1 mean_t x[t])),   the mean over speech

    Args:
        channels: H.
        reduction: H over the size between W1 and W2, 1..H.

    Source: Hu et al. 2018 (arXiv:1709.01507), equations 2 to 4; over time Han et al. 2020
    (arXiv:2005.03191), "ContextNet".
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        if not 1 <= reduction <= channels:
            raise ValueError(f"squeeze_reduction must be 0..{channels}, got {reduction}")
        self.gate = nn.Sequential(
            nn.Linear(channels, channels // reduction, bias=False),
            nn.ReLU(),
            nn.Linear(channels // reduction, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map (N, T, H), (N,) to (N, T, H)."""
        mean = x.sum(1) / lengths.clamp_min(1)[:, None]  # (N, H)
        return x * self.gate(mean)[:, None]


def map_mask(lengths: Tensor, x: Tensor) -> Tensor:
    """Mark the speech of maps (N, C, T, F): (N, 1, T, 1) bool."""
    return length_mask(lengths, x.shape[2])[:, None, :, None]


def frame_mask(lengths: Tensor, x: Tensor) -> Tensor:
    """Mark the speech of frames (N, T, H): (N, T, 1) bool."""
    return length_mask(lengths, x.shape[1])[..., None]


def clear_padding(features: Tensor, lengths: Tensor) -> Tensor:
    """Put zeros beyond lengths (N,) of features (N, T, F), whatever stands there.

    Features without a frame get one of padding, which kernels need.
    """
    if features.shape[1] == 0:
        features = functional.pad(features, (0, 0, 0, 1))
    return features.masked_fill(~frame_mask(lengths, features), 0.0)
