"""DeepSpeech2: features (N, T, F) -> logits (T', N, C).

Letters: N batch, T frames in, T' frames out, F features, H hidden, C classes with blank.
"""

from collections.abc import Sequence
from math import prod
from typing import Literal, cast

from torch import Tensor, nn

from asr.features.front_end import length_mask
from asr.models.blocks import (
    ClassHead,
    ClippedReLU,
    ConvBlock,
    Lookahead,
    MaskedBatchNorm,
    RecurrentBlock,
    split_frames,
)
from asr.models.dropout import VariationalDropout


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
        variational_dropout: whether it drops the same features at all times.
        frames_out: R, output frames for one of the recurrent layers, >= 1: these then run at a
            fraction of the rate that the text needs, at that fraction of the cost.
        shortcuts: whether every recurrent layer but the first adds its input to its output.
        intermediate_layer: the recurrent layer, 1..num_layers, whose output training also maps to
            characters; 0 for none.
        intermediate_frames: `frames_out` of that map.
        num_characters: classes of that map, with blank.

    Source: Amodei et al. 2016 (arXiv:1512.02595), section 3 and figure 1; for the intermediate
    layer Krishna et al. 2018 (arXiv:1807.06234), "Hierarchical multitask learning for CTC".
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
        frames_out: int = 1,  # these as in model files of before they were options
        shortcuts: bool = False,
        intermediate_layer: int = 0,
        intermediate_frames: int = 1,
        num_characters: int = 0,
        variational_dropout: bool = False,
    ) -> None:
        super().__init__()
        _check(conv_channels, conv_kernels, conv_strides, num_layers, hidden_size, dropout)
        if lookahead and bidirectional:
            raise ValueError(f"lookahead needs bidirectional=false, got lookahead={lookahead}")
        stride = prod(stride[0] for stride in conv_strides)
        for name, count in (
            ("frames_out", frames_out),
            ("intermediate_frames", intermediate_frames),
        ):
            if count < 1 or stride % count:
                raise ValueError(f"{name} must divide the time stride {stride}, got {count}")
        if not 0 <= intermediate_layer <= num_layers:
            raise ValueError(
                f"intermediate_layer must be 0..num_layers={num_layers}, got {intermediate_layer}"
            )
        self.frames_out = frames_out
        self.shortcuts = shortcuts
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
        self.dropout = (VariationalDropout if variational_dropout else nn.Dropout)(dropout)
        self.lookahead = Lookahead(size, lookahead) if lookahead else None
        self.lookahead_activation = ClippedReLU()
        self.norm = MaskedBatchNorm(size, feature_dim=-1)
        self.linear = nn.Linear(size, num_classes * frames_out)
        self.intermediate_layer = intermediate_layer
        self.intermediate = None
        if intermediate_layer:
            self.intermediate = ClassHead(size, num_characters, intermediate_frames)

    def forward(self, features: Tensor, feature_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute class scores before the softmax.

        Args:
            features: (N, T, F); what stands beyond a length is ignored.
            feature_lengths: (N,) frames, 0..T.

        Returns:
            logits (T', N, C) and their lengths (N,), T' = ceil(T / subsampling_factor).
        """
        return self._run(features, feature_lengths)[:2]

    def with_characters(
        self, features: Tensor, feature_lengths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `forward`, and logits of characters by the intermediate layer.

        Returns:
            logits and lengths as `forward`, and logits (T'', N, `num_characters`), whose lengths
            are `character_lengths`.
        """
        logits, lengths, characters = self._run(features, feature_lengths)
        assert characters is not None
        return logits, lengths, characters

    def _run(
        self, features: Tensor, feature_lengths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        mask = length_mask(feature_lengths, features.shape[1])[..., None]  # (N, T, 1)
        x = features.masked_fill(~mask, 0.0)[:, None]  # (N, 1, T, F)
        lengths = feature_lengths
        for conv in self.convs:
            x, lengths = conv(x, lengths)
        x = x.permute(2, 0, 1, 3).flatten(2)  # (T', N, C F)
        mask = length_mask(lengths, len(x)).T[..., None]  # (T', N, 1)
        characters = None
        for depth, layer in enumerate(self.layers, start=1):
            y = self.dropout(layer(x, lengths))
            x = x + y if self.shortcuts and depth > 1 else y
            if self.training and self.intermediate is not None and depth == self.intermediate_layer:
                characters = self.intermediate(x, mask)
        if self.lookahead is not None:
            x = self.lookahead_activation(self.lookahead(x))
        logits = self.linear(self.norm(x.masked_fill(~mask, 0.0), mask))  # (T', N, R C)
        return split_frames(logits, self.frames_out), lengths * self.frames_out, characters

    def output_lengths(self, feature_lengths: Tensor) -> Tensor:
        """Frames T' that come out for features of that many frames."""
        return self._recurrent_lengths(feature_lengths) * self.frames_out

    def character_lengths(self, feature_lengths: Tensor) -> Tensor:
        """Frames T'' of the intermediate layer's characters."""
        frames = 0 if self.intermediate is None else self.intermediate.frames_out
        return self._recurrent_lengths(feature_lengths) * frames

    def _recurrent_lengths(self, lengths: Tensor) -> Tensor:
        for conv in self.convs:
            lengths = cast(ConvBlock, conv).output_lengths(lengths)
        return lengths


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
