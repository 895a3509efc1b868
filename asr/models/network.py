"""What every network offers."""

from typing import Protocol

from torch import Tensor, nn

from asr.features.front_end import TorchModule


class Network(TorchModule, Protocol):
    """A module from features to class scores; padding never changes a result.

    Attributes:
        subsampling_factor: frames in for a frame out.
        class_layer: name of the linear layer whose rows are the classes, a frame after the other
            where it gives several.
    """

    subsampling_factor: int
    class_layer: str

    @property
    def intermediate(self) -> nn.Module | None:
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

    def character_lengths(self, feature_lengths: Tensor) -> Tensor:
        """Frames T'' of the intermediate layer for features of that many frames."""
        ...
