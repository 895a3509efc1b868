"""QuartzNet and Citrinet: features (N, T, F) -> logits (T', N, C), by convolutions over time alone.

Within, frames are (N, T, H).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from asr.models.blocks import MaskedBatchNorm
from asr.models.convolutions import DepthwiseConv, SqueezeExcitation, clear_padding, frame_mask
from asr.models.network import StridedNetwork
from asr.models.options import check_counts, check_dropout, check_entries
from asr.models.receptive_field import EVERYTHING, ceil_div


class QuartzNet(StridedNetwork):
    """Residual blocks of time-channel separable convolutions.

    A block of a single convolution has no way around it, as the papers' first and last ones. With
    `squeeze_reduction` it is a Citrinet, whose blocks also weigh channels by the whole utterance.
    The papers' dilated convolution is not here.

    Args:
        num_features: F, bins of the input.
        num_classes: C, with blank.
        channels: H of each block.
        kernels: frames of each block's convolutions, odd.
        strides: of the last convolution of each block; the product is `subsampling_factor`.
        depths: convolutions of each block.
        squeeze_reduction: H over the size that squeeze-and-excitation goes through; 0 for none.
        dropout: probability, after every convolution's ReLU.

    Source: Kriman et al. 2020 (arXiv:1910.10261), section 2; Majumdar et al. 2021
    (arXiv:2104.01721), section 2.
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        channels: Sequence[int],
        kernels: Sequence[int],
        strides: Sequence[int],
        depths: Sequence[int],
        squeeze_reduction: int,
        dropout: float,
    ) -> None:
        check_entries("block", channels=channels, kernels=kernels, strides=strides, depths=depths)
        check_counts(channels=channels, depths=depths)
        check_dropout(dropout)
        blocks, size = [], num_features
        for block in zip(channels, kernels, strides, depths, strict=True):
            blocks.append(SeparableBlock(size, *block, squeeze_reduction, dropout))
            size = block[0]
        super().__init__(window for block in blocks for window in block.windows)
        self.blocks = nn.ModuleList(blocks)
        self.linear = nn.Linear(size, num_classes)

    def encode(self, features: Tensor, feature_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, T, F), (N,) to (T', N, H), (N,)."""
        x, lengths = clear_padding(features, feature_lengths), feature_lengths
        for block in self.blocks:
            x, lengths = block(x, lengths)
        return x.transpose(0, 1), lengths  # (T', N, H)


class SeparableBlock(nn.Module):
    """Separable convolutions with ReLU between, and a way around them: y = ReLU(S(F(x)) + W x).

    W is a 1 x 1 convolution with batch norm; S is squeeze-and-excitation or nothing.

    Args:
        in_channels: H in.
        channels: H out.
        kernel: frames of every convolution, odd.
        stride: of the last convolution and of W.
        depth: convolutions; with one, W is left out.
        squeeze_reduction: of S; 0 for none.
        dropout: probability, after every ReLU.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int,
        stride: int,
        depth: int,
        squeeze_reduction: int,
        dropout: float,
    ) -> None:
        super().__init__()
        convs = []
        for number in range(1, depth + 1):
            step = stride if number == depth else 1
            convs.append(SeparableConv(channels if convs else in_channels, channels, kernel, step))
        self.windows = tuple(window for conv in convs for window in conv.windows)
        self.convs = nn.ModuleList(convs)
        self.squeeze = None
        if squeeze_reduction:
            self.squeeze = SqueezeExcitation(channels, squeeze_reduction)
            self.windows += (EVERYTHING,)
        self.stride = stride
        self.shortcut = Pointwise(in_channels, channels) if depth > 1 else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, T, H), (N,) to (N, ceil(T / s), H'), (N,)."""
        y, out_lengths = self.convs[0](x, lengths)
        for conv in self.convs[1:]:
            y, out_lengths = conv(self.dropout(y.relu()), out_lengths)
        if self.squeeze is not None:
            y = self.squeeze(y, out_lengths)
        if self.shortcut is not None:
            y = y + self.shortcut(x[:, :: self.stride], out_lengths)
        return self.dropout(y.relu()), out_lengths


class SeparableConv(nn.Module):
    """Depthwise convolution over time, pointwise convolution over channels, batch norm.

    Args:
        in_channels: H in.
        channels: H out.
        kernel: frames, odd.
        stride: frames.

    Source: Kriman et al. 2020 (arXiv:1910.10261), section 2.1.
    """

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.depthwise = DepthwiseConv(in_channels, kernel, stride)
        self.pointwise = Pointwise(in_channels, channels)
        self.windows = self.depthwise.windows
        self.stride = stride

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, T, H), (N,) to (N, ceil(T / s), H'), (N,)."""
        lengths = ceil_div(lengths, self.stride)
        return self.pointwise(self.depthwise(x), lengths), lengths


class Pointwise(nn.Module):
    """Convolution over channels alone, which is a linear layer of each frame; batch norm.

    Args:
        in_channels: H in.
        channels: H out.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, channels, bias=False)
        self.norm = MaskedBatchNorm(channels, feature_dim=-1)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map (N, T, H), anything beyond (N,) lengths, to (N, T, H'), zero there."""
        mask = frame_mask(lengths, x)
        return self.norm(self.linear(x).masked_fill(~mask, 0.0), mask)
