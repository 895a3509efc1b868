"""Cutting a long recording's log-probabilities into segments that are decoded one by one."""

from collections.abc import Sequence

import numpy as np

from asr.decoding.hypothesis import BLANK, WORD_START


class Segmenter:
    """Segments end in silences; where there is none for long, at the longest pause between words.

    Args:
        tokens: C strings.
        max_frames: of a segment.
        spaced: as `find_pause`.
    """

    def __init__(self, tokens: Sequence[str], max_frames: int, *, spaced: bool) -> None:
        self._tokens = tokens
        self._spaced = spaced
        self._max_frames = max_frames
        self._held: list[np.ndarray] = []

    def push(self, rows: np.ndarray, ends_in_silence: bool, is_last: bool) -> list[np.ndarray]:
        """Take the next (T, C) and return the segments that are complete."""
        held = np.concatenate([*self._held, rows]) if self._held else rows
        segments = []
        while len(held) > self._max_frames:
            cut = find_pause(held[: self._max_frames], self._tokens, spaced=self._spaced)
            segments.append(held[:cut].copy())
            held = held[cut:]
        if ends_in_silence or is_last:
            self._held = []
            return [*segments, held]
        self._held = [held]
        return segments


def find_pause(log_probs: np.ndarray, tokens: Sequence[str], *, spaced: bool) -> int:
    """Say where to cut (T, C) log-probabilities, T > 1, so that no word is.

    Args:
        log_probs: natural logs.
        tokens: C strings.
        spaced: whether words are separated by " " or opened by U+2581; otherwise every token is a
            word.

    Returns:
        The middle of the longest stretch of blanks and separators that lies between two words, in
        1..T-1; where there is none, the frame, of the later half, that is most surely blank.
    """
    best = log_probs.argmax(axis=1)  # (T,)
    opens = [token.startswith(WORD_START) for token in tokens]
    separators = [i for i, token in enumerate(tokens) if token in (" ", WORD_START)]
    silent = np.isin(best, [BLANK, *separators])
    edges = np.flatnonzero(np.diff(np.concatenate([[False], silent, [False]])))
    pauses = []
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        parts = not spaced or begin == 0 or np.isin(best[begin:end], separators).any()
        if end == len(best):  # what comes after is not known
            parts = parts and end - begin > 1
        elif not parts:
            parts = opens[best[end]]
        if parts and begin + end > 1:
            pauses.append((end - begin, (begin + end) // 2))
    if pauses:
        return max(pauses)[1]
    half = len(best) // 2
    return max(1, half + int(log_probs[half:, BLANK].argmax()))
