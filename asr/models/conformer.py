"""Conformer: features (N, T, F) -> logits (T', N, C), by attention and convolutions in turn.

Within, frames are (N, T, H); beyond a length they hold numbers that nothing within depends on.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from asr.models.attention import RelativeAttention, sinusoids
from asr.models.blocks import MaskedBatchNorm
from asr.models.convolutions import ConvBlock, ConvStack, DepthwiseConv, frame_mask
from asr.models.network import StridedNetwork
from asr.models.options import check_counts, check_dropout, check_entries
from asr.models.receptive_field import EVERYTHING, ceil_div


class Conformer(StridedNetwork):
    """Convolutions that halve frames and bins, then blocks of attention and convolution.

    Args:
        num_features: F, bins of the input.
        num_classes: C, with blank.
        conv_channels: of each 3 x 3 convolution, which halves frames and bins; their number is the
            binary logarithm of `subsampling_factor`.
        num_layers: blocks.
        hidden_size: H, even.
        num_heads: of the attention; it divides H.
        expansion: inner size of the feed-forward modules over H.
        kernel: frames T' of the blocks' convolutions, odd.
        dropout: probability: of each module's output, within feed-forward, of attention's weights.

    Source: Gulati et al. 2020 (arXiv:2005.08100), section 2 and figure 1.
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        conv_channels: Sequence[int],
        num_layers: int,
        hidden_size: int,
        num_heads: int,
        expansion: int,
        kernel: int,
        dropout: float,
    ) -> None:
        check_entries("convolution", conv_channels=conv_channels)
        check_counts(conv_channels=conv_channels, num_layers=num_layers)
        check_counts(num_heads=num_heads, expansion=expansion)
        check_dropout(dropout)
        if hidden_size < 2 or hidden_size % 2:
            raise ValueError(f"hidden_size must be even and >= 2, got {hidden_size}")
        convs, size, bins = ConvStack(), 1, num_features
        for channels in conv_channels:
            convs.append(ConvBlock(size, channels, (3, 3), (2, 2), nn.ReLU()))
            size, bins = channels, ceil_div(bins, 2)
        super().__init__([*convs.windows, EVERYTHING])
        self.convs = convs
        self.project = nn.Linear(size * bins, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            ConformerBlock(hidden_size, num_heads, expansion, kernel, dropout)
            for _ in range(num_layers)
        )
        self.linear = nn.Linear(hidden_size, num_classes)

    def encode(self, features: Tensor, feature_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, T, F), (N,) to (T', N, H), (N,)."""
        x, lengths = self.convs(features, feature_lengths)  # (T', N, C F')
        x = self.dropout(self.project(x.transpose(0, 1)))  # (N, T', H)
        distances = sinusoids(x.shape[1], x)
        for block in self.blocks:
            x = block(x, lengths, distances)
        return x.transpose(0, 1), lengths  # (T', N, H)


class ConformerBlock(nn.Module):
    """Half a feed-forward step, attention, convolution, the other half step; each is added.

    x1 = x + FF(x) / 2;  x2 = x1 + MHSA(x1);  x3 = x2 + Conv(x2);  y = LayerNorm(x3 + FF(x3) / 2)

    Args:
        size: H.
        num_heads: of the attention.
        expansion: inner size of feed-forward over H.
        kernel: frames of the convolution, odd.
        dropout: probability.

    Source: Gulati et al. 2020 (arXiv:2005.08100), equation 1.
    """

    def __init__(
        self, size: int, num_heads: int, expansion: int, kernel: int, dropout: float
    ) -> None:
        super().__init__()
        self.first = feed_forward(size, expansion * size, dropout)
        self.attention_norm = nn.LayerNorm(size)
        self.attention = RelativeAttention(size, num_heads, dropout)
        self.convolution = ConvolutionModule(size, kernel)
        self.second = feed_forward(size, expansion * size, dropout)
        self.norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor, distances: Tensor) -> Tensor:
        """Map (N, T, H), (N,) and `sinusoids` of T to (N, T, H)."""
        x = x + self.first(x) / 2
        x = x + self.dropout(self.attention(self.attention_norm(x), lengths, distances))
        x = x + self.dropout(self.convolution(x, lengths))
        return self.norm(x + self.second(x) / 2)


class ConvolutionModule(nn.Module):
    """Gated pointwise convolution, depthwise convolution, batch norm, swish, pointwise convolution.

    Args:
        size: H.
        kernel: frames, odd.

    Source: Gulati et al. 2020 (arXiv:2005.08100), section 2.2 and figure 2.
    """

    def __init__(self, size: int, kernel: int) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(size)
        self.gated = nn.Linear(size, 2 * size)
        self.depthwise = DepthwiseConv(size, kernel, stride=1)
        self.norm = MaskedBatchNorm(size, feature_dim=-1)
        self.pointwise = nn.Linear(size, size)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map (N, T, H), anything beyond (N,) lengths, to (N, T, H)."""
        mask = frame_mask(lengths, x)
        x = functional.glu(self.gated(self.norm_in(x)))  # (N, T, H)
        # What stands beyond a length must not leak into speech, nor be counted.
        x = self.depthwise(x.masked_fill(~mask, 0.0)).masked_fill(~mask, 0.0)
        return self.pointwise(functional.silu(self.norm(x, mask)))


def feed_forward(size: int, inner: int, dropout: float) -> nn.Sequential:
    """Make the feed-forward module of frames (..., H): LayerNorm, linear, swish, linear.

    Source: Gulati et al. 2020 (arXiv:2005.08100), section 2.3 and figure 4.
    """
    return nn.Sequential(
        nn.LayerNorm(size),
        nn.Linear(size, inner),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Linear(inner, size),
        nn.Dropout(dropout),
    )
