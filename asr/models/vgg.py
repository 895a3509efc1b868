"""VGG: features (N, T, F) -> logits (T', N, C), by 3 x 3 convolutions between poolings."""

from collections.abc import Sequence

from torch import Tensor, nn

from asr.models.blocks import MaskedBatchNorm
from asr.models.convolutions import ConvBlock, ConvStack, MapNetwork, MaxPool, map_mask
from asr.models.options import check_counts, check_dropout, check_entries, check_kernel, pair
from asr.models.receptive_field import Window, ceil_div


class VGG(MapNetwork):
    """Stages of 3 x 3 convolutions, each ended by max pooling; a fully connected layer.

    The fully connected layer is a convolution over `context` frames and all bins, as the paper's is
    over a 7 x 7 map, so that it gives an output for every frame of any utterance. Every convolution
    is followed by batch norm, which the paper did not know.

    Args:
        num_features: F, bins of the input.
        num_classes: C, with blank.
        channels: of each stage.
        depths: convolutions of each stage.
        pools: (frames, bins) that become one at the end of each stage; the product over frames is
            `subsampling_factor`.
        context: frames T' of the fully connected layer, odd.
        hidden_size: H of the fully connected layer.
        dropout: probability, after the fully connected layer.

    Source: Simonyan and Zisserman 2015 (arXiv:1409.1556), table 1 and section 3.2; for speech
    Sercu et al. 2016 (arXiv:1509.08967).
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        channels: Sequence[int],
        depths: Sequence[int],
        pools: Sequence[tuple[int, int]],
        context: int,
        hidden_size: int,
        dropout: float,
    ) -> None:
        check_entries("stage", channels=channels, depths=depths, pools=pools)
        check_counts(channels=channels, depths=depths, hidden_size=hidden_size)
        check_dropout(dropout)
        convs, size, bins = ConvStack(), 1, num_features
        for stage_channels, depth, pool in zip(channels, depths, map(pair, pools), strict=True):
            for _ in range(depth):
                convs.append(ConvBlock(size, stage_channels, (3, 3), (1, 1), nn.ReLU()))
                size = stage_channels
            convs.append(MaxPool(pool))
            bins = ceil_div(bins, pool[1])
        convs.append(AllBins(size, bins, hidden_size, context))
        super().__init__(convs, hidden_size, num_classes, dropout)


class AllBins(nn.Module):
    """Convolution over `context` frames and all bins, batch norm, ReLU: a layer of single frames.

    Args:
        in_channels: C.
        bins: F.
        size: H.
        context: frames, odd.
    """

    def __init__(self, in_channels: int, bins: int, size: int, context: int) -> None:
        super().__init__()
        check_kernel(context)
        self.windows = (Window(context),)
        self.conv = nn.Conv2d(
            in_channels, size, (context, bins), padding=(context // 2, 0), bias=False
        )
        self.norm = MaskedBatchNorm(size, feature_dim=1)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, C, T, F), (N,) to (N, H, T, 1), (N,)."""
        mask = map_mask(lengths, x)
        x = self.conv(x).masked_fill(~mask, 0.0)  # (N, H, T, 1)
        return self.norm(x, mask).relu(), lengths
