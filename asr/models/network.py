"""What every network offers."""

from collections.abc import Iterable
from math import prod
from typing import Protocol

from torch import Tensor, nn

from asr.features.front_end import TorchModule
from asr.models.blocks import ClassHead
from asr.models.receptive_field import Window, ceil_div, receptive_field


class Network(TorchModule, Protocol):
    """A module from features to class scores; padding never changes a result.

    Attributes:
        subsampling_factor: frames in for a frame out.
        receptive_field: frames in that a frame out depends on, in evaluation; None where that is
            no number of frames: all of the utterance, or all until then.
        class_layer: name of the linear layer whose rows are the classes, a frame after the other
            where it gives several.
    """

    subsampling_factor: int
    class_layer: str

    @property
    def receptive_field(self) -> int | None:
        """As above."""
        ...

    @property
    def intermediate(self) -> ClassHead | None:
        """What training maps a lower layer to characters with (SpellingNetwork), or None."""
        ...

    def output_lengths(self, feature_lengths: Tensor) -> Tensor:
        """Frames that come out for features of that many frames, (N,) to (N,)."""
        ...

    def __call__(self, features: Tensor, feature_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, T, F) and (N,) frames to logits (T', N, C) and (N,) frames."""
        ...


class SpellingNetwork(Network, Protocol):
    """A network whose `intermediate` is not None."""

    def with_characters(
        self, features: Tensor, feature_lengths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As a call, in training, and logits (T'', N, characters) of the intermediate layer."""
        ...


class FrameEncoder(Network, Protocol):
    """A network that shows what its class layer reads."""

    def encode(self, features: Tensor, feature_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, T, F), (N,) to what the classes are read from: (T', N, H), (N,)."""
        ...


class StridedNetwork(nn.Module):
    """What networks share whose layers keep frames in place: only strides make them fewer.

    A subclass sets `linear`, from H to the classes, and defines `encode`.

    Args:
        windows: what its layers see of time, in order.
    """

    class_layer = "linear"
    intermediate = None
    linear: nn.Linear

    def __init__(self, windows: Iterable[Window]) -> None:
        super().__init__()
        windows = list(windows)
        self.subsampling_factor = prod(window.stride for window in windows)
        self.receptive_field = receptive_field(windows)

    def encode(self, features: Tensor, feature_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, T, F), (N,) to what the classes are read from: (T', N, H), (N,)."""
        raise NotImplementedError

    def forward(self, features: Tensor, feature_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute class scores before the softmax.

        Args:
            features: (N, T, F); what stands beyond a length is ignored.
            feature_lengths: (N,) frames, 0..T.

        Returns:
            logits (T', N, C) and their lengths (N,), T' = ceil(T / subsampling_factor).
        """
        x, lengths = self.encode(features, feature_lengths)
        return self.linear(x), lengths

    def output_lengths(self, feature_lengths: Tensor) -> Tensor:
        """Frames T' that come out for features of that many frames."""
        return ceil_div(feature_lengths, self.subsampling_factor)
