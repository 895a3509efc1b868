"""Relative-entropy pruning: n-grams go whose loss hardly changes the model.

Without the n-gram h w, p(w | h) is left to the shorter context h' with the weight alpha'(h), which
all unseen words of h share. With BO(h) the words that h leaves to h', the model p loses

    D = -P(h) ( p(w | h) (ln p(w | h') + ln alpha'(h) - ln p(w | h))
                + (ln alpha'(h) - ln alpha(h)) sum_{v in BO(h)} p(v | h) )

and the n-gram goes when perplexity would grow by less than a threshold: e^D - 1 < threshold. Each
n-gram is judged alone, against the whole model. An n-gram that a remaining longer one begins with
or ends in stays, so that p(w | h') of those that remain is what it was, and

    alpha'(h) = (1 - sum p(w | h)) / (1 - sum p(w | h')),  w over what remains after h.

P(h) is how often h stands in the text. Stolcke takes it from the model, by the chain rule; under
Kneser-Ney, whose short n-grams count contexts and not words, that is a poor estimate (Chelba et al.
2010), and here the text is at hand.

Source: Stolcke 1998, "Entropy-based pruning of backoff language models", section 3; Chelba, Brants,
Neveitt and Xu 2010, "Study on interaction between entropy pruning and Kneser-Ney smoothing".
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NoReturn

import numpy as np
from tqdm import tqdm

from asr.ngram.rows import Cursor, RowFile, Scratch, group_starts, whole_groups
from asr.ngram.smoothing import CONTEXT, SmoothedOrder

_FLAG = np.dtype(np.bool_)
# Followers of a context; the key is the context's ordinal and the n-gram's.
_FOLLOWER = np.dtype(
    [
        ("key", np.int64, (2,)),
        ("p", np.float64),
        ("lower_p", np.float64),
        ("needed", np.bool_),
    ]
)
_VERDICT = np.dtype([("key", np.int64, (1,)), ("retained", np.bool_)])


def prune_by_entropy(
    orders: Sequence[SmoothedOrder], threshold: float, scratch: Scratch, progress: bool
) -> list[SmoothedOrder]:
    """Drop n-grams, the longest first, and renew the back-off weights.

    Args:
        orders: unigrams first; these are never dropped.
        threshold: the smallest relative growth of perplexity that saves an n-gram, > 0.
        scratch: where rows go.
        progress: show bars.

    Returns:
        The orders with `retained`, and with their contexts as they are now.
    """
    num_events = int(orders[0].contexts.read(0, 1)["count"][0])
    pruned = list(orders)
    needed: RowFile | None = None
    for n in range(len(orders) - 1, 0, -1):
        order = orders[n]
        bar = tqdm(
            total=2 * len(order.estimates),
            desc=f"pruning {n + 1}-grams",
            disable=not progress,
            leave=False,
        )
        with bar:
            pruned[n] = _prune_order(order, needed, threshold, num_events, scratch, bar)
        if n > 1:
            needed = _find_needed(pruned[n], orders[n - 1], scratch)
    return pruned


def _prune_order(
    order: SmoothedOrder,
    needed: RowFile | None,
    threshold: float,
    num_events: int,
    scratch: Scratch,
    bar: "tqdm[NoReturn]",
) -> SmoothedOrder:
    by_context = scratch.sorter(_FOLLOWER)
    for rows in _followers(order, needed, scratch):
        by_context.add(rows)
        bar.update(len(rows))
    verdicts, contexts = scratch.sorter(_VERDICT), scratch.file(CONTEXT)
    for rows in whole_groups(by_context.blocks(), column=1):
        starts = group_starts(rows["key"][:, :1])
        at = rows["key"][starts, 0]
        now = order.contexts.gather(at, scratch.block_rows)
        verdict = np.empty(len(rows), dtype=_VERDICT)
        verdict["key"][:, 0] = rows["key"][:, 1]
        verdict["retained"] = _judge(rows, now, starts, threshold, num_events)
        verdicts.add(verdict)
        _overlay(contexts, order.contexts, at, now, int(at[-1]) + 1, scratch.block_rows)
        bar.update(len(rows))
    del by_context
    nothing = np.empty(0, dtype=np.int64)
    _overlay(contexts, order.contexts, nothing, nothing, len(order.contexts), scratch.block_rows)
    retained = scratch.file(_FLAG)
    for verdict in verdicts.blocks():
        retained.append(verdict["retained"])
    return replace(order, contexts=contexts, retained=retained)


def _followers(
    order: SmoothedOrder, needed: RowFile | None, scratch: Scratch
) -> Iterator[np.ndarray]:
    start = 0
    for estimates in order.estimates.blocks(scratch.block_rows):
        stop = start + len(estimates)
        rows = np.empty(len(estimates), dtype=_FOLLOWER)
        rows["key"][:, 0] = estimates["context"]
        rows["key"][:, 1] = np.arange(start, stop)
        rows["p"], rows["lower_p"] = estimates["p"], estimates["lower_p"]
        rows["needed"] = False if needed is None else needed.read(start, stop)
        yield rows
        start = stop


def _judge(
    rows: np.ndarray, contexts: np.ndarray, starts: np.ndarray, threshold: float, num_events: int
) -> np.ndarray:
    """Decide which followers (n,) of whole contexts remain, and renew the contexts in place."""
    which = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(rows))))
    p, lower_p = rows["p"], rows["lower_p"]
    # What the words that the context leaves to the shorter one have there, and here.
    free_below = np.maximum(0, 1 - np.bincount(which, lower_p))
    alpha = contexts["backoff"]
    free = alpha * free_below
    new_alpha = (free[which] + p) / (free_below[which] + lower_p)
    with np.errstate(divide="ignore", invalid="ignore"):
        # A context that leaves nothing has alpha 0, and no word to lose by a new one.
        rest = np.where(free > 0, free, 0)[which] * np.log(new_alpha / alpha[which])
    loss = p * np.log(lower_p * new_alpha / p) + np.where(free[which] > 0, rest, 0)
    loss *= -contexts["count"][which] / num_events
    retained = rows["needed"] | (np.expm1(loss) >= threshold)
    gone = ~retained
    some_gone = np.logical_or.reduceat(gone, starts)
    mass = free + np.bincount(which, p * gone)
    mass_below = free_below + np.bincount(which, lower_p * gone)
    contexts["backoff"][some_gone] = mass[some_gone] / mass_below[some_gone]
    contexts["followed"] = np.logical_or.reduceat(retained, starts)
    return retained


def _overlay(
    file: RowFile, base: RowFile, at: np.ndarray, rows: np.ndarray, stop: int, block_rows: int
) -> None:
    """Extend a file up to row `stop` by those of `base`, with `rows` at the places `at` instead."""
    for start in range(len(file), stop, block_rows):
        end = min(start + block_rows, stop)
        piece = base.read(start, end)
        first, last = np.searchsorted(at, (start, end))
        piece[at[first:last] - start] = rows[first:last]
        file.append(piece)


def _find_needed(longer: SmoothedOrder, order: SmoothedOrder, scratch: Scratch) -> RowFile:
    """Find the n-grams that a remaining longer one begins with or ends in; a flag for each kept."""
    assert longer.retained is not None
    endings = _find_endings(longer, order.counts.num_kept, scratch)
    ends = Cursor(endings.blocks(scratch.block_rows), _FLAG)
    followed = Cursor(longer.contexts.blocks(scratch.block_rows), CONTEXT)
    needed = scratch.file(_FLAG)
    for rows in order.counts.rows.blocks(scratch.block_rows):
        is_context, kept = order.counts.contexts(rows), order.counts.kept(rows)
        flags = np.zeros(len(rows), dtype=_FLAG)
        flags[is_context] = followed.take(int(np.count_nonzero(is_context)))["followed"]
        needed.append(flags[kept] | ends.take(int(np.count_nonzero(kept))))
    return needed


def _find_endings(longer: SmoothedOrder, num_kept: int, scratch: Scratch) -> RowFile:
    """Flag the n-grams, by their ordinals, that a remaining longer one ends in."""
    assert longer.retained is not None
    endings = scratch.file(_FLAG)
    retained = Cursor(longer.retained.blocks(scratch.block_rows), _FLAG)
    for rows in longer.counts.kept_blocks(scratch.block_rows):
        suffix = rows["suffix"][retained.take(len(rows))]
        _flag(endings, suffix, scratch.block_rows)
    _flag(endings, np.array([num_kept]), scratch.block_rows)
    return endings


def _flag(file: RowFile, at: np.ndarray, block_rows: int) -> None:
    """Extend a file of flags up to the last of the places `at` (n,), which never fall."""
    if not len(at):
        return
    for start in range(len(file), int(at[-1]) + 1, block_rows):
        end = min(start + block_rows, int(at[-1]) + 1)
        flags = np.zeros(end - start, dtype=_FLAG)
        first, last = np.searchsorted(at, (start, end))
        flags[at[first:last] - start] = True
        file.append(flags)
