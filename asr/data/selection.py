"""Some of the utterances of several sequences, without a copy of any."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from asr.data.lazy_sequence import LazySequence
from asr.data.manifest import Utterance


class Selection(LazySequence[Utterance]):
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

    def make(self, row: int) -> Utterance:
        """Have the part that holds it make an utterance."""
        whole = int(self._rows[row])
        part = bisect_right(self._ends, whole)
        return self._parts[part][whole - self._ends[part]]


class Measured(Protocol):
    """Utterances whose seconds are known without making them."""

    durations: np.ndarray

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Utterance: ...
