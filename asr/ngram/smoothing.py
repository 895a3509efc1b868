"""Counts -> probabilities and back-off weights: interpolated modified Kneser-Ney.

    p(w | u) = (a(u w) - D(a(u w))) / sum_x a(u x)  +  gamma(u) p(w | u without its first word)

a is the count for the highest order and for n-grams that open a sentence, else the number of words
seen before the n-gram. gamma(u) is the mass that the discounts D took, and that of pruned n-grams.
The recursion ends in the uniform distribution over all words, "</s>" and "<unk>", so every
context's probabilities sum to one and no word is impossible.

An order is read twice: by context, which gives the sums, and in its own order beside the one below.

Source: Chen and Goodman 1998, "An empirical study of smoothing techniques for language modeling",
section 4.1.6; Heafield et al. 2013, "Scalable modified Kneser-Ney language model estimation".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import numpy as np
from tqdm import tqdm

from asr.ngram.counting import NGramCounts
from asr.ngram.rows import Cursor, RowFile, RowSorter, Scratch, group_starts, whole_groups
from asr.ngram.text import BOS

# What KenLM's lmplz falls back to.
_FALLBACK = (0.5, 1.0, 1.5)
_FLAGS = 1 << 20  # bytes read at once

# The kept n-grams of an order: the probability of the last word, that without the first word, and
# the context's ordinal.
ESTIMATE = np.dtype([("p", np.float64), ("lower_p", np.float64), ("context", np.int64)])
# What follows a context: the back-off weight, how often the context stands in the text, and whether
# any n-gram of it is in the model.
CONTEXT = np.dtype([("backoff", np.float64), ("count", np.int64), ("followed", np.bool_)])

_SHARE = np.dtype(
    [("key", np.int64, (1,)), ("own", np.float64), ("gamma", np.float64), ("context", np.int64)]
)


class Discounts(NamedTuple):
    """What is taken from adjusted counts of 1, 2 and 3 or more, in counts."""

    one: float
    two: float
    three_or_more: float
    estimated: bool  # False: too few counts to estimate from, so 0.5, 1, 1.5 were taken


@dataclass
class SmoothedOrder:
    """An order of the model.

    `estimates` has a row for each kept n-gram; `contexts` one for each n-gram of the order below
    that something follows, in the order of these. `retained` says of each estimate whether pruning
    left it; without it all are in the model.
    """

    counts: NGramCounts
    discounts: Discounts
    estimates: RowFile  # of ESTIMATE
    contexts: RowFile  # of CONTEXT
    retained: RowFile | None = None  # of bool

    @property
    def num_ngrams(self) -> int:
        """n-grams in the model."""
        if self.retained is None:
            return self.counts.num_kept
        return sum(int(np.count_nonzero(flags)) for flags in self.retained.blocks(_FLAGS))


def smooth(counts: Sequence[NGramCounts], scratch: Scratch, progress: bool) -> list[SmoothedOrder]:
    """Estimate a model.

    Args:
        counts: of all orders, unigrams first.
        scratch: where rows go.
        progress: show bars.

    Returns:
        The orders, unigrams first.
    """
    orders = [_smooth_unigrams(counts[0], scratch)]
    for longer in counts[1:]:
        bar = tqdm(
            total=2 * len(longer.rows) + longer.num_kept,
            desc=f"{longer.order}-grams",
            disable=not progress,
            leave=False,
        )
        with bar:
            orders.append(_smooth_order(longer, orders[-1], scratch, bar))
    return orders


def estimate_discounts(num_adjusted: np.ndarray) -> Discounts:
    """Estimate three discounts from the numbers t(j) of n-grams with an adjusted count of j.

    D(j) = j - (j + 1) Y t(j+1) / t(j),  Y = t(1) / (t(1) + 2 t(2))

    Source: Chen and Goodman 1998, equation 26; fallback as KenLM's lmplz --discount_fallback.
    """
    t = [int(number) for number in num_adjusted[:5]]
    if all(t[1:4]):
        y = t[1] / (t[1] + 2 * t[2])
        d = [j - (j + 1) * y * t[j + 1] / t[j] for j in (1, 2, 3)]
        if all(0 <= d[j - 1] <= j for j in (1, 2, 3)):
            return Discounts(*d, estimated=True)
    return Discounts(*_FALLBACK, estimated=False)


def _smooth_unigrams(counts: NGramCounts, scratch: Scratch) -> SmoothedOrder:
    """Smooth the words, all of which are in memory."""
    rows = counts.rows.read(0, len(counts.rows))
    rows["count"][BOS] = 0  # never predicted
    discounts = estimate_discounts(counts.num_adjusted)
    share, context = _share(rows, np.ones(len(rows), dtype=bool), discounts, np.zeros(1, np.intp))
    estimates = np.zeros(len(rows), dtype=ESTIMATE)
    estimates["lower_p"] = 1 / (len(rows) - 1)  # all words but "<s>"
    estimates["p"] = share["own"] + share["gamma"] * estimates["lower_p"]
    smoothed = SmoothedOrder(counts, discounts, scratch.file(ESTIMATE), scratch.file(CONTEXT))
    smoothed.estimates.append(estimates)
    smoothed.contexts.append(context)
    return smoothed


def _smooth_order(
    counts: NGramCounts, below: SmoothedOrder, scratch: Scratch, bar: "tqdm[NoReturn]"
) -> SmoothedOrder:
    discounts = estimate_discounts(counts.num_adjusted)
    smoothed = SmoothedOrder(counts, discounts, scratch.file(ESTIMATE), scratch.file(CONTEXT))
    by_context = _sort_by_context(counts, scratch, bar)
    shares = scratch.sorter(_SHARE)
    for rows in whole_groups(by_context.blocks()):
        starts = group_starts(rows["key"])
        kept = rows["suffix"] >= 0
        share, contexts = _share(rows, kept, discounts, starts)
        share["context"] += len(smoothed.contexts)
        smoothed.contexts.append(contexts)
        shares.add(share[kept])
        bar.update(len(rows))
    del by_context
    suffixes = Cursor(counts.kept_blocks(scratch.block_rows), counts.rows.dtype)
    for share in shares.blocks():
        suffix = suffixes.take(len(share))["suffix"]
        estimates = np.empty(len(share), dtype=ESTIMATE)
        estimates["lower_p"] = below.estimates.gather(suffix, scratch.block_rows)["p"]
        estimates["p"] = share["own"] + share["gamma"] * estimates["lower_p"]
        estimates["context"] = share["context"]
        smoothed.estimates.append(estimates)
        bar.update(len(share))
    return smoothed


def _sort_by_context(counts: NGramCounts, scratch: Scratch, bar: "tqdm[NoReturn]") -> RowSorter:
    """Sort n-grams by all but the last word; field "suffix" becomes the ordinal, -1 if not kept."""
    packing, order = counts.packing, counts.order
    numbers = [(name, np.int64) for name in ("count", "adjusted", "suffix")]
    dtype = packing.dtype(order - 1, *numbers)
    sorter, num_kept = scratch.sorter(dtype), 0
    for block in counts.rows.blocks(scratch.block_rows):
        rows = np.empty(len(block), dtype=dtype)
        packing.pack(packing.unpack(block["key"], order)[1:], rows["key"])
        rows["count"], rows["adjusted"] = block["count"], block["adjusted"]
        kept = counts.kept(block)
        rows["suffix"] = np.where(kept, num_kept + np.cumsum(kept) - kept, -1)
        num_kept += int(np.count_nonzero(kept))
        sorter.add(rows)
        bar.update(len(rows))
    return sorter


def _share(
    rows: np.ndarray, kept: np.ndarray, discounts: Discounts, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Share out each context's mass.

    Args:
        rows: (n,) with "count", "adjusted" and "suffix", whole contexts one after the other.
        kept: (n,) whether an n-gram will be in the model.
        discounts: of this order.
        starts: (contexts,) first row of each.

    Returns:
        (n,) _SHARE with "suffix" as key, contexts numbered from 0; (contexts,) CONTEXT.
    """
    adjusted = rows["adjusted"]
    grade = np.where(kept, np.minimum(adjusted, 3), 0)
    # Whole numbers are summed, so that the result does not depend on the order of the rows.
    total = np.add.reduceat(adjusted, starts)
    left = np.add.reduceat(np.where(kept, 0, adjusted), starts).astype(np.float64)
    for j in (1, 2, 3):
        left += discounts[j - 1] * np.add.reduceat((grade == j).astype(np.int64), starts)
    contexts = np.empty(len(starts), dtype=CONTEXT)
    contexts["backoff"] = left / total
    contexts["count"] = np.add.reduceat(rows["count"], starts)
    contexts["followed"] = np.logical_or.reduceat(kept, starts)
    which = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(rows))))
    share = np.empty(len(rows), dtype=_SHARE)
    share["key"][:, 0] = rows["suffix"]
    share["own"] = (adjusted - np.array([0, *discounts[:3]])[grade]) / total[which]
    share["gamma"] = contexts["backoff"][which]
    share["context"] = which
    return share, contexts
