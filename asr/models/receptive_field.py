"""How much of time a frame out of a network depends on."""

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from torch import Tensor

Count = TypeVar("Count", int, Tensor)


class Window(NamedTuple):
    """What a layer sees of time.

    Attributes:
        size: frames in for a frame out; None for the whole utterance.
        stride: frames in from one frame out to the next.
    """

    size: int | None
    stride: int = 1


# Recurrence, attention, a mean over time.
EVERYTHING = Window(None)


def receptive_field(windows: Iterable[Window]) -> int | None:
    """Count the frames in that a frame out of layers, one after the other, depends on.

    r = 1 + sum_l (k_l - 1) prod_{i < l} s_i,   k sizes, s strides

    Returns:
        Frames; None where a layer sees the whole utterance.

    Source: Araujo et al. 2019, "Computing receptive fields of convolutional neural networks",
    equation 2.
    """
    frames, step = 1, 1
    for window in windows:
        if window.size is None:
            return None
        frames += (window.size - 1) * step
        step *= window.stride
    return frames


def ceil_div(count: Count, divisor: int) -> Count:
    """Divide and round up: what is left of `count` >= 0 frames or bins after a stride."""
    # Not -(-count // divisor): ONNX divides integers towards zero.
    return (count + divisor - 1) // divisor
