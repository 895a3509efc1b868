"""wav2vec 2.0, HuBERT and data2vec: samples (N, L, 1) -> logits (T', N, C), by a transformer.

Published models are read from a folder (`asr.acoustic.huggingface`); the three differ in norms and
in how positions are told alone.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.features.front_end import length_mask
from asr.models.options import check_counts, check_dropout
from asr.models.positions import PositionConvs, PositionNorm
from asr.models.sample_convs import ConvNorm, SampleConvs
from asr.models.transformer import TransformerLayer


class Wav2Vec2(nn.Module):
    """Convolutions on samples, convolutional positions, a transformer, and a linear layer.

    An utterance has the frames whose samples are all there: T' = floor((L - least) / factor) + 1.

    Args:
        num_classes: C, with blank.
        conv_channels: of each convolution on samples.
        conv_kernels: samples, then frames, of each.
        conv_strides: of each.
        conv_bias: whether they add one.
        conv_norm: "group" or "layer" (`SampleConvs`).
        hidden_size: H.
        num_layers: of the transformer.
        num_heads: of its attention; it divides H.
        inner_size: of its feed-forward steps.
        norm_first: whether its norms come before its steps, and one at its end.
        position_kernels: frames T' of each convolution that tells positions.
        position_groups: of their channels; it divides H.
        position_norm: "weight" or "layer" (`PositionConvs`).
        freeze_convs: whether the convolutions on samples stay as they are in training.
        dropout: probability: of frames on their way in and out, and within the layers.
        mask_time: about which share of frames is replaced by a learnt one in training.
        mask_time_length: frames T' of a span of these.
        mask_channels: about which share of channels is 0 over an utterance in training.
        mask_channels_length: channels of a span of these.

    Source: Baevski et al. 2020 (arXiv:2006.11477), section 2, masks in appendix B; Hsu et al. 2021
    (arXiv:2106.07447); Baevski et al. 2022 (arXiv:2202.03555).
    """

    class_layer = "linear"
    intermediate = None
    receptive_field = None

    def __init__(
        self,
        num_classes: int,
        *,
        conv_channels: Sequence[int],
        conv_kernels: Sequence[int],
        conv_strides: Sequence[int],
        conv_bias: bool,
        conv_norm: ConvNorm,
        hidden_size: int,
        num_layers: int,
        num_heads: int,
        inner_size: int,
        norm_first: bool,
        position_kernels: Sequence[int],
        position_groups: int,
        position_norm: PositionNorm,
        freeze_convs: bool,
        dropout: float,
        mask_time: float,
        mask_time_length: int,
        mask_channels: float,
        mask_channels_length: int,
    ) -> None:
        check_counts(hidden_size=hidden_size, num_layers=num_layers, inner_size=inner_size)
        check_counts(mask_time_length=mask_time_length, mask_channels_length=mask_channels_length)
        check_dropout(dropout)
        for name, share in (("mask_time", mask_time), ("mask_channels", mask_channels)):
            if not 0 <= share < 1:
                raise ValueError(f"{name} must be in [0, 1), got {share}")
        super().__init__()
        self.subsampling_factor = prod(conv_strides)
        self.norm_first = norm_first
        self.mask_time, self.mask_time_length = mask_time, mask_time_length
        self.mask_channels, self.mask_channels_length = mask_channels, mask_channels_length
        self.convs = SampleConvs(
            conv_channels, conv_kernels, conv_strides, bias=conv_bias, norm=conv_norm
        )
        self.convs.requires_grad_(not freeze_convs)
        self.projection_norm = nn.LayerNorm(conv_channels[-1])
        self.projection = nn.Linear(conv_channels[-1], hidden_size)
        self.mask_embedding = nn.Parameter(torch.empty(hidden_size).uniform_())
        self.positions = PositionConvs(
            hidden_size, position_kernels, position_groups, position_norm
        )
        self.norm = nn.LayerNorm(hidden_size)
        self.layers = nn.ModuleList(
            TransformerLayer(hidden_size, num_heads, inner_size, dropout, norm_first=norm_first)
            for _ in range(num_layers)
        )
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden_size, num_classes)

    def forward(self, features: Tensor, feature_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute class scores before the softmax.

        Args:
            features: (N, L, 1) samples; what stands beyond a length is ignored.
            feature_lengths: (N,) samples, 0..L.

        Returns:
            logits (T', N, C) and their lengths (N,).
        """
        x, lengths = self.encode(features, feature_lengths)
        return self.linear(x), lengths

    def encode(self, features: Tensor, feature_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, L, 1), (N,) to what the classes are read from: (T', N, H), (N,)."""
        num_samples = features.shape[1]
        samples = features[..., 0].masked_fill(~length_mask(feature_lengths, num_samples), 0.0)
        # Too few samples for a frame give none, but the layers want one.
        too_few = num_samples < self.convs.least
        if too_few:
            samples = functional.pad(samples, (0, self.convs.least - num_samples))
        lengths = self.output_lengths(feature_lengths)
        x = self.convs(samples, feature_lengths)  # (N, T', C)
        x = self.dropout(self.projection(self.projection_norm(x)))  # (N, T', H)
        if self.training:
            x = self._mask(x)
        x = self._transform(x, length_mask(lengths, x.shape[1]))
        x = self.dropout(x).transpose(0, 1)  # (T', N, H)
        return x[:0] if too_few else x, lengths

    def output_lengths(self, feature_lengths: Tensor) -> Tensor:
        """Frames T' that come out for that many samples."""
        return self.convs.num_frames(feature_lengths)

    def _transform(self, x: Tensor, mask: Tensor) -> Tensor:
        """Add positions and run the layers: (N, T, H), of which `mask` (N, T) is speech."""
        x = x + self.positions(x, mask[..., None])
        x = self.dropout(x if self.norm_first else self.norm(x))
        # Attention needs a frame, also of an utterance that has none.
        seen = mask | (torch.arange(mask.shape[1], device=mask.device) == 0)
        for layer in self.layers:
            x = layer(x, seen)
        return self.norm(x) if self.norm_first else x

    def _mask(self, x: Tensor) -> Tensor:
        """Replace spans of frames by the learnt one, and spans of channels by 0."""
        num, frames, channels = x.shape
        hidden = draw_spans(num, frames, self.mask_time, self.mask_time_length, x.device)
        x = torch.where(hidden[..., None], self.mask_embedding.to(x.dtype), x)
        hidden = draw_spans(num, channels, self.mask_channels, self.mask_channels_length, x.device)
        return x.masked_fill(hidden[:, None], 0.0)


def draw_spans(num: int, size: int, share: float, length: int, device: torch.device) -> Tensor:
    """Mark spans of `length` that begin anywhere with probability share / length: (N, size) bool.

    Spans may overlap, so that a little less than `share` is marked.
    """
    starts = torch.rand(num, 1, size, device=device) < share / length
    padded = functional.pad(starts.float(), (length - 1, 0))
    return functional.max_pool1d(padded, length, stride=1)[:, 0] > 0  # (N, size)
