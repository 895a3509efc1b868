"""Text -> sentences as integers, on disk: what n-grams are counted in."""

import gzip
import sys
import zlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from asr.ngram.rows import Scratch

UNK, BOS, EOS = range(3)
RESERVED = ("<unk>", "<s>", "</s>")
MIB = 1 << 20
_CHUNK = 1 << 18  # tokens that wait for being written
# A word of some letters, its place in lists and dictionaries, and the columns of its unigram.
_BYTES_PER_WORD = 250


class Corpus:
    """Sentences as integers: "<s>" words "</s>", one after the other.

    The tokens are on disk; the vocabulary is in memory.

    Args:
        scratch: where the tokens go, and the memory of which the vocabulary may take half.
    """

    def __init__(self, scratch: Scratch) -> None:
        self._ids: defaultdict[str, int] = defaultdict()
        self._ids.default_factory = self._ids.__len__
        for word in RESERVED:
            self._ids[word]
        self._scratch = scratch
        self._file = scratch.file(np.dtype(np.intc))
        self._waiting = array("i")
        self._renumbered: np.ndarray | None = None
        self.words: list[str] = []  # by id, once `finish` was called
        self.num_sentences = 0
        self.num_empty_lines = 0

    def add(self, sentences: Iterable[list[str]]) -> None:
        """Append sentences, each as its words; those without words are only counted.

        Raises:
            ValueError: the vocabulary outgrows its memory.
        """
        for words in sentences:
            if not words:
                self.num_empty_lines += 1
                continue
            self._waiting.append(BOS)
            self._waiting.extend(map(self._ids.__getitem__, words))
            self._waiting.append(EOS)
            self.num_sentences += 1
            if len(self._waiting) >= _CHUNK:
                self._flush()

    def finish(self, vocab_size: int | None) -> None:
        """Fix the vocabulary, of which `vocab_size` keeps the most frequent words.

        Raises:
            ValueError: there are no words.
        """
        if not self.num_sentences:
            raise ValueError("cannot estimate a language model: the text holds no words")
        self._flush()
        self.words = list(self._ids)
        self._ids.clear()
        first = len(RESERVED)
        if vocab_size is None or len(self.words) - first <= vocab_size:
            return
        counts = np.zeros(len(self.words), dtype=np.int64)
        for tokens in self._file.blocks(_CHUNK):
            counts += np.bincount(tokens, minlength=len(counts))
        # Stable: of equally frequent words those that came first stay.
        kept = np.sort(np.argsort(-counts[first:], kind="stable")[:vocab_size]) + first
        self._renumbered = np.full(len(self.words), UNK, dtype=np.intc)
        self._renumbered[:first] = range(first)
        self._renumbered[kept] = np.arange(first, first + vocab_size)
        self.words = [*RESERVED, *(self.words[i] for i in kept)]

    def __len__(self) -> int:
        """Count the tokens, marks included."""
        return len(self._file)

    def vocabulary_bytes(self) -> int:
        """Estimate the memory of the words."""
        return sys.getsizeof(self._ids) + _BYTES_PER_WORD * max(len(self._ids), len(self.words))

    def blocks(self, block_rows: int, overlap: int) -> Iterator[tuple[np.ndarray, int]]:
        """Yield all tokens in pieces that begin with the last `overlap` tokens of the piece before.

        Yields:
            (n,) tokens, and how many of them are not new.
        """
        for start in range(0, len(self), block_rows):
            begin = max(0, start - overlap)
            tokens = self._file.read(begin, min(start + block_rows, len(self)))
            if self._renumbered is not None:
                tokens = self._renumbered[tokens]
            yield tokens, start - begin

    def _flush(self) -> None:
        self._file.append(np.frombuffer(self._waiting, dtype=np.intc))
        self._waiting = array("i")
        if (needed := self.vocabulary_bytes()) > self._scratch.memory // 2:
            raise ValueError(
                f"memory must be at least twice that of the {len(self._ids):,} words read so far,"
                f" {2 * needed // MIB + 1} MiB, got {self._scratch.memory // MIB}"
            )


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file, plain or .gz.

    Raises:
        ValueError: the file cannot be read, or a line (which is named) is not UTF-8.
    """
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}:{number}: not UTF-8 ({error.reason})") from error
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: cannot read ({error})") from error


def split_sentences(
    lines: Iterable[str], split: Callable[[str], list[str]], locate: Callable[[int], str]
) -> Iterator[list[str]]:
    """Yield the words of each line.

    Args:
        lines: one sentence each.
        split: turns a line into its words, none of which holds white space.
        locate: turns a line number into the place an error names.

    Raises:
        ValueError: a line holds a mark of ARPA files, a NUL, or what `split` refuses.
    """
    for number, line in enumerate(lines, start=1):
        try:
            words = split(line)
        except ValueError as error:
            raise ValueError(f"{locate(number)}: {error}") from error
        if "<" in line and (reserved := set(words) & set(RESERVED)):
            raise ValueError(
                f"{locate(number)}: text must not hold {min(reserved)!r}, a mark of ARPA files"
            )
        if "\0" in line:
            raise ValueError(f"{locate(number)}: text must not hold NUL characters")
        yield words


def split_characters(line: str) -> list[str]:
    """Return the characters of a line, U+2581 for the white space between its words."""
    return list("\u2581".join(line.split()))
