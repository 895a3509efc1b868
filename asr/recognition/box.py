"""The model in the box: what recognises where no checkpoint is named. docs/box.md is its card."""

from collections.abc import Iterable
from pathlib import Path

# Both come with the package, so that an installed wheel finds them too.
BOX = Path(__file__).with_name("box.ckpt")
WORDS = Path(__file__).with_name("box.txt")
KNOWS = "commands, numbers, digits and letters in English"


def own_words(checkpoint: Path, named: Iterable[str] = ()) -> Path | None:
    """Words among which a model is searched unless others are asked for: the box has some.

    Letter by letter it errs more often.

    Args:
        checkpoint: the model's file.
        named: options of `BeamSearchDecoder` that somebody asked for.

    Returns:
        The lexicon; None for every other model, and where the search is told what there is to say.
    """
    if checkpoint != BOX or not {"lm", "lexicon", "grammar"}.isdisjoint(named):
        return None
    return WORDS
