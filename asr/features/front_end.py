"""What every front end offers, and the mask of lengths that networks share with it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

# Changes normalised frames (N, T, F) in training.
Augment = Callable[[Tensor], Tensor]


class TorchModule(Protocol):
    """The part of `torch.nn.Module` that callers of a front end or a network use."""

    def to(self, device: torch.device | str) -> Self:
        """Move parameters and buffers."""
        ...

    def train(self, mode: bool = True) -> Self:
        """Switch to training."""
        ...

    def eval(self) -> Self:
        """Switch to evaluation."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """What is learnt."""
        ...

    def buffers(self) -> Iterator[Tensor]:
        """What is measured."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that a file keeps."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> object:
        """Restore what `state_dict` gave."""
        ...


class FrontEnd(TorchModule, Protocol):
    """A module from waveforms to features; padding never changes a result.

    Attributes:
        sample_rate: Hz that waveforms must have.
        hop_length: samples between frames.
        num_features: F, bins of a frame.
        num_bands: how many bins of a frame, before others are joined to it, are neighbouring
            bands of frequency; further ones repeat these (their deltas). 0 where bins are none.
    """

    sample_rate: int
    hop_length: int
    num_features: int
    num_bands: int

    def num_frames(self, num_samples: Tensor) -> Tensor:
        """Frames of utterances of that many samples, (N,) to (N,)."""
        ...

    def __call__(
        self, waveforms: Tensor, lengths: Tensor, augment: Augment | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map (N, L) float32 in [-1, 1] and (N,) samples to (N, T, F) and (N,) frames.

        Lengths may stay on the CPU, where sizes are read from them without waiting for a GPU;
        frames come back on the device of the waveforms. `augment` changes frames that are
        normalised and have no neighbours joined to them yet.
        """
        ...

    def log_energies(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Log energies (N, T, bands), low ones first: what pictures of speech show."""
        ...

    @property
    def needs_fit(self) -> bool:
        """Whether `fit` must be called before training."""
        ...

    def fit(
        self,
        batches: Iterable[tuple[Tensor, Tensor]],
        reduce: Callable[[Tensor], Tensor] = lambda sums: sums,
    ) -> None:
        """Measure statistics of a corpus on batches of (waveforms, lengths) on any device.

        Where several processes measure a share each, `reduce` adds their sums up.
        """
        ...


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """Mark what is speech: (N,) lengths -> (N, size) bool, True before each length."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]
