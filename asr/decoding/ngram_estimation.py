"""n-gram language models from text: interpolated modified Kneser-Ney, written as ARPA.

    p(w | u) = (a(u w) - D(a(u w))) / sum_x a(u x)  +  gamma(u) p(w | u without its first word)

a is the count for the highest order and for n-grams that open a sentence, else the number of words
seen before the n-gram. gamma(u) is the mass that the discounts D took, and that of pruned n-grams.
The recursion ends in the uniform distribution over all words, "</s>" and "<unk>", so every
context's probabilities sum to one and no word is impossible.

Source: Chen and Goodman 1998, "An empirical study of smoothing techniques for language modeling",
section 4.1.6; Heafield et al. 2013, "Scalable modified Kneser-Ney language model estimation".
"""

import gzip
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn, TextIO

import numpy as np
from tqdm import tqdm

from asr.decoding.ngram_counting import BOS, UNK, Corpus, Table, count_ngrams

MAX_ORDER = 6
# What KenLM's lmplz falls back to.
_FALLBACK = (0.5, 1.0, 1.5)
_BLOCK = 1 << 16  # lines formatted at once
_LOG10_ZERO = -99.0  # ARPA's customary log10 of an impossible word


class Discounts(NamedTuple):
    """What is taken from adjusted counts of 1, 2 and 3 or more, in counts."""

    one: float
    two: float
    three_or_more: float
    estimated: bool  # False: too few counts to estimate from, so 0.5, 1, 1.5 were taken


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
    *,
    vocab_size: int | None = None,
    prune: Sequence[int] = (),
    progress: bool = False,
) -> NGramReport:
    """Estimate a language model from text files, plain or .gz, UTF-8, one sentence a line.

    Args and result as `estimate_ngram`.

    Raises:
        ValueError: as `estimate_ngram`, with file and line; or a file cannot be read.
    """
    start = time.perf_counter()
    _check_options(order, vocab_size, prune)
    corpus = Corpus()
    for path in text_paths:
        lines = tqdm(
            _read_lines(Path(path)),
            desc=str(path),
            unit=" lines",
            disable=not progress,
            leave=False,
        )
        corpus.add(lines, lambda number, path=path: f"{path}:{number}")
    return _estimate(corpus, order, Path(path_out), vocab_size, prune, progress, start)


def estimate_ngram(
    lines: Iterable[str],
    order: int,
    path_out: str | Path,
    *,
    vocab_size: int | None = None,
    prune: Sequence[int] = (),
    progress: bool = False,
) -> NGramReport:
    """Estimate a language model from sentences and write it as an ARPA file.

    Args:
        lines: one sentence each, words split at white space; empty ones are skipped.
        order: words of the longest n-gram, 1..6.
        path_out: written under a temporary name and renamed.
        vocab_size: keep this many of the most frequent words; the others count as "<unk>".
        prune: per order, the largest count that is dropped: (0, 0, 1) drops trigrams seen once.
            The last holds for the orders above; unigrams are never dropped.
        progress: show bars on the terminal.

    Returns:
        Counts and discounts per order, to print.

    Raises:
        ValueError: an option is out of range, there is no word, or a line holds "<s>", "</s>",
            "<unk>" or a NUL.
    """
    start = time.perf_counter()
    _check_options(order, vocab_size, prune)
    corpus = Corpus()
    corpus.add(
        tqdm(lines, desc="reading", unit=" lines", disable=not progress, leave=False),
        lambda number: f"line {number}",
    )
    return _estimate(corpus, order, Path(path_out), vocab_size, prune, progress, start)


def _estimate(
    corpus: Corpus,
    order: int,
    path: Path,
    vocab_size: int | None,
    prune: Sequence[int],
    progress: bool,
    start: float,
) -> NGramReport:
    if not corpus.num_sentences:
        raise ValueError("cannot estimate a language model: the text holds no words")
    tokens, words = corpus.limit(vocab_size)
    tables = count_ngrams(tokens, order, len(words), progress)
    thresholds = [0, *(prune[min(k, len(prune) - 1)] if prune else 0 for k in range(1, order))]
    kept = [
        (table.counts > threshold) if k else np.ones(len(words), dtype=bool)
        for k, (table, threshold) in enumerate(zip(tables, thresholds, strict=True))
    ]
    discounts = [_discount(table.adjusted) for table in tables]
    probabilities, backoffs = _interpolate(tables, kept, discounts)
    _write_arpa(path, words, tables, kept, probabilities, backoffs, progress)
    return NGramReport(
        path=path,
        num_sentences=corpus.num_sentences,
        num_words=len(tokens) - 2 * corpus.num_sentences,
        num_empty_lines=corpus.num_empty_lines,
        num_unknown=int(tables[0].counts[UNK]),
        num_seen=[len(table.first) for table in tables],
        num_ngrams=[int(mask.sum()) for mask in kept],
        discounts=discounts,
        seconds=time.perf_counter() - start,
    )


def _check_options(order: int, vocab_size: int | None, prune: Sequence[int]) -> None:
    if not 1 <= order <= MAX_ORDER:
        raise ValueError(f"order must be in 1..{MAX_ORDER}, got {order}")
    if vocab_size is not None and vocab_size < 1:
        raise ValueError(f"vocab_size must be >= 1, got {vocab_size}")
    if len(prune) > order:
        raise ValueError(f"prune must hold at most {order} counts, one an order, got {list(prune)}")
    if list(prune) != sorted(prune) or any(prune[:1]):
        # A longer n-gram can only stay if what it is made of stays.
        raise ValueError(f"prune must start with 0 and never fall, got {list(prune)}")


def _read_lines(path: Path) -> Iterator[str]:
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}:{number}: not UTF-8 ({error.reason})") from error
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: cannot read ({error})") from error


def _discount(adjusted: np.ndarray) -> Discounts:
    """Estimate three discounts from the numbers of n-grams seen once to four times.

    D(j) = j - (j + 1) Y t(j+1) / t(j),  Y = t(1) / (t(1) + 2 t(2))

    Source: Chen and Goodman 1998, equation 26; fallback as KenLM's lmplz --discount_fallback.
    """
    t = [int(np.count_nonzero(adjusted == j)) for j in range(5)]
    if all(t[1:4]):
        y = t[1] / (t[1] + 2 * t[2])
        d = [j - (j + 1) * y * t[j + 1] / t[j] for j in (1, 2, 3)]
        if all(0 <= d[j - 1] <= j for j in (1, 2, 3)):
            return Discounts(*d, estimated=True)
    return Discounts(*_FALLBACK, estimated=False)


def _interpolate(
    tables: list[Table], kept: list[np.ndarray], discounts: list[Discounts]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return p(last word | the words before it) and gamma(n-gram) for each table."""
    num_predictable = len(tables[0].first) - 1  # all words but "<s>"
    lower = np.array([1 / num_predictable])
    probabilities, backoffs = [], []
    for table, mask, discount in zip(tables, kept, discounts, strict=True):
        taken = np.array([0, *discount[:3]])[np.minimum(table.adjusted, 3)]
        contexts = len(lower)
        total = np.bincount(table.prefix, table.adjusted, minlength=contexts)
        left = np.bincount(table.prefix, np.where(mask, taken, table.adjusted), minlength=contexts)
        # A context that nothing follows passes all on.
        gamma = np.divide(left, total, out=np.ones(contexts), where=total > 0)
        own = (table.adjusted - taken) / total[table.prefix]
        lower = own + gamma[table.prefix] * lower[table.suffix]
        probabilities.append(lower)
        backoffs.append(gamma)
    return probabilities, backoffs[1:]


def _write_arpa(
    path: Path,
    words: list[str],
    tables: list[Table],
    kept: list[np.ndarray],
    probabilities: list[np.ndarray],
    backoffs: list[np.ndarray],
    progress: bool,
) -> None:
    total = sum(int(mask.sum()) for mask in kept)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with (
            temporary.open("w", encoding="utf-8", newline="\n") as file,
            tqdm(total=total, desc="writing", disable=not progress, leave=False) as bar,
        ):
            file.write("\\data\\\n")
            file.writelines(f"ngram {k}={mask.sum()}\n" for k, mask in enumerate(kept, start=1))
            for k, (mask, probability) in enumerate(zip(kept, probabilities, strict=True)):
                file.write(f"\n\\{k + 1}-grams:\n")
                log_p = _log10(probability)
                if k == 0:
                    log_p[BOS] = _LOG10_ZERO  # never predicted
                log_backoff = _log10(backoffs[k]) if k < len(backoffs) else None
                _write_rows(
                    file, np.flatnonzero(mask), words, tables[: k + 1], log_p, log_backoff, bar
                )
            file.write("\n\\end\\\n")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_rows(
    file: TextIO,
    rows: np.ndarray,
    words: list[str],
    tables: list[Table],
    log_p: np.ndarray,
    log_backoff: np.ndarray | None,
    bar: "tqdm[NoReturn]",
) -> None:
    names = np.array(words, dtype=object)
    pattern = "%.7f\t" + " ".join(["%s"] * len(tables))
    pattern += "\n" if log_backoff is None else "\t%.7f\n"
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        columns = [log_p[block].tolist()]
        at = block
        for table in reversed(tables):
            columns.append(names[table.first[at]].tolist())
            at = table.suffix[at]
        if log_backoff is not None:
            columns.append(log_backoff[block].tolist())
        file.write("".join(map(pattern.__mod__, zip(*columns, strict=True))))
        bar.update(len(block))


def _log10(probability: np.ndarray) -> np.ndarray:
    return np.log10(np.maximum(probability, 10.0**_LOG10_ZERO))
