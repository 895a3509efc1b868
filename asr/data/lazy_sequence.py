"""Sequences whose items are made when they are asked for."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar, overload

Item = TypeVar("Item", covariant=True)


class LazySequence(Sequence[Item]):
    """Holds no item: `make` makes each one anew. A slice is a list of them."""

    @abstractmethod
    def make(self, row: int) -> Item:
        """Make item `row`, in 0..len - 1."""

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        rows = range(len(self))[index]
        return self.make(rows) if isinstance(rows, int) else [self.make(row) for row in rows]
