"""DenseNet: features (N, T, F) -> logits (T', N, C), by layers that see all layers before them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from asr.models.blocks import MaskedBatchNorm
from asr.models.convolutions import ConvBlock, ConvStack, MapNetwork, MeanPool, map_mask
from asr.models.options import check_counts, check_dropout, check_entries, pair
from asr.models.receptive_field import Window, ceil_div

# Channels between the two convolutions of a composite layer, for each that it adds (DenseNet-B).
BOTTLENECK = 4


class DenseNet(MapNetwork):
    """A convolution, then dense blocks with transitions between; all bins of a frame give classes.

    A dense block of L layers turns k0 channels into k0 + k L; a transition turns m channels into
    floor(theta m) and pools.

    Args:
        num_features: F, bins of the input.
        num_classes: C, with blank.
        stem_channels: k0 of the first block.
        stem_kernel: (frames, bins) of the first convolution, odd.
        stem_stride: (frames, bins) of the first convolution.
        depths: L, composite layers of each dense block.
        growth_rate: k, channels that a layer adds.
        compression: theta, in (0, 1].
        pools: (frames, bins) that become one in each transition, one fewer than blocks; the product
            over frames, with the stem's stride, is `subsampling_factor`.
        dropout: probability, after every composite layer and before the linear layer.

    Source: Huang et al. 2017 (arXiv:1608.06993), section 3 and table 1, DenseNet-BC.
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        stem_channels: int,
        stem_kernel: tuple[int, int],
        stem_stride: tuple[int, int],
        depths: Sequence[int],
        growth_rate: int,
        compression: float,
        pools: Sequence[tuple[int, int]],
        dropout: float,
    ) -> None:
        check_counts(stem_channels=stem_channels, depths=depths, growth_rate=growth_rate)
        check_dropout(dropout)
        if not 0 < compression <= 1:
            raise ValueError(f"compression must be in (0, 1], got {compression}")
        check_entries("block", depths=depths)
        if len(pools) != len(depths) - 1:
            raise ValueError(
                f"pools must have one entry a transition, {len(depths) - 1} for {len(depths)} "
                f"blocks, got {len(pools)}"
            )
        stride = pair(stem_stride)
        stem = ConvBlock(1, stem_channels, pair(stem_kernel), stride, nn.ReLU())
        convs, size, bins = ConvStack([stem]), stem_channels, ceil_div(num_features, stride[1])
        for depth, pool in zip(depths, [*map(pair, pools), None], strict=True):
            for _ in range(depth):
                convs.append(DenseLayer(size, growth_rate, dropout))
                size += growth_rate
            if pool is not None:
                transition = Transition(size, compression, pool)
                convs.append(transition)
                size, bins = transition.channels, ceil_div(bins, pool[1])
        convs.append(NormReLU(size))
        super().__init__(convs, size * bins, num_classes, dropout)


class NormReLU(nn.Module):
    """Batch norm and ReLU, which here come before a convolution and not after it.

    Args:
        channels: C.
    """

    windows = ()

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = MaskedBatchNorm(channels, feature_dim=1)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, C, T, F), (N,) to the same sizes."""
        return self.norm(x, map_mask(lengths, x)).relu(), lengths


class DenseLayer(nn.Module):
    """Composite layer H: its k channels are appended to those that came in, x_l = [x, H(x)].

    H is batch norm, ReLU, 1 x 1 convolution to 4 k channels, batch norm, ReLU, 3 x 3 convolution.

    Args:
        in_channels: C.
        growth_rate: k.
        dropout: probability, of H.

    Source: Huang et al. 2017 (arXiv:1608.06993), equation 2 and "bottleneck layers".
    """

    windows = (Window(3),)

    def __init__(self, in_channels: int, growth_rate: int, dropout: float) -> None:
        super().__init__()
        inner = BOTTLENECK * growth_rate
        self.norm_in = NormReLU(in_channels)
        self.narrow = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.norm = NormReLU(inner)
        self.conv = nn.Conv2d(inner, growth_rate, 3, padding=1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, C, T, F), (N,) to (N, C + k, T, F), (N,)."""
        y, _ = self.norm_in(x, lengths)
        y, _ = self.norm(self.narrow(y), lengths)
        y = self.dropout(self.conv(y)).masked_fill(~map_mask(lengths, x), 0.0)
        return torch.cat([x, y.to(x.dtype)], dim=1), lengths


class Transition(nn.Module):
    """Batch norm, ReLU, 1 x 1 convolution to fewer channels, mean pooling.

    Args:
        in_channels: C.
        compression: theta; C' = floor(theta C), >= 1.
        pool: (frames, bins) that become one.

    Source: Huang et al. 2017 (arXiv:1608.06993), "pooling layers" and "compression".
    """

    def __init__(self, in_channels: int, compression: float, pool: tuple[int, int]) -> None:
        super().__init__()
        self.channels = int(compression * in_channels)
        if not self.channels:
            raise ValueError(f"compression={compression} leaves none of {in_channels} channels")
        self.norm = NormReLU(in_channels)
        self.conv = nn.Conv2d(in_channels, self.channels, 1, bias=False)
        self.pool = MeanPool(pool)
        self.windows = self.pool.windows

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, C, T, F), (N,) to (N, C', ceil(T / s), ceil(F / s')), (N,)."""
        y, _ = self.norm(x, lengths)
        return self.pool(self.conv(y), lengths)
