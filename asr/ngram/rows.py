"""Rows on disk and their sorting in bounded memory: what n-gram counting and estimation stand on.

A row is a record of numpy's structured arrays. Its field "key", of shape (columns,), is what rows
are sorted by, the first column first. Files have no name, so that nothing is left behind however
the process ends.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

import numpy as np

# What the arrays take that a step derives from one row of a block, measured with a margin.
_BYTES_PER_BLOCK_ROW = 512
_MIN_BLOCK_ROWS = 64


class RowFile:
    """Rows of one type in an unnamed file."""

    def __init__(self, folder: Path, dtype: np.dtype) -> None:
        self._folder = folder
        self.dtype = dtype
        self._num_rows = 0
        try:
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        except OSError as error:
            raise self._failure(error) from error

    def __len__(self) -> int:
        return self._num_rows

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()

    def append(self, rows: np.ndarray) -> None:
        """Write rows behind those that are there.

        Raises:
            OSError: the disk is full.
        """
        view = np.ascontiguousarray(rows, dtype=self.dtype).view(np.uint8).data
        try:
            self._file.seek(self._num_rows * self.dtype.itemsize)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise self._failure(error) from error
        self._num_rows += len(rows)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return rows start..stop - 1."""
        rows = np.empty(stop - start, dtype=self.dtype)
        view = rows.view(np.uint8).data
        self._file.seek(start * self.dtype.itemsize)
        while view:
            view = view[self._file.readinto(view) :]
        return rows

    def blocks(self, block_rows: int) -> Iterator[np.ndarray]:
        """Yield all rows in order."""
        for start in range(0, len(self), block_rows):
            yield self.read(start, min(start + block_rows, len(self)))

    def gather(self, at: np.ndarray, block_rows: int) -> np.ndarray:
        """Return the rows at the places `at` (n,), which never fall."""
        found = np.empty(len(at), dtype=self.dtype)
        if not len(at):
            return found
        for start in range(int(at[0]), int(at[-1]) + 1, block_rows):
            stop = min(start + block_rows, int(at[-1]) + 1)
            first, last = np.searchsorted(at, (start, stop))
            if first < last:
                found[first:last] = self.read(start, stop)[at[first:last] - start]
        return found

    def _failure(self, error: OSError) -> OSError:
        reason = f"{self._folder}: cannot write temporary files here ({error.strerror})"
        return OSError(reason)


class Cursor:
    """Takes rows off a stream of blocks, as many at a time as the reader has use for."""

    def __init__(self, blocks: Iterator[np.ndarray], dtype: np.dtype) -> None:
        self._blocks = blocks
        self._rest = np.empty(0, dtype=dtype)

    def take(self, num_rows: int) -> np.ndarray:
        """Return the next `num_rows` rows, which the stream must have."""
        pieces, missing = [self._rest], num_rows - len(self._rest)
        while missing > 0:
            pieces.append(next(self._blocks))
            missing -= len(pieces[-1])
        rows = np.concatenate(pieces) if len(pieces) > 1 else self._rest
        self._rest = rows[num_rows:]
        return rows[:num_rows]


class RowSorter:
    """Sorts any number of rows by their keys: runs that fit into memory, merged from disk.

    Rows of equal keys keep no particular order. When all fit into memory nothing is written.

    Args:
        make_file: makes the file that the runs go to.
        dtype: with a field "key" of shape (columns,).
        memory: bytes, those of the sort's copies included.
        block_rows: the most rows that `blocks` yields at once.
        add_counts: rows of equal keys become one, with the sum of their fields "count".
    """

    def __init__(
        self,
        make_file: Callable[[], RowFile],
        dtype: np.dtype,
        memory: int,
        block_rows: int,
        *,
        add_counts: bool,
    ) -> None:
        self._make_file = make_file
        self._dtype = dtype
        self._block_rows = block_rows
        self._add_counts = add_counts
        # Sorting holds the rows twice (merging: three times) and four columns of 8 bytes.
        self._capacity = max(_MIN_BLOCK_ROWS, memory // (3 * dtype.itemsize + 32))
        self._buffer = np.empty(self._capacity, dtype=dtype)
        self._used = 0
        self._file: RowFile | None = None
        self._runs: list[tuple[int, int]] = []  # of the file, [start, stop)

    def add(self, rows: np.ndarray) -> None:
        """Take rows in."""
        while len(rows):
            if self._used == self._capacity:
                self._make_room()
            part = rows[: self._capacity - self._used]
            self._buffer[self._used : self._used + len(part)] = part
            self._used += len(part)
            rows = rows[len(part) :]

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield all rows sorted, once; nothing can be added any more."""
        rows = self._sort(self._buffer[: self._used])
        if self._file is None:
            del self._buffer
            merged = iter((rows,))
        else:
            self._spill(rows)
            del rows, self._buffer
            merged = self._merge(self._file)
        for rows in merged:
            for start in range(0, len(rows), self._block_rows):
                yield rows[start : start + self._block_rows]

    def _make_room(self) -> None:
        rows = self._sort(self._buffer)
        if len(rows) <= self._capacity // 2:
            # Repetitive text: what the sums left is worth another round in memory.
            self._buffer[: len(rows)] = rows
            self._used = len(rows)
        else:
            self._spill(rows)
            self._used = 0

    def _spill(self, rows: np.ndarray) -> None:
        self._file = self._file or self._make_file()
        self._runs.append((len(self._file), len(self._file) + len(rows)))
        self._file.append(rows)

    def _merge(self, file: RowFile) -> Iterator[np.ndarray]:
        """Read a piece of each run at a time; what none of the unread rows precedes is done."""
        piece = max(_MIN_BLOCK_ROWS, self._capacity // len(self._runs))
        heads = [np.empty(0, dtype=self._dtype) for _ in self._runs]
        unread = list(self._runs)
        while True:
            for i, (start, stop) in enumerate(unread):
                if not len(heads[i]) and start < stop:
                    heads[i] = file.read(start, min(start + piece, stop))
                    unread[i] = (start + len(heads[i]), stop)
            last = [h["key"][-1] for h, (a, b) in zip(heads, unread, strict=True) if a < b]
            if not last:
                break
            bound = min(map(tuple, last))
            cuts = [_count_up_to(head["key"], bound) for head in heads]
            ready = np.concatenate([h[:cut] for h, cut in zip(heads, cuts, strict=True)])
            heads = [h[cut:] for h, cut in zip(heads, cuts, strict=True)]
            yield self._sort(ready)
        yield self._sort(np.concatenate(heads))
        file.close()

    def _sort(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows sorted, in memory of their own."""
        keys = rows["key"]  # (n, columns)
        rank = np.argsort(keys[:, -1], kind="stable")
        for column in range(keys.shape[1] - 2, -1, -1):
            rank = rank[np.argsort(keys[:, column][rank], kind="stable")]
        # "clip" lets numpy write to `out` without a buffer of its own.
        ordered = np.empty_like(rows)
        rows.take(rank, out=ordered, mode="clip")
        return _add_counts(ordered) if self._add_counts else ordered


def _count_up_to(keys: np.ndarray, bound: tuple[int, ...]) -> int:
    """Count the leading rows of sorted keys (n, columns) that are <= bound."""
    low, high = 0, len(keys)
    for column, value in enumerate(bound):
        span = keys[low:high, column]
        below, up_to = np.searchsorted(span, value), np.searchsorted(span, value, side="right")
        low, high = low + int(below), low + int(up_to)
    return high


def _add_counts(rows: np.ndarray) -> np.ndarray:
    starts = group_starts(rows["key"])
    if len(starts) == len(rows):
        return rows
    summed = rows.take(starts)
    summed["count"] = np.add.reduceat(rows["count"], starts)
    return summed


def group_starts(keys: np.ndarray) -> np.ndarray:
    """Return where rows begin whose key (n, columns) differs from that of the row before."""
    new = np.ones(len(keys), dtype=bool)
    new[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    return np.flatnonzero(new)


def whole_groups(blocks: Iterable[np.ndarray], column: int | None = None) -> Iterator[np.ndarray]:
    """Cut sorted blocks anew so that rows of equal keys come together in one.

    With `column`, rows that are equal in the key's columns up to this one belong together.
    """
    held: np.ndarray | None = None
    for block in blocks:
        rows = block if held is None else np.concatenate((held, block))
        last = int(group_starts(rows["key"][:, :column])[-1])
        if last:
            yield rows[:last]
        held = rows[last:]
    if held is not None:
        yield held


class Scratch:
    """Where intermediate rows go, and how much memory they may take; closes all files at the end.

    Args:
        folder: has room for them.
        memory: bytes of all sorters and blocks that are alive at a time.
    """

    def __init__(self, folder: Path, memory: int) -> None:
        self.folder = folder
        self.memory = memory
        self._files: list[RowFile] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for file in self._files:
            file.close()

    @property
    def block_rows(self) -> int:
        """Rows of a block that fit, with all that is computed from them."""
        return max(_MIN_BLOCK_ROWS, self.memory // 4 // _BYTES_PER_BLOCK_ROW)

    def file(self, dtype: np.dtype) -> RowFile:
        """Make an empty file."""
        self._files.append(RowFile(self.folder, dtype))
        return self._files[-1]

    def sorter(self, dtype: np.dtype, *, add_counts: bool = False) -> RowSorter:
        """Make a sorter; two may be alive at a time."""
        memory = self.memory * 3 // 8
        return RowSorter(
            lambda: self.file(dtype), dtype, memory, self.block_rows, add_counts=add_counts
        )
