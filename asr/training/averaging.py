"""Means of weights, often better than each: of several checkpoints, and of all steps so far.

Source: Izmailov et al. 2018 (arXiv:1803.05407); checkpoint averaging as in ESPnet's recipes;
Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging".
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from asr.acoustic.checkpoint import read_checkpoint


def average_tensors(paths: Sequence[Path]) -> dict[str, Tensor]:
    """Average the tensors of checkpoint files in float64; integers come from the first."""
    if not paths:
        raise ValueError("averaging needs at least one checkpoint, got none")
    total: dict[str, Tensor] = {}
    kinds: dict[str, torch.dtype] = {}
    for path in paths:
        _, tensors = read_checkpoint(path)
        for name, value in tensors.items():
            if name not in total:
                kinds[name] = value.dtype
                total[name] = value.double() if value.is_floating_point() else value
            elif value.is_floating_point():
                total[name] = total[name] + value.double()
    return {
        name: (value / len(paths)).to(kinds[name]) if value.is_floating_point() else value
        for name, value in total.items()
    }


# What a training's file calls the moving average's tensors.
_PREFIX = "average."
_UPDATES = f"{_PREFIX}updates"


class MovingAverage:
    """A moving average of a network's weights and statistics, beside it.

    After step n, from 1, average += (1 - d) (weights - average), d = min(decay, n / (9 + n)): the
    first weights, drawn at random, are soon forgotten.

    Args:
        network: what is averaged.
        decay: d in the long run, in (0, 1); 1 / (1 - decay) steps are remembered.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"average_decay must be in (0, 1), got {decay}")
        self.network = network
        self.decay = decay
        self.restart()

    def restart(self) -> None:
        """Begin with the network's weights as they are."""
        self.num_updates = 0
        self.tensors = {name: value.clone() for name, value in self._live().items()}

    def update(self) -> None:
        """Take in the weights after a step."""
        self.num_updates += 1
        kept = min(self.decay, self.num_updates / (9 + self.num_updates))
        live = self._live()
        for name, value in self.tensors.items():
            value.lerp_(live[name], 1 - kept)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the network has the average's weights; after it, its own again."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state(self) -> dict[str, Tensor]:
        """Name what resuming needs."""
        named = {f"{_PREFIX}network.{name}": value for name, value in self.tensors.items()}
        return named | {_UPDATES: torch.tensor(self.num_updates)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Load what `state` gave.

        Raises:
            KeyError: it holds no average of this network.
        """
        self.num_updates = int(state[_UPDATES])
        for name, value in self.tensors.items():
            value.copy_(state[f"{_PREFIX}network.{name}"])

    def _live(self) -> dict[str, Tensor]:
        state = self.network.state_dict()
        return {name: value for name, value in state.items() if value.is_floating_point()}

    def _swap(self) -> None:
        for name, live in self._live().items():
            mine = self.tensors[name]
            swapped = live.clone()
            live.copy_(mine)
            mine.copy_(swapped)
