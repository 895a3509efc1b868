"""Counts of n-grams, and Kneser-Ney's adjusted counts, of a text held as integers.

An n-gram is one or two 64-bit keys with its last word in the highest bits. Sorting the longest ones
once makes every shorter n-gram a run of rows, since all that are longer end in it, and the number
of words seen before it a number of runs. Sentences are padded at the front with "<s>", so that
every n-gram of every order ends some row.

Source: Heafield et al. 2013, "Scalable modified Kneser-Ney language model estimation", sections 3.1
and 3.2, with a sort in memory for the one on disk.
"""

import itertools
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

UNK, BOS, EOS = range(3)
RESERVED = ("<unk>", "<s>", "</s>")
_CHUNK = 1 << 22  # tokens packed and sorted at once


class Corpus:
    """Sentences as integers: "<s>" words "</s>", one after the other."""

    def __init__(self) -> None:
        self.ids: defaultdict[str, int] = defaultdict()
        self.ids.default_factory = self.ids.__len__
        for word in RESERVED:
            self.ids[word]
        self.tokens = array("i")
        self.num_sentences = 0
        self.num_empty_lines = 0

    def add(self, lines: Iterable[str], locate: Callable[[int], str]) -> None:
        """Append sentences; `locate` turns a line number into the place an error names."""
        for number, line in enumerate(lines, start=1):
            words = line.split()
            if not words:
                self.num_empty_lines += 1
                continue
            if "<" in line and (reserved := set(words) & set(RESERVED)):
                raise ValueError(
                    f"{locate(number)}: text must not hold {min(reserved)!r}, a mark of ARPA files"
                )
            if "\0" in line:
                raise ValueError(f"{locate(number)}: text must not hold NUL characters")
            self.tokens.append(BOS)
            self.tokens.extend(map(self.ids.__getitem__, words))
            self.tokens.append(EOS)
            self.num_sentences += 1

    def limit(self, vocab_size: int | None) -> tuple[np.ndarray, list[str]]:
        """Return the tokens with rare words replaced by "<unk>", and the words by id."""
        tokens, words = np.frombuffer(self.tokens, dtype=np.intc), list(self.ids)
        first = len(RESERVED)
        if vocab_size is None or len(words) - first <= vocab_size:
            return tokens, words
        counts = np.bincount(tokens, minlength=len(words))[first:]
        # Stable: of equally frequent words those that came first stay.
        kept = np.sort(np.argsort(-counts, kind="stable")[:vocab_size]) + first
        renumbered = np.full(len(words), UNK, dtype=np.intc)
        renumbered[:first] = range(first)
        renumbered[kept] = np.arange(first, first + vocab_size)
        return renumbered[tokens], [*RESERVED, *(words[i] for i in kept)]


@dataclass
class Table:
    """The distinct n-grams of one order, sorted by last word, then the one before, and so on.

    `suffix` and `prefix` index the table of the order below: the n-gram without its first word and
    without its last. Unigrams are indexed by word; below them stands one empty n-gram.
    """

    first: np.ndarray  # (n,) id of the first word
    suffix: np.ndarray  # (n,)
    prefix: np.ndarray  # (n,)
    counts: np.ndarray  # (n,) in the text
    adjusted: np.ndarray  # (n,) Kneser-Ney's counts


def count_ngrams(tokens: np.ndarray, order: int, vocabulary: int, progress: bool) -> list[Table]:
    """Count the n-grams of a corpus up to an order.

    Args:
        tokens: (n,) sentences as `Corpus` lays them out.
        order: words of the longest n-gram.
        vocabulary: number of words, marks included; tokens are below it.
        progress: show a bar.

    Returns:
        `order` tables, unigrams first.
    """
    keys, counts, bits = _count_rows(tokens, order, vocabulary, progress)
    return _make_tables(keys, counts, bits, order, vocabulary)


def _count_rows(
    tokens: np.ndarray, order: int, vocabulary: int, progress: bool
) -> tuple[list[np.ndarray], np.ndarray, int]:
    """Count the n-grams that end at each token, padded at the front with "<s>".

    Returns:
        sorted distinct keys as a list of uint64 arrays, the most significant first; how often each
        occurs; bits a word takes in a key.
    """
    bits = max(1, (vocabulary - 1).bit_length())
    runs: list[tuple[list[np.ndarray], np.ndarray]] = []
    starts = tqdm(range(0, len(tokens), _CHUNK), desc="counting", disable=not progress, leave=False)
    for start in starts:
        keys = _pack(tokens, start, min(start + _CHUNK, len(tokens)), order, bits)
        runs.append(_merge(keys, np.ones(len(keys[0]), dtype=np.int64)))
        # Equal-sized runs merge, so each n-gram is sorted log(number of chunks) times.
        while len(runs) > 1 and len(runs[-2][1]) <= 2 * len(runs[-1][1]):
            runs.append(_concatenate(runs.pop(), runs.pop()))
    while len(runs) > 1:
        runs.append(_concatenate(runs.pop(), runs.pop()))
    return *runs[0], bits


def _pack(tokens: np.ndarray, start: int, stop: int, order: int, bits: int) -> list[np.ndarray]:
    """Return the keys of the n-grams that end in tokens[start:stop] other than "<s>"."""
    positions = np.arange(start, stop)
    positions = positions[tokens[start:stop] != BOS]
    words_per_key = 64 // bits
    keys: list[np.ndarray] = []
    at = positions
    for back in range(order):
        word = tokens[at].astype(np.uint64)
        if back % words_per_key == 0:
            keys.append(word)
        else:
            keys[-1] = (keys[-1] << np.uint64(bits)) | word
        # "<s>" repeats in front of the sentence.
        at = at - (tokens[at] != BOS)
    return keys


def _concatenate(
    a: tuple[list[np.ndarray], np.ndarray], b: tuple[list[np.ndarray], np.ndarray]
) -> tuple[list[np.ndarray], np.ndarray]:
    keys = [np.concatenate(pair) for pair in zip(a[0], b[0], strict=True)]
    return _merge(keys, np.concatenate((a[1], b[1])))


def _merge(keys: list[np.ndarray], counts: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Sort the keys and add the counts of equal ones."""
    rank = np.argsort(keys[0]) if len(keys) == 1 else np.lexsort(keys[::-1])
    keys = [key[rank] for key in keys]
    new = np.zeros(len(counts), dtype=bool)
    new[:1] = True
    for key in keys:
        new[1:] |= key[1:] != key[:-1]
    starts = np.flatnonzero(new)
    return [key[starts] for key in keys], np.add.reduceat(counts[rank], starts)


def _make_tables(
    keys: list[np.ndarray], counts: np.ndarray, bits: int, order: int, vocabulary: int
) -> list[Table]:
    """Cut the sorted n-grams into the tables of all orders."""
    words = _unpack(keys, bits, order)
    row = next(words)  # (rows,) index of each row's n-gram in the table of the order in hand
    unigram_counts = np.bincount(row, weights=counts, minlength=vocabulary).astype(np.int64)
    ids, zeros = np.arange(vocabulary), np.zeros(vocabulary, dtype=np.int64)
    tables = [Table(ids, zeros, zeros, unigram_counts, unigram_counts)]
    new = np.ones(len(row), dtype=bool)
    new[1:] = row[1:] != row[:-1]
    for word in words:
        new[1:] |= word[1:] != word[:-1]
        starts = np.flatnonzero(new)
        below = tables[-1]
        first, suffix = word[starts], row[starts]
        # "<s> <s>" is padding, and so is all that ends in it.
        real = suffix >= 0
        real[real] = (first[real] != BOS) | (below.first[suffix[real]] != BOS)
        total = np.add.reduceat(counts, starts)[real]
        row = np.where(real, np.cumsum(real) - 1, -1)[np.cumsum(new) - 1]
        first, suffix = first[real], suffix[real]
        tables.append(Table(first, suffix, _find_prefix(tables, first, suffix), total, total))
    for below, table in itertools.pairwise(tables):
        continuations = np.bincount(table.suffix, minlength=len(below.first))
        below.adjusted = np.where(below.first == BOS, below.counts, continuations)
    return tables


def _unpack(keys: list[np.ndarray], bits: int, order: int) -> Iterator[np.ndarray]:
    """Yield the words of the n-grams, the last word first."""
    words_per_key = 64 // bits
    mask = np.uint64((1 << bits) - 1)
    for back in range(order):
        which, place = divmod(back, words_per_key)
        held = min(words_per_key, order - which * words_per_key)
        shift = np.uint64(bits * (held - 1 - place))
        yield ((keys[which] >> shift) & mask).astype(np.int64)


def _find_prefix(tables: list[Table], first: np.ndarray, suffix: np.ndarray) -> np.ndarray:
    """Find n-grams without their last word in the table of the order below.

    (w1 .. wk-1) has the first word w1 and the suffix (w2 .. wk-1), the prefix of (w2 .. wk).
    """
    below = tables[-1]
    if len(tables) == 1:
        return first
    size = np.int64(len(tables[0].first))
    return np.searchsorted(below.suffix * size + below.first, below.prefix[suffix] * size + first)
