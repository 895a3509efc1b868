"""Counts of n-grams, and Kneser-Ney's adjusted counts, of a corpus.

Sorting the longest n-grams once by their last word, then the one before, and so on, makes every
shorter n-gram a run of rows, since all that are longer end in it, and the number of words seen
before it a number of runs. Sentences are padded at the front with "<s>", so that every n-gram of
every order ends some row.

Source: Heafield et al. 2013, "Scalable modified Kneser-Ney language model estimation", sections 3.1
and 3.2.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from asr.ngram.rows import RowFile, Scratch
from asr.ngram.text import BOS, EOS, Corpus


@dataclass(frozen=True)
class Packing:
    """n-grams as rows of non-negative int64, the last word in the highest bits of the first."""

    vocabulary: int  # word ids are below

    @property
    def bits(self) -> int:
        """Bits a word takes."""
        return max(1, (self.vocabulary - 1).bit_length())

    @property
    def words_per_column(self) -> int:
        """Words that share an int64."""
        return 63 // self.bits

    def dtype(self, order: int, *fields: tuple[str, type]) -> np.dtype:
        """Describe rows that hold an n-gram, and more."""
        columns = -(-order // self.words_per_column)
        return np.dtype([("key", np.int64, (columns,)), *fields])

    def pack(self, words: Sequence[np.ndarray], keys: np.ndarray) -> None:
        """Write n-grams, given by (n,) words from the last to the first, to keys (n, columns)."""
        keys[:] = 0
        for back, word in enumerate(words):
            column, shift = self._place(back)
            keys[:, column] |= word.astype(np.int64) << shift

    def unpack(self, keys: np.ndarray, order: int) -> list[np.ndarray]:
        """Return the words (n,) of keys (n, columns), from the last to the first."""
        mask = (1 << self.bits) - 1
        places = (self._place(back) for back in range(order))
        return [(keys[:, column] >> shift) & mask for column, shift in places]

    def _place(self, back: int) -> tuple[int, int]:
        column, place = divmod(back, self.words_per_column)
        return column, self.bits * (self.words_per_column - 1 - place)


@dataclass
class NGramCounts:
    """The distinct n-grams of one order, sorted by last word, then the one before, and so on.

    Rows have the fields "key"; "count" in the text; "adjusted", Kneser-Ney's count; and "suffix",
    the ordinal of the n-gram without its first word among the kept ones of the order below.
    Unigrams stand at their word ids, and all are kept.
    """

    order: int
    packing: Packing
    rows: RowFile
    threshold: int  # n-grams with a larger count are kept; for unigrams -1
    num_kept: int = 0
    # How many n-grams have an adjusted count of 0, 1, 2, 3, 4, more.
    num_adjusted: np.ndarray = field(default_factory=lambda: np.zeros(6, dtype=np.int64))

    def append(self, rows: np.ndarray) -> None:
        """Add rows."""
        self.rows.append(rows)
        self.num_kept += int(np.count_nonzero(self.kept(rows)))
        self.num_adjusted += np.bincount(np.minimum(rows["adjusted"], 5), minlength=6)

    def kept(self, rows: np.ndarray) -> np.ndarray:
        """Tell which rows (n,) are kept."""
        return rows["count"] > self.threshold

    def contexts(self, rows: np.ndarray) -> np.ndarray:
        """Tell which rows (n,) something follows: all seen ones but those that end in "</s>"."""
        (last,) = self.packing.unpack(rows["key"], 1)
        return (last != EOS) & (rows["count"] > 0)

    def kept_blocks(self, block_rows: int) -> Iterator[np.ndarray]:
        """Yield the kept rows."""
        for rows in self.rows.blocks(block_rows):
            yield rows[self.kept(rows)]


def count_ngrams(
    corpus: Corpus, order: int, thresholds: Sequence[int], scratch: Scratch, progress: bool
) -> list[NGramCounts]:
    """Count the n-grams of a corpus up to an order.

    Args:
        corpus: finished.
        order: words of the longest n-gram.
        thresholds: per order, the largest count of an n-gram that is not kept.
        scratch: where rows go.
        progress: show bars.

    Returns:
        `order` counts, unigrams first.
    """
    packing = Packing(len(corpus.words))
    dtype = packing.dtype(order, ("count", np.int64))
    sorter = scratch.sorter(dtype, add_counts=True)
    with tqdm(total=len(corpus), desc="counting", disable=not progress, leave=False) as bar:
        for tokens, num_old in corpus.blocks(scratch.block_rows, order - 1):
            sorter.add(_ngrams_ending_at(tokens, num_old, order, packing, dtype))
            bar.update(len(tokens) - num_old)
    cutter = _Cutter(corpus, order, thresholds, packing, scratch)
    with tqdm(desc="cutting", unit=" rows", disable=not progress, leave=False) as bar:
        for rows in sorter.blocks():
            cutter.push(rows)
            bar.update(len(rows))
    return cutter.finish()


def _ngrams_ending_at(
    tokens: np.ndarray, num_old: int, order: int, packing: Packing, dtype: np.dtype
) -> np.ndarray:
    """Return the n-grams that end in tokens[num_old:] other than "<s>"."""
    at = num_old + np.flatnonzero(tokens[num_old:] != BOS)
    rows = np.empty(len(at), dtype=dtype)
    words = []
    for _ in range(order):
        words.append(tokens[at])
        # "<s>" repeats in front of the sentence.
        at = at - (words[-1] != BOS)
    packing.pack(words, rows["key"])
    rows["count"] = 1
    return rows


class _Cutter:
    """Cuts the sorted longest n-grams into the n-grams of all orders, block by block.

    What the last row of a block ends in may go on in the next block: this row is put in front of
    it, with the sums of its n-grams so far.
    """

    def __init__(
        self,
        corpus: Corpus,
        order: int,
        thresholds: Sequence[int],
        packing: Packing,
        scratch: Scratch,
    ) -> None:
        numbers = [(name, np.int64) for name in ("count", "adjusted", "suffix")]
        dtypes = [packing.dtype(n, *numbers) for n in range(1, order + 1)]
        self._counts = [
            NGramCounts(n, packing, scratch.file(dtype), threshold)
            for n, (dtype, threshold) in enumerate(zip(dtypes, thresholds, strict=True), start=1)
        ]
        self._dtypes = dtypes
        self._packing = packing
        self._order = order
        self._unigrams = np.zeros(packing.vocabulary, dtype=dtypes[0])
        self._unigrams["count"][BOS] = corpus.num_sentences
        self._last: np.ndarray | None = None
        self._open_count = np.zeros(order, dtype=np.int64)
        self._open_before = np.zeros(order, dtype=np.int64)

    def push(self, rows: np.ndarray, final: bool = False) -> None:
        """Take the next rows; with `final` there are no more."""
        is_first = self._last is None
        if self._last is not None:
            rows = np.concatenate((self._last, rows))
        words = self._packing.unpack(rows["key"], self._order)
        begins = _find_begins(words)  # order times (rows,)
        above = [*begins[1:], None]
        ordinals = words[0]  # of the n-gram of the order below that each row ends in
        for n in range(self._order):
            starts = np.flatnonzero(begins[n])
            count = np.add.reduceat(rows["count"], starts)
            count[0] += self._open_count[n]
            before = count
            longer = above[n]
            if longer is not None:
                before = np.add.reduceat(longer.astype(np.int64), starts)
                before[0] += self._open_before[n] - (not is_first)
            self._open_count[n], self._open_before[n] = count[-1], before[-1]
            found = self._make(n, [w[starts] for w in words[: n + 1]], count, before)
            found["suffix"] = ordinals[starts] if n else 0
            ordinals = self._emit(n, found, begins[n], final, words[0])
        self._last = rows[-1:].copy()
        self._last["count"] = 0

    def finish(self) -> list[NGramCounts]:
        """Return the n-grams of all orders."""
        assert self._last is not None  # a corpus has at least one "</s>"
        self.push(self._last[:0], final=True)
        self._packing.pack([np.arange(self._packing.vocabulary)], self._unigrams["key"])
        self._counts[0].append(self._unigrams)
        return self._counts

    def _make(
        self, n: int, words: list[np.ndarray], count: np.ndarray, before: np.ndarray
    ) -> np.ndarray:
        """Return rows of the n-grams that were found, padding among them."""
        found = np.empty(len(count), dtype=self._dtypes[n])
        self._packing.pack(words, found["key"])
        found["count"] = count
        found["adjusted"] = np.where(words[-1] == BOS, count, before)
        if n:
            # "<s> <s>" is padding, and so is all that ends in it.
            found["count"][(words[-1] == BOS) & (words[-2] == BOS)] = 0
        return found

    def _emit(
        self, n: int, found: np.ndarray, begins: np.ndarray, final: bool, words: np.ndarray
    ) -> np.ndarray:
        """Store what no later row belongs to; return the ordinal of each row's n-gram."""
        closed = found if final else found[:-1]
        if n == 0:
            at = words[np.flatnonzero(begins)][: len(closed)]
            self._unigrams["count"][at] = closed["count"]
            self._unigrams["adjusted"][at] = closed["adjusted"]
            return words
        counts = self._counts[n]
        kept = counts.kept(found)
        ordinals = counts.num_kept + np.cumsum(kept) - kept
        counts.append(closed[closed["count"] > 0])
        return ordinals[np.cumsum(begins) - 1]


def _find_begins(words: list[np.ndarray]) -> list[np.ndarray]:
    """Tell, per order, at which rows another n-gram begins; the first row begins all."""
    begins = []
    new = np.zeros(len(words[0]), dtype=bool)
    new[0] = True
    for word in words:
        new = new.copy()
        new[1:] |= word[1:] != word[:-1]
        begins.append(new)
    return begins
