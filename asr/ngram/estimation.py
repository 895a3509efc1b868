"""n-gram language models from text: modified Kneser-Ney, pruned, written as ARPA.

The steps stream over rows on disk (`ngram_rows`), so that memory is bounded whatever the text, and
the file is the same, bit for bit, whatever the memory.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from asr.ngram.arpa import write_arpa
from asr.ngram.counting import count_ngrams
from asr.ngram.pruning import prune_by_entropy
from asr.ngram.rows import Scratch
from asr.ngram.smoothing import Discounts, smooth
from asr.ngram.text import MIB, UNK, Corpus, read_lines, split_sentences

MAX_ORDER = 6
DEFAULT_MEMORY = 1024  # MiB


@dataclass(frozen=True, kw_only=True)
class NGramOptions:
    """What kind of model to make of a text.

    Args:
        vocab_size: keep this many of the most frequent words; the others count as "<unk>".
        prune: per order, the largest count that is dropped: (0, 0, 1) drops trigrams seen once.
            The last holds for the orders above; unigrams are never dropped.
        prune_entropy: drop n-grams without which perplexity on the training text grows by less
            than this, relatively, > 0; None drops none.
        split: turns a line into its words.
        memory: MiB, > 0, that may be taken besides what the process had; the vocabulary may be
            half of it.
        progress: show bars on the terminal.

    Raises:
        ValueError: an option is out of range.
    """

    vocab_size: int | None = None
    prune: Sequence[int] = ()
    prune_entropy: float | None = None
    split: Callable[[str], list[str]] = field(default=str.split)
    memory: int = DEFAULT_MEMORY
    progress: bool = False

    def __post_init__(self) -> None:
        if self.vocab_size is not None and self.vocab_size < 1:
            raise ValueError(f"vocab_size must be >= 1, got {self.vocab_size}")
        prune = list(self.prune)
        if prune != sorted(prune) or any(prune[:1]):
            # A longer n-gram can only stay if what it is made of stays.
            raise ValueError(f"prune must start with 0 and never fall, got {prune}")
        if self.prune_entropy is not None and not 0 < self.prune_entropy < math.inf:
            raise ValueError(f"prune_entropy must be > 0, got {self.prune_entropy}")
        if self.memory < 1:
            raise ValueError(f"memory must be >= 1 MiB, got {self.memory}")

    def thresholds(self, order: int) -> list[int]:
        """Return the largest count that is dropped, for each order; for words, all kept, -1.

        Raises:
            ValueError: there can be no such order, or not all that `prune` holds is for one.
        """
        if not 1 <= order <= MAX_ORDER:
            raise ValueError(f"order must be in 1..{MAX_ORDER}, got {order}")
        prune = list(self.prune)
        if len(prune) > order:
            raise ValueError(f"prune must hold at most {order} counts, one an order, got {prune}")
        return [-1, *(prune[min(n, len(prune) - 1)] if prune else 0 for n in range(1, order))]


DEFAULTS = NGramOptions()


@dataclass(frozen=True, kw_only=True)
class NGramReport:
    """What was counted and estimated; lists have one entry an order, unigrams first."""

    path: Path
    num_sentences: int
    num_words: int  # tokens, without sentence marks
    num_empty_lines: int
    num_unknown: int  # tokens outside a limited vocabulary, counted as <unk>
    num_seen: list[int]  # distinct n-grams in the text
    num_ngrams: list[int]  # of those in the file, <unk> included
    discounts: list[Discounts]
    seconds: float

    def __str__(self) -> str:
        """Return a few lines to print."""
        lines = [
            f"{self.num_words:,} words in {self.num_sentences:,} sentences"
            f" ({self.num_empty_lines:,} empty lines skipped,"
            f" {self.num_unknown:,} words outside the vocabulary became <unk>)"
        ]
        for i, (seen, kept, d) in enumerate(
            zip(self.num_seen, self.num_ngrams, self.discounts, strict=True), start=1
        ):
            origin = "estimated" if d.estimated else "fallback: too few counts to estimate"
            lines.append(
                f"{i}-grams: {kept:,} of {seen:,}; discounts {d.one:.4f} {d.two:.4f}"
                f" {d.three_or_more:.4f} ({origin})"
            )
        return "\n".join([*lines, f"{self.path} written in {self.seconds:.1f} s"])


def build_ngram(
    text_paths: Sequence[str | Path],
    order: int,
    path_out: str | Path,
    options: NGramOptions = DEFAULTS,
) -> NGramReport:
    """Estimate a language model from text files, plain or .gz, UTF-8, one sentence a line.

    Args:
        text_paths: read in turn.
        order: words of the longest n-gram, 1..6.
        path_out: the ARPA file, written under a temporary name and renamed; intermediate rows go
            into unnamed files of its folder.
        options: what to make.

    Returns:
        Counts and discounts per order, to print.

    Raises:
        ValueError: as `estimate_ngram`, with file and line; or a file cannot be read.
        OSError: the folder cannot be written to.
    """
    sources = [
        (read_lines(Path(path)), str(path), lambda number, path=path: f"{path}:{number}")
        for path in text_paths
    ]
    return _estimate(sources, order, Path(path_out), options)


def estimate_ngram(
    lines: Iterable[str], order: int, path_out: str | Path, options: NGramOptions = DEFAULTS
) -> NGramReport:
    """Estimate a language model from sentences and write it as an ARPA file.

    Args:
        lines: one sentence each; those without words are skipped.
        order: words of the longest n-gram, 1..6.
        path_out: as `build_ngram`.
        options: what to make.

    Returns:
        Counts and discounts per order, to print.

    Raises:
        ValueError: there is no word; a line holds "<s>", "</s>", "<unk>" or a NUL; or the
            vocabulary does not fit into the memory.
        OSError: the folder cannot be written to.
    """
    return _estimate([(lines, "reading", "line {}".format)], order, Path(path_out), options)


def _estimate(
    sources: Sequence[tuple[Iterable[str], str, Callable[[int], str]]],
    order: int,
    path: Path,
    options: NGramOptions,
) -> NGramReport:
    """Estimate from several sources: their lines, their title, and what names a line."""
    start = time.perf_counter()
    thresholds = options.thresholds(order)
    progress = options.progress
    with Scratch(path.parent, options.memory * MIB) as scratch:
        corpus = Corpus(scratch)
        for lines, title, locate in sources:
            with tqdm(lines, desc=title, unit=" lines", disable=not progress, leave=False) as bar:
                corpus.add(split_sentences(bar, options.split, locate))
        corpus.finish(options.vocab_size)
        scratch.memory -= corpus.vocabulary_bytes()
        counts = count_ngrams(corpus, order, thresholds, scratch, progress)
        orders = smooth(counts, scratch, progress)
        if options.prune_entropy is not None:
            orders = prune_by_entropy(orders, options.prune_entropy, scratch, progress)
        write_arpa(path, corpus.words, orders, scratch, progress)
        return NGramReport(
            path=path,
            num_sentences=corpus.num_sentences,
            num_words=len(corpus) - 2 * corpus.num_sentences,
            num_empty_lines=corpus.num_empty_lines,
            num_unknown=int(counts[0].rows.read(UNK, UNK + 1)["count"][0]),
            num_seen=[len(grams.rows) for grams in counts],
            num_ngrams=[grams.num_ngrams for grams in orders],
            discounts=[grams.discounts for grams in orders],
            seconds=time.perf_counter() - start,
        )
