"""The model in the box: what recognises where no checkpoint is named. docs/box.md is its card."""

from collections.abc import Iterable
from pathlib import Path

from asr.recognition.lexicon import OWN_DICTIONARY

# Both come with the package, so that an installed wheel finds them too.
BOX = Path(__file__).with_name("box.ckpt")
WORDS = Path(__file__).with_name("box.txt")
KNOWS = "commands, numbers, digits and letters in English"


def own_words(checkpoint: Path, named: Iterable[str] = ()) -> str | None:
    """Words among which a model is searched unless others are asked for: the box has some.

    Its tokens are phones, which nobody wants to read.

    Args:
        checkpoint: the model's file.
        named: options of `BeamSearchDecoder` that somebody asked for.

    Returns:
        The lexicon, as `find_lexicon` takes it: all that the box can pronounce where the search is
        told what may be said, else the words that it was trained on one by one. None for every
        other model, and where there is a lexicon.
    """
    if checkpoint != BOX or "lexicon" in named:
        return None
    return str(WORDS) if {"lm", "grammar", "hotwords"}.isdisjoint(named) else OWN_DICTIONARY
