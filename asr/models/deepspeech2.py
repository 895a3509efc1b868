"""DeepSpeech2: features (N, T, F) -> logits (T', N, C).

Letters: N batch, T frames in, T' frames out, F features, H hidden, C classes with blank.
"""

from collections.abc import Sequence
from math import prod
from typing import Literal, cast

from torch import Tensor, nn

from asr.features.front_end import length_mask
from asr.models.blocks import ClippedReLU, ConvBlock, Lookahead, MaskedBatchNorm, RecurrentBlock


class DeepSpeech2(nn.Module):
    """Convolutions over time and frequency, recurrent layers, a linear layer.

    Args:
        num_features: F, bins of the input.
        num_classes: C, with blank.
        conv_channels: channels of each convolution.
        conv_kernels: (frames, bins) of each convolution, odd.
        conv_strides: (frames, bins) of each convolution; the product of the time strides, over
            `frames_out`, is `subsampling_factor`.
        cell: "lstm", "gru" or "rnn".
        num_layers: recurrent layers, >= 1.
        hidden_size: H of each direction.
        bidirectional: both directions, concatenated; else forward only.
        lookahead: frames T' that a row convolution sees ahead; 0 for none. Only without
            `bidirectional`.
        batch_norm: sequence-wise batch norm before every recurrent layer but the first.
        dropout: probability, after every recurrent layer.
        frames_out: R, output frames for one of the recurrent layers, >= 1: these then run at a
            fraction of the rate that the text needs, at that fraction of the cost.

    Source: Amodei et al. 2016 (arXiv:1512.02595), section 3 and figure 1.
    """

    class_layer = "linear"

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        conv_channels: Sequence[int],
        conv_kernels: Sequence[tuple[int, int]],
        conv_strides: Sequence[tuple[int, int]],
        cell: Literal["lstm", "gru", "rnn"],
        num_layers: int,
        hidden_size: int,
        bidirectional: bool,
        lookahead: int,
        batch_norm: bool,
        dropout: float,
        frames_out: int = 1,  # as in model files of before it was an option
    ) -> None:
        super().__init__()
        _check(conv_channels, conv_kernels, conv_strides, num_layers, hidden_size, dropout)
        if lookahead and bidirectional:
            raise ValueError(f"lookahead needs bidirectional=false, got lookahead={lookahead}")
        stride = prod(stride[0] for stride in conv_strides)
        if frames_out < 1 or stride % frames_out:
            raise ValueError(f"frames_out must divide the time stride {stride}, got {frames_out}")
        self.frames_out = frames_out
        self.subsampling_factor = stride // frames_out
        self.convs = nn.ModuleList()
        channels, bins = 1, num_features
        for out_channels, kernel, stride in zip(
            conv_channels, conv_kernels, conv_strides, strict=True
        ):
            self.convs.append(ConvBlock(channels, out_channels, _pair(kernel), _pair(stride)))
            channels, bins = out_channels, -(-bins // stride[1])
        self.layers = nn.ModuleList()
        size = channels * bins
        for depth in range(num_layers):
            # The first layer's input comes normalised out of the convolutions.
            norm = batch_norm and depth > 0
            block = RecurrentBlock(
                size, hidden_size, cell, bidirectional=bidirectional, batch_norm=norm
            )
            self.layers.append(block)
            size = block.output_size
        self.dropout = nn.Dropout(dropout)
        self.lookahead = Lookahead(size, lookahead) if lookahead else None
        self.lookahead_activation = ClippedReLU()
        self.norm = MaskedBatchNorm(size, feature_dim=-1)
        self.linear = nn.Linear(size, num_classes * frames_out)

    def forward(self, features: Tensor, feature_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute class scores before the softmax.

        Args:
            features: (N, T, F); what stands beyond a length is ignored.
            feature_lengths: (N,) frames, 0..T.

        Returns:
            logits (T', N, C) and their lengths (N,), T' = ceil(T / subsampling_factor).
        """
        mask = length_mask(feature_lengths, features.shape[1])[..., None]  # (N, T, 1)
        x = features.masked_fill(~mask, 0.0)[:, None]  # (N, 1, T, F)
        lengths = feature_lengths
        for conv in self.convs:
            x, lengths = conv(x, lengths)
        x = x.permute(2, 0, 1, 3).flatten(2)  # (T', N, C F)
        for layer in self.layers:
            x = self.dropout(layer(x, lengths))
        if self.lookahead is not None:
            x = self.lookahead_activation(self.lookahead(x))
        mask = length_mask(lengths, len(x)).T[..., None]  # (T', N, 1)
        logits = self.linear(self.norm(x.masked_fill(~mask, 0.0), mask))  # (T', N, R C)
        if self.frames_out > 1:
            frames, num, _ = logits.shape
            logits = logits.view(frames, num, self.frames_out, -1)
            logits = logits.transpose(1, 2).flatten(0, 1)  # (R T', N, C)
        return logits, lengths * self.frames_out

    def output_lengths(self, feature_lengths: Tensor) -> Tensor:
        """Frames T' that come out for features of that many frames."""
        for conv in self.convs:
            feature_lengths = cast(ConvBlock, conv).output_lengths(feature_lengths)
        return feature_lengths * self.frames_out


def _pair(values: Sequence[int]) -> tuple[int, int]:
    frames, bins = values
    return int(frames), int(bins)


def _check(
    channels: Sequence[int],
    kernels: Sequence[tuple[int, int]],
    strides: Sequence[tuple[int, int]],
    num_layers: int,
    hidden_size: int,
    dropout: float,
) -> None:
    if not len(channels) == len(kernels) == len(strides) >= 1:
        raise ValueError(
            "conv_channels, conv_kernels and conv_strides must have one entry a convolution, "
            f"got {len(channels)}, {len(kernels)}, {len(strides)}"
        )
    if num_layers < 1:
        raise ValueError(f"num_layers must be >= 1, got {num_layers}")
    if hidden_size < 1:
        raise ValueError(f"hidden_size must be >= 1, got {hidden_size}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout}")
