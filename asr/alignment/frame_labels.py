"""Spans of labels -> a class for every frame, which is what a network can be trained on by frames.

A path of CTC spends a frame or two on a label and blanks on the rest of its sound. Here labels
grow over those blanks, on a grid of frames that may be another than the path's.
"""

from collections.abc import Sequence

import numpy as np

from asr.text import BLANK


def label_frames(
    labels: Sequence[int],
    starts: Sequence[float],
    ends: Sequence[float],
    num_frames: int,
    reach: float,
    blank: int = BLANK,
) -> np.ndarray:
    """Give every frame a class; merging repeats and dropping blanks gives the labels back.

    1. Every span grows by `reach` at both ends, but not beyond the middle of what is between it
       and its neighbour, and half a frame less where the neighbour is the same label.
    2. A frame belongs to the span that its own middle lies in, or is blank.
    3. Every label has a frame, and a blank is between equal neighbours. Where spans are too short
       or too crowded for that, labels begin later than they should; at the end of the utterance,
       where no frame is left for them, earlier.

    Args:
        labels: S classes, without the blank.
        starts: S times in frames, in order; frame t is [t, t + 1).
        ends: S times in frames, each after its start and not after the next one's.
        num_frames: T.
        reach: frames, >= 0.
        blank: class of the blank.

    Returns:
        (T,) int64.

    Raises:
        ValueError: T is too small for these labels.
    """
    frames = np.full(num_frames, blank)
    if not len(labels):
        return frames
    kinds, begin, end = np.asarray(labels), np.asarray(starts, float), np.asarray(ends, float)
    repeats = (kinds[1:] == kinds[:-1]).astype(int)
    middles = (end[:-1] + begin[1:]) / 2
    first = _frame_after(np.maximum(begin - reach, [0.0, *(middles + repeats / 2)]))
    last = _frame_after(np.minimum(end + reach, [*(middles - repeats / 2), num_frames]))
    # Frames that the labels before one need, at least.
    before = np.arange(len(kinds)) + np.cumsum([0, *repeats])
    spare = num_frames - 1 - before[-1]
    if spare < 0:
        needed = before[-1] + 1
        raise ValueError(f"{num_frames} frames are fewer than the {needed} that the labels need")
    first = before + np.maximum.accumulate(first - before).clip(0, spare)
    last = last.clip(first + 1, [*(first[1:] - repeats), num_frames])
    for kind, start, stop in zip(kinds, first, last, strict=True):
        frames[start:stop] = kind
    return frames


def _frame_after(times: np.ndarray) -> np.ndarray:
    """First frame whose middle is at a time or later."""
    return np.ceil(times - 0.5).astype(int)
