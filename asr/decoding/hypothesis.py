"""What the decoders return: one list of hypotheses per utterance, best first.

All scores are natural logarithms.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from asr import _native

BLANK = 0  # of every model of the project; decoders take any
WORD_START = "\u2581"


class Word(NamedTuple):
    """A word and where it was heard.

    Attributes:
        word: its text.
        start_frame: frame of the spike of its first token.
        end_frame: one past the frame of the spike of its last token.
        confidence: in [0, 1], the product of its tokens' probabilities at their spikes.
    """

    word: str
    start_frame: int
    end_frame: int
    confidence: float


class Hypothesis(NamedTuple):
    """One way to read an utterance.

    Attributes:
        text: the words joined by one space.
        tokens: strings of the labelling, separators included.
        score: what is ranked.
        acoustic_score: ln of the labelling's probability, summed over its alignments (greedy: of
            its best path).
        lm_score: ln probability of the words and the end of the sentence, unweighted; 0 without a
            language model.
        words: the words with frames and confidence.
        token_ids: class of each token.
        token_frames: frame of each token's spike.
        bound_hit: prefix search stopped at its bound before it could prove this result the best; or
            no whole text of lexicon or grammar was in the beam, and this is the best prefix's.
    """

    text: str
    tokens: tuple[str, ...]
    score: float
    acoustic_score: float
    lm_score: float
    words: tuple[Word, ...]
    token_ids: tuple[int, ...]
    token_frames: tuple[int, ...]
    bound_hit: bool = False


def hypothesis_factory(tokens: list[str]) -> _native.HypothesisFactory:
    """Tell the native decoders what their results are made of."""
    return _native.HypothesisFactory(tokens, Hypothesis, Word)


def separates_words(tokens: Sequence[str]) -> bool:
    """Whether a vocabulary has what separates words: the space, or pieces that open them."""
    return any(map(starts_word, tokens))


def starts_word(token: str) -> bool:
    """Whether what follows this token, or what it begins with, is of another word."""
    return token == " " or token.startswith(WORD_START)


def split_by_token(hypothesis: Hypothesis, log_probs: np.ndarray) -> Hypothesis:
    """Make a word of every token, for scripts that write no spaces between words.

    Args:
        hypothesis: of any decoder; where a lexicon spelled its words, they stay.
        log_probs: (T, C) that it was decoded from.
    """
    bodies = [token.removeprefix(WORD_START) for token in hypothesis.tokens]
    if "".join(bodies) != hypothesis.text.replace(" ", ""):
        return hypothesis
    words = tuple(
        Word(body, frame, frame + 1, min(1.0, math.exp(log_probs[frame, token])))
        for body, token, frame in zip(
            bodies, hypothesis.token_ids, hypothesis.token_frames, strict=True
        )
        if body.strip()
    )
    return hypothesis._replace(words=words)
