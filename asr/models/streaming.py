"""A one-directional DeepSpeech2 on utterances that arrive in pieces.

What a network has to remember of an utterance is a `StreamState`. States of several utterances
whose shapes agree are stacked, so that one call advances all of them.

Letters: N utterances, T frames in, T' frames out, F features, H hidden, C classes with blank.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.models.blocks import Lookahead, RecurrentBlock, split_frames
from asr.models.cells import LoopedLSTM
from asr.models.convolutions import ConvBlock
from asr.models.deepspeech2 import DeepSpeech2
from asr.models.network import Network
from asr.models.receptive_field import ceil_div


class StreamState(NamedTuple):
    """What the frames to come depend on.

    Attributes:
        convs: frames that each convolution still needs, (N, channels, T, bins).
        cells: of each recurrent layer, one or two (1, N, H).
        ahead: outputs of the last layer that wait for their future, (T', N, H).
    """

    convs: tuple[Tensor, ...]
    cells: tuple[tuple[Tensor, ...], ...]
    ahead: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """What must agree for states to be stacked: frames that are waited for, at each place."""
        return (*(conv.shape[2] for conv in self.convs), len(self.ahead))


def check_network(network: Network) -> DeepSpeech2:
    """Return a network that needs no more than the past and a little of the future.

    Raises:
        ValueError: it is another; says what to train with.
    """
    if not isinstance(network, DeepSpeech2):
        kind = type(network).__name__
        raise ValueError(f"a {kind} does not stream: train with model=ds2_lookahead")
    if cast(RecurrentBlock, network.layers[0]).backwards is not None:
        raise ValueError(
            "model.bidirectional=true needs the whole utterance: train with model=ds2_lookahead, "
            "which has one direction, to stream"
        )
    return network


def first_state(network: DeepSpeech2, num_features: int) -> StreamState:
    """Make the state of an utterance before its first frame, N = 1."""
    zeros = network.linear.weight.new_zeros
    convs, bins = [], num_features
    for block in map(_as_conv, network.convs):
        # Convolutions see zeros before the beginning.
        convs.append(zeros(1, block.conv.in_channels, block.conv.kernel_size[0] // 2, bins))
        bins = ceil_div(bins, block.stride[1])
    cells = []
    for layer in map(_as_recurrent, network.layers):
        is_lstm = isinstance(layer.forwards, nn.LSTM | LoopedLSTM)
        zero = zeros(1, 1, layer.output_size)
        cells.append((zero, zero) if is_lstm else (zero,))
    return StreamState(tuple(convs), tuple(cells), zeros(0, 1, network.linear.in_features))


@torch.no_grad()
def advance(
    network: DeepSpeech2, features: Tensor, state: StreamState, *, is_last: bool
) -> tuple[Tensor, StreamState]:
    """Run a network, in evaluation mode, over the next frames of N utterances.

    Args:
        network: one that `check_network` accepts.
        features: (N, T, F), T >= 0, the same for all of them.
        state: after the frames before.
        is_last: whether the utterances end with these frames.

    Returns:
        logits (T', N, C) of the frames whose future is known now, and the state after them.
    """
    x = features[:, None]  # (N, 1, T, F)
    convs = []
    for block, held in zip(map(_as_conv, network.convs), state.convs, strict=True):
        x, held = _convolve(block, torch.cat([held, x], dim=2), is_last=is_last)
        convs.append(held)
    x = x.permute(2, 0, 1, 3).flatten(2)  # (T', N, C F')
    cells = []
    for depth, layer in enumerate(map(_as_recurrent, network.layers)):
        y, cell = _recur(layer, x, state.cells[depth])
        x = x + y if network.shortcuts and depth else y
        cells.append(cell)
    ahead = state.ahead
    if network.lookahead is not None:
        x, ahead = _look_ahead(network.lookahead, torch.cat([ahead, x]), is_last=is_last)
        x = network.lookahead_activation(x)
    logits = network.linear(network.norm(x, _all_speech(x)))
    return split_frames(logits, network.frames_out), StreamState(tuple(convs), tuple(cells), ahead)


def stack_states(states: Sequence[StreamState]) -> StreamState:
    """Make one state of several whose `shape` is the same."""
    return StreamState(
        tuple(torch.cat(parts) for parts in zip(*(s.convs for s in states), strict=True)),
        tuple(
            tuple(torch.cat(parts, dim=1) for parts in zip(*cells, strict=True))
            for cells in zip(*(s.cells for s in states), strict=True)
        ),
        torch.cat([s.ahead for s in states], dim=1),
    )


def split_state(state: StreamState) -> list[StreamState]:
    """Undo `stack_states`."""
    return [
        StreamState(
            tuple(conv[n : n + 1] for conv in state.convs),
            tuple(tuple(part[:, n : n + 1] for part in cell) for cell in state.cells),
            state.ahead[:, n : n + 1],
        )
        for n in range(state.ahead.shape[1])
    ]


def frames_ahead(network: DeepSpeech2) -> tuple[int, int]:
    """Count the frames of features that an output waits for: by convolutions, by look-ahead."""
    convs, step = 0, 1
    for window in network.convs.windows:
        assert window.size is not None
        convs += window.size // 2 * step
        step *= window.stride
    return convs, 0 if network.lookahead is None else network.lookahead.context * step


def _convolve(block: ConvBlock, x: Tensor, *, is_last: bool) -> tuple[Tensor, Tensor]:
    """Give the outputs that (N, C, T, F) allow, (N, C', T', F'), and what later ones need of it."""
    (kernel, bin_kernel), (stride, bin_stride) = block.conv.kernel_size, block.stride
    if is_last:
        x = functional.pad(x, (0, 0, 0, kernel // 2))
    count = max(0, (x.shape[2] - kernel) // stride + 1)
    if not is_last:  # a stride may step over frames that are not there yet
        count = min(count, x.shape[2] // stride)
    if not count:
        bins = ceil_div(x.shape[3], bin_stride)
        return x.new_zeros(len(x), block.conv.out_channels, 0, bins), x
    seen = x[:, :, : (count - 1) * stride + kernel]
    strides = (stride, bin_stride)
    y = functional.conv2d(seen, block.conv.weight, None, strides, (0, bin_kernel // 2))
    return block.activation(block.norm(y, _all_speech(y))), x[:, :, count * stride :]


def _recur(
    layer: RecurrentBlock, x: Tensor, cell: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a layer over (T, N, F) from where it was."""
    if not len(x):
        return x.new_zeros(0, x.shape[1], layer.output_size), cell
    if layer.norm is not None:
        x = layer.norm(x, _all_speech(x))
    y, after = layer.forwards(x, cell[0] if len(cell) == 1 else cell)
    return y, after if isinstance(after, tuple) else (after,)


def _look_ahead(lookahead: Lookahead, x: Tensor, *, is_last: bool) -> tuple[Tensor, Tensor]:
    """Give the outputs that (T, N, H) allow, and what later ones need of it."""
    count = len(x) if is_last else max(0, len(x) - lookahead.context)
    if not count:
        return x[:0], x
    return lookahead(x)[:count], x[count:]


def _all_speech(x: Tensor) -> Tensor:
    return x.new_ones([1] * x.dim(), dtype=torch.bool)


def _as_conv(block: nn.Module) -> ConvBlock:
    return cast(ConvBlock, block)


def _as_recurrent(layer: nn.Module) -> RecurrentBlock:
    return cast(RecurrentBlock, layer)
