"""What else each word may have been: n-best hypotheses -> alternatives per word."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from asr.decoding.hypothesis import Hypothesis


class Alternative(NamedTuple):
    """One reading of a word's place.

    Attributes:
        word: its text; "" where hypotheses have no word.
        probability: share of the n-best list's mass that reads so, in (0, 1].
    """

    word: str
    probability: float


def word_alternatives(hypotheses: Sequence[Hypothesis], top_k: int = 5) -> list[list[Alternative]]:
    """List the readings of each word of the best hypothesis.

    Every hypothesis is aligned with the best by the fewest edits and votes for its words with
    exp(score), normalised over the list; words that it inserts are left out. A list of a hundred
    or more gives useful probabilities.

    Args:
        hypotheses: an n-best list as the beam search returns it, best first.
        top_k: alternatives per word, >= 1, the word itself included.

    Returns:
        For each word of the best hypothesis its alternatives, most probable first.

    Raises:
        ValueError: `top_k` is below 1, or the list is empty.
    """
    if not hypotheses:
        raise ValueError("hypotheses must be an n-best list, got none")
    if top_k < 1:
        raise ValueError(f"top_k must be >= 1, got {top_k}")
    best = [word.word for word in hypotheses[0].words]
    shares = _shares([hypothesis.score for hypothesis in hypotheses])
    votes: list[dict[str, float]] = [{} for _ in best]
    for hypothesis, share in zip(hypotheses, shares, strict=True):
        words = _words_at(best, [word.word for word in hypothesis.words])
        for place, word in zip(votes, words, strict=True):
            place[word] = place.get(word, 0.0) + share
    ranked = [sorted(place.items(), key=lambda vote: -vote[1])[:top_k] for place in votes]
    return [[Alternative(word, min(1.0, share)) for word, share in place] for place in ranked]


def _shares(scores: Sequence[float]) -> list[float]:
    if not math.isfinite(scores[0]):
        return [1.0 / len(scores)] * len(scores)
    masses = [math.exp(score - scores[0]) for score in scores]
    return [mass / math.fsum(masses) for mass in masses]


def _words_at(best: Sequence[str], other: Sequence[str]) -> list[str]:
    """The word of `other` at each word of `best`, "" where it has none."""
    # costs[i][j]: edits between the first i words of best and the first j of other.
    costs = [list(range(len(other) + 1))]
    for i, word in enumerate(best):
        row = [i + 1]
        for j, rival in enumerate(other):
            row.append(min(costs[i][j] + (word != rival), costs[i][j + 1] + 1, row[j] + 1))
        costs.append(row)
    words = [""] * len(best)
    i, j = len(best), len(other)
    while i > 0 and j > 0:
        if costs[i][j] == costs[i - 1][j - 1] + (best[i - 1] != other[j - 1]):
            i, j = i - 1, j - 1
            words[i] = other[j]
        elif costs[i][j] == costs[i - 1][j] + 1:
            i -= 1
        else:
            j -= 1
    return words
