"""DeepSpeech2: features (N, T, F) -> logits (T', N, C).

Letters: N batch, T frames in, T' frames out, F features, H hidden, C classes with blank.
"""

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from asr.features.front_end import length_mask
from asr.models.blocks import (
    Cell,
    ClassHead,
    Lookahead,
    MaskedBatchNorm,
    MaskedLayerNorm,
    Norm,
    RecurrentBlock,
    split_frames,
)
from asr.models.clipped_rnn import ClippedReLU
from asr.models.convolutions import ConvBlock, ConvStack
from asr.models.dropout import VariationalDropout
from asr.models.options import check_counts, check_dropout, check_entries, pair
from asr.models.receptive_field import ceil_div


class DeepSpeech2(nn.Module):
    """Convolutions over time and frequency, recurrent layers, a linear layer.

    Args:
        num_features: F, bins of the input.
        num_classes: C, with blank.
        conv_channels: channels of each convolution.
        conv_kernels: (frames, bins) of each convolution, odd.
        conv_strides: (frames, bins) of each convolution; the product of the time strides, over
            `frames_out`, is `subsampling_factor`.
        cell: "lstm", "gru", "rnn" (tanh), "clipped_rnn" (ReLU up to 20), "lstm_peephole",
            "lstm_coupled" or "irnn".
        num_layers: recurrent layers, >= 1.
        hidden_size: H of each direction.
        bidirectional: both directions; else forward only.
        lookahead: frames T' that a row convolution sees ahead; 0 for none. Only without
            `bidirectional`.
        norm: before every recurrent layer but the first: "batch", sequence-wise, "layer" or "none".
            Before the linear layer stands "layer" too, or else "batch".
        dropout: probability, after every recurrent layer.
        variational_dropout: whether it drops the same features at all times.
        frames_out: R, output frames for one of the recurrent layers, >= 1: these then run at a
            fraction of the rate that the text needs, at that fraction of the cost.
        shortcuts: whether every recurrent layer but the first adds its input to its output.
        intermediate_layer: the recurrent layer, 1..num_layers, whose output training also maps to
            characters; 0 for none.
        intermediate_frames: `frames_out` of that map.
        num_characters: classes of that map, with blank.
        sum_directions: whether the outputs of both directions are added, as in the paper; else they
            are concatenated. Only with `bidirectional`.
        batch_norm: of model files of before `norm`, instead of it: "batch" or "none".

    Source: Amodei et al. 2016 (arXiv:1512.02595), section 3 and figure 1; for the intermediate
    layer Krishna et al. 2018 (arXiv:1807.06234), "Hierarchical multitask learning for CTC".
    """

    class_layer = "linear"
    receptive_field = None

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        conv_channels: Sequence[int],
        conv_kernels: Sequence[tuple[int, int]],
        conv_strides: Sequence[tuple[int, int]],
        cell: Cell,
        num_layers: int,
        hidden_size: int,
        bidirectional: bool,
        lookahead: int,
        norm: Norm | None = None,
        dropout: float,
        frames_out: int = 1,  # these as in model files of before they were options
        shortcuts: bool = False,
        intermediate_layer: int = 0,
        intermediate_frames: int = 1,
        num_characters: int = 0,
        sum_directions: bool = False,
        batch_norm: bool | None = None,
        variational_dropout: bool = False,
    ) -> None:
        super().__init__()
        check_counts(num_layers=num_layers, hidden_size=hidden_size)
        check_dropout(dropout)
        if lookahead and bidirectional:
            raise ValueError(f"lookahead needs bidirectional=false, got lookahead={lookahead}")
        if sum_directions and not bidirectional:
            raise ValueError("sum_directions needs bidirectional=true, got bidirectional=false")
        if not 0 <= intermediate_layer <= num_layers:
            raise ValueError(
                f"intermediate_layer must be 0..num_layers={num_layers}, got {intermediate_layer}"
            )
        norm = _choose_norm(norm, batch_norm)
        self.convs, size = _convolutions(num_features, conv_channels, conv_kernels, conv_strides)
        self.stride = prod(window.stride for window in self.convs.windows)
        for name, count in (
            ("frames_out", frames_out),
            ("intermediate_frames", intermediate_frames),
        ):
            if count < 1 or self.stride % count:
                raise ValueError(f"{name} must divide the time stride {self.stride}, got {count}")
        self.frames_out = frames_out
        self.shortcuts = shortcuts
        self.subsampling_factor = self.stride // frames_out
        self.layers = nn.ModuleList()
        for depth in range(num_layers):
            block = RecurrentBlock(
                size,
                hidden_size,
                cell,
                bidirectional=bidirectional,
                sum_directions=sum_directions,
                # The first layer's input comes normalised out of the convolutions.
                norm=norm if depth else "none",
            )
            self.layers.append(block)
            size = block.output_size
        self.dropout = (VariationalDropout if variational_dropout else nn.Dropout)(dropout)
        self.lookahead = Lookahead(size, lookahead) if lookahead else None
        self.lookahead_activation = ClippedReLU()
        self.norm = MaskedLayerNorm(size) if norm == "layer" else MaskedBatchNorm(size, -1)
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

    def encode(self, features: Tensor, feature_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, T, F), (N,) to what the classes are read from: (T' / R, N, H), (N,)."""
        return self._encode(features, feature_lengths)[:2]

    def with_characters(
        self, features: Tensor, feature_lengths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `forward`, and logits of characters by the intermediate layer.

        Returns:
            logits and lengths as `forward`, and logits (T'', N, `num_characters`), T'' being
            `intermediate_frames` / `frames_out` of T'.
        """
        logits, lengths, characters = self._run(features, feature_lengths)
        assert characters is not None
        return logits, lengths, characters

    def _run(
        self, features: Tensor, feature_lengths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        x, lengths, characters = self._encode(features, feature_lengths)
        logits = split_frames(self.linear(x), self.frames_out)
        return logits, lengths * self.frames_out, characters

    def _encode(
        self, features: Tensor, feature_lengths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        x, lengths = self.convs(features, feature_lengths)  # (T', N, C F')
        mask = length_mask(lengths, x.shape[0]).T[..., None]  # (T', N, 1)
        characters = None
        for depth, layer in enumerate(self.layers, start=1):
            y = self.dropout(layer(x, lengths))
            x = x + y if self.shortcuts and depth > 1 else y
            if self.training and self.intermediate is not None and depth == self.intermediate_layer:
                characters = self.intermediate(x, mask)
        if self.lookahead is not None:
            x = self.lookahead_activation(self.lookahead(x))
        return self.norm(x.masked_fill(~mask, 0.0), mask), lengths, characters

    def output_lengths(self, feature_lengths: Tensor) -> Tensor:
        """Frames T' that come out for features of that many frames."""
        return ceil_div(feature_lengths, self.stride) * self.frames_out


def _convolutions(
    bins: int,
    conv_channels: Sequence[int],
    conv_kernels: Sequence[tuple[int, int]],
    conv_strides: Sequence[tuple[int, int]],
) -> tuple[ConvStack, int]:
    """Make the convolutions over `bins`, and count what comes out of them for a frame."""
    check_entries(
        "convolution",
        conv_channels=conv_channels,
        conv_kernels=conv_kernels,
        conv_strides=conv_strides,
    )
    convs, channels = ConvStack(), 1
    for out_channels, kernel, stride in zip(
        conv_channels, map(pair, conv_kernels), map(pair, conv_strides), strict=True
    ):
        convs.append(ConvBlock(channels, out_channels, kernel, stride, ClippedReLU()))
        channels, bins = out_channels, ceil_div(bins, stride[1])
    return convs, channels * bins


def _choose_norm(norm: Norm | None, batch_norm: bool | None) -> Norm:
    """Read `norm`, or what model files of before it have instead."""
    if batch_norm is None:
        if norm is None:
            raise ValueError("norm must be batch, layer or none, got null")
        return norm
    old: Norm = "batch" if batch_norm else "none"
    if norm not in (None, old):
        raise ValueError(f"norm={norm} contradicts batch_norm={batch_norm}, its older name")
    return old
