"""Some of the utterances of several sequences, without a copy of any."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol, overload

import numpy as np

from asr.data.manifest import Utterance


class Selection(Sequence[Utterance]):
    """Utterances of manifests in a given order.

    Args:
        parts: manifests, of n utterances together.
        rows: (N,) int, numbers in 0..n - 1 as the manifests stand one after the other.

    Attributes:
        durations: (N,) float64, seconds.
    """

    def __init__(self, parts: Sequence["Measured"], rows: np.ndarray) -> None:
        self._parts = parts
        self._rows = rows
        self._ends = np.cumsum([len(part) for part in parts]).tolist()
        self.durations = np.concatenate([part.durations for part in parts])[rows]

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Utterance: ...

    @overload
    def __getitem__(self, index: slice) -> list[Utterance]: ...

    def __getitem__(self, index: int | slice) -> Utterance | list[Utterance]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(len(self)))]
        row = int(self._rows[index])
        part = bisect_right(self._ends, row)
        return self._parts[part][row - self._ends[part]]


class Measured(Protocol):
    """Utterances whose seconds are known without making them."""

    durations: np.ndarray

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Utterance: ...
