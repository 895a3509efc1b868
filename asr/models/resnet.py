"""ResNet: features (N, T, F) -> logits (T', N, C), by residual blocks over time and frequency."""

from collections.abc import Sequence

from torch import Tensor, nn

from asr.models.convolutions import ConvBlock, ConvStack, MapNetwork
from asr.models.options import check_counts, check_dropout, check_entries, pair
from asr.models.receptive_field import ceil_div


class ResNet(MapNetwork):
    """A convolution, then stages of residual blocks; all bins of a frame give its classes.

    Args:
        num_features: F, bins of the input.
        num_classes: C, with blank.
        stem_channels: of the first convolution.
        stem_kernel: (frames, bins) of the first convolution, odd.
        stem_stride: (frames, bins) of the first convolution.
        channels: of each stage.
        depths: residual blocks of each stage.
        strides: (frames, bins) of the first block of each stage; the product over frames, with the
            stem's, is `subsampling_factor`.
        dropout: probability, before the linear layer.

    Source: He et al. 2016 (arXiv:1512.03385), section 3; for CTC Wang et al. 2017
    (arXiv:1702.07793), "Residual convolutional CTC networks".
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        stem_channels: int,
        stem_kernel: tuple[int, int],
        stem_stride: tuple[int, int],
        channels: Sequence[int],
        depths: Sequence[int],
        strides: Sequence[tuple[int, int]],
        dropout: float,
    ) -> None:
        check_entries("stage", channels=channels, depths=depths, strides=strides)
        check_counts(stem_channels=stem_channels, channels=channels, depths=depths)
        check_dropout(dropout)
        stride = pair(stem_stride)
        stem = ConvBlock(1, stem_channels, pair(stem_kernel), stride, nn.ReLU())
        convs, size, bins = ConvStack([stem]), stem_channels, ceil_div(num_features, stride[1])
        for stage_channels, depth, stride in zip(channels, depths, map(pair, strides), strict=True):
            for number in range(depth):
                step = stride if number == 0 else (1, 1)
                convs.append(ResidualBlock(size, stage_channels, step))
                size = stage_channels
            bins = ceil_div(bins, stride[1])
        super().__init__(convs, size * bins, num_classes, dropout)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a way around them: y = ReLU(F(x) + W x).

    W is the identity where sizes allow, else a 1 x 1 convolution.

    Args:
        in_channels: C.
        channels: C'.
        stride: (frames, bins) of the first convolution and of W.

    Source: He et al. 2016 (arXiv:1512.03385), equations 1 and 2, shortcuts of option B.
    """

    def __init__(self, in_channels: int, channels: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.first = ConvBlock(in_channels, channels, (3, 3), stride, nn.ReLU())
        self.second = ConvBlock(channels, channels, (3, 3), (1, 1), nn.Identity())
        self.windows = self.first.windows + self.second.windows
        self.shortcut = None
        if stride != (1, 1) or in_channels != channels:
            self.shortcut = ConvBlock(in_channels, channels, (1, 1), stride, nn.Identity())

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, C, T, F), (N,) to (N, C', ceil(T / s), ceil(F / s')), (N,)."""
        y, out_lengths = self.first(x, lengths)
        y, _ = self.second(y, out_lengths)
        if self.shortcut is not None:
            x, _ = self.shortcut(x, lengths)
        return (y + x).relu(), out_lengths
