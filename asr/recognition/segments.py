"""Cutting a long recording's log-probabilities into segments that are decoded one by one."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from asr.acoustic.model import AcousticModel
from asr.text import BLANK, WORD_START


class Segmenter:
    """Segments end in silences; where there is none for long, at the longest pause between words.

    Args:
        model: the model whose log-probabilities are cut.
        max_frames: of a segment.
    """

    def __init__(self, model: AcousticModel, max_frames: int) -> None:
        self._tokens = model.tokenizer.tokens
        self._spaced = model.separates_words
        self._max_frames = max_frames
        self._held: list[Tensor] = []

    def push(self, rows: Tensor, ends_in_silence: bool, is_last: bool) -> list[Tensor]:
        """Take the next (T, C) and return the segments that are complete."""
        held = torch.cat([*self._held, rows]) if self._held else rows
        segments = []
        while len(held) > self._max_frames:
            window = held[: self._max_frames].numpy()
            cut = find_pause(window, self._tokens, spaced=self._spaced)
            segments.append(held[:cut].clone())
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
