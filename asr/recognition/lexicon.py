"""The words that a search may say, as people name them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from asr.decoding.pronunciations import is_dictionary
from asr.files import read_text
from asr.text import PhoneTokenizer, Tokenizer
from asr.text.characters import shorten

# Named in place of a file: all words of the dictionary that a model of phones was trained with.
OWN_DICTIONARY = "dictionary"


def find_lexicon(
    lexicon: str | os.PathLike[str], tokenizer: Tokenizer | None = None
) -> Path | Mapping[str, Sequence[Sequence[str]]]:
    """Give `BeamSearchDecoder` the words of a file; a model of phones pronounces them.

    Args:
        lexicon: a pronouncing dictionary (.dict), a file with a word a line, or `OWN_DICTIONARY`.
        tokenizer: of the model; None where it is not known.

    Raises:
        ValueError: the file cannot be read, a line of it holds several words, the model of phones
            cannot pronounce one, or another model was asked for its dictionary.
    """
    if is_dictionary(lexicon):
        return Path(lexicon)
    if not isinstance(tokenizer, PhoneTokenizer):
        if lexicon == OWN_DICTIONARY and not Path(lexicon).exists():
            raise ValueError(f"lexicon {lexicon}: only a model of phones has one, give a file")
        return Path(lexicon)
    if lexicon == OWN_DICTIONARY:
        return tokenizer.pronounce()
    words = _read_words(Path(lexicon))
    try:
        return tokenizer.pronounce(words)
    except ValueError as error:
        raise ValueError(f"{lexicon}: {error}") from None


def _read_words(path: Path) -> list[str]:
    words = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if len(line.split()) > 1:
            raise ValueError(f"{path}:{number}: must hold one word, got {shorten(line)}")
        words += line.lower().split()
    if not words:
        raise ValueError(f"{path}: must hold at least one word")
    return words
