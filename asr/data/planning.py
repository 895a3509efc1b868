"""Which utterances share a batch, and in which order batches come: from numbers alone."""

from collections.abc import Sequence

import numpy as np

# Waveforms of a batch are padded to a multiple of this: few different shapes, so that the caches
# of compiled kernels stay small (oneDNN keeps one for each; without it they grow past 1 GiB).
PADDING_S = 0.16


def plan_batches(
    durations: Sequence[float] | np.ndarray,
    batch_seconds: float,
    *,
    seed: int,
    epoch: int,
    sort: bool,
    buffers: Sequence[np.ndarray] | None = None,
) -> list[list[int]]:
    """Group utterances of similar length into batches.

    Args:
        durations: seconds of each utterance.
        batch_seconds: padded seconds of a batch, at most (an utterance longer than that is a
            batch by itself).
        seed: with `epoch`, decides the order.
        epoch: number of the epoch.
        sort: shortest first instead of shuffled, without jitter (SortaGrad, Amodei et al. 2016,
            section 3.2).
        buffers: indices (n,) of utterances that may meet in a batch; one buffer's batches come
            after the other's. None for all in one.

    Returns:
        Lists of indices into `durations`; each index once.
    """
    if batch_seconds <= 0:
        raise ValueError(f"batch_seconds must be > 0, got {batch_seconds}")
    rng = np.random.default_rng((seed, epoch))
    lengths = np.asarray(durations, dtype=np.float64)
    # Up to 10 % of jitter: neighbours differ from epoch to epoch, at little padding.
    keys = lengths if sort else lengths * rng.uniform(0.95, 1.05, len(lengths))
    padded = np.ceil(lengths / PADDING_S) * PADDING_S
    planned: list[list[int]] = []
    for buffer in [np.arange(len(lengths))] if buffers is None else buffers:
        # By index first: utterances of one length are then in an order that no shuffling changes.
        members = np.sort(buffer)
        ranked = members[np.argsort(keys[members], kind="stable")]
        batches = _fill_batches(ranked.tolist(), padded[ranked].tolist(), batch_seconds)
        if not sort:
            batches = [batches[i] for i in rng.permutation(len(batches))]
        planned += batches
    return planned


def _fill_batches(
    ranked: Sequence[int], padded: Sequence[float], batch_seconds: float
) -> list[list[int]]:
    """Cut a row of utterances into batches of at most that many padded seconds."""
    batches: list[list[int]] = []
    longest = 0.0
    for index, seconds in zip(ranked, padded, strict=True):
        longest = max(longest, seconds)
        if batches and longest * (len(batches[-1]) + 1) <= batch_seconds:
            batches[-1].append(index)
        else:
            batches.append([index])
            longest = seconds
    return batches
