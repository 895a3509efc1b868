"""A smoothed model -> an ARPA file."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np
from tqdm import tqdm

from asr.files import replacing
from asr.ngram.counting import NGramCounts
from asr.ngram.rows import Cursor, Scratch
from asr.ngram.smoothing import CONTEXT, ESTIMATE, SmoothedOrder
from asr.ngram.text import BOS

_LOG10_ZERO = -99.0  # ARPA's customary log10 of an impossible word
_MAX_LINES = 1 << 15  # formatted at once: as Python's strings they are ten times their length


def write_arpa(
    path: Path, words: list[str], orders: Sequence[SmoothedOrder], scratch: Scratch, progress: bool
) -> None:
    """Write a model under a temporary name and rename it.

    Args:
        path: the file.
        words: by id.
        orders: unigrams first.
        scratch: gives the size of blocks.
        progress: show a bar.

    Raises:
        OSError: the file cannot be written.
    """
    numbers = [order.num_ngrams for order in orders]
    names = np.array(words, dtype=object)
    longer: list[SmoothedOrder | None] = [*orders[1:], None]
    with (
        _replacing(path) as file,
        tqdm(total=sum(numbers), desc="writing", disable=not progress, leave=False) as bar,
    ):
        file.write("\\data\\\n")
        file.writelines(f"ngram {n}={number}\n" for n, number in enumerate(numbers, start=1))
        for order, above in zip(orders, longer, strict=True):
            file.write(f"\n\\{order.counts.order}-grams:\n")
            for lines in _format(order, above, names, scratch):
                file.write("".join(lines))
                bar.update(len(lines))
        file.write("\n\\end\\\n")


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        yield file


def _format(
    order: SmoothedOrder, longer: SmoothedOrder | None, names: np.ndarray, scratch: Scratch
) -> Iterator[list[str]]:
    """Yield the lines of one order."""
    size = min(scratch.block_rows, _MAX_LINES)
    estimates = Cursor(order.estimates.blocks(size), ESTIMATE)
    flags = None if order.retained is None else Cursor(order.retained.blocks(size), np.dtype(bool))
    backoffs = None if longer is None else Cursor(longer.contexts.blocks(size), CONTEXT)
    pattern = "%.7f\t" + " ".join(["%s"] * order.counts.order)
    pattern += "\n" if backoffs is None else "\t%.7f\n"
    for rows in order.counts.rows.blocks(size):
        mask = order.counts.kept(rows)
        p = np.ones(len(rows))
        num_kept = int(np.count_nonzero(mask))
        p[mask] = estimates.take(num_kept)["p"]
        columns = [] if backoffs is None else [_log10_backoffs(order.counts, rows, backoffs)]
        if flags is not None:
            mask[mask] = flags.take(num_kept)
        spelled = order.counts.packing.unpack(rows["key"], order.counts.order)
        log_p = _log10(p)
        if order.counts.order == 1:
            log_p[spelled[0] == BOS] = _LOG10_ZERO  # never predicted
        columns = [log_p, *(names[word] for word in reversed(spelled)), *columns]
        fields = zip(*(column[mask].tolist() for column in columns), strict=True)
        yield list(map(pattern.__mod__, fields))


def _log10_backoffs(counts: NGramCounts, rows: np.ndarray, contexts: Cursor) -> np.ndarray:
    is_context = counts.contexts(rows)
    backoffs = np.ones(len(rows))
    backoffs[is_context] = contexts.take(int(np.count_nonzero(is_context)))["backoff"]
    return _log10(backoffs)


def _log10(probability: np.ndarray) -> np.ndarray:
    return np.log10(np.maximum(probability, 10.0**_LOG10_ZERO))
