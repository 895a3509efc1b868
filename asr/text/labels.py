"""Labels: what every vocabulary has in common."""

from collections.abc import Iterable, Sequence

from asr.text.characters import WORD_START

BLANK = 0
BLANK_TOKEN = "<blank>"


def look_up(tokens: Sequence[str], ids: Iterable[int]) -> list[str]:
    """Return the tokens of labels 1..C-1.

    Raises:
        ValueError: a label is the blank or no label at all.
    """
    labels = [int(i) for i in ids]
    for label in labels:
        if not BLANK < label < len(tokens):
            raise ValueError(f"label must be in 1..{len(tokens) - 1}, got {label}")
    return [tokens[label] for label in labels]


def look_up_words(tokens: Sequence[str], ids: Iterable[int]) -> str:
    """Return the tokens of labels, each a word, with spaces between; raises as `look_up`."""
    return " ".join(token.removeprefix(WORD_START) for token in look_up(tokens, ids))
