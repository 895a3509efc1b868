"""The model in the box: what recognises where no checkpoint is named. docs/box.md is its card."""

from pathlib import Path

from asr.decoding import BeamSearchDecoder

# Both come with the package, so that an installed wheel finds them too.
BOX = Path(__file__).with_name("box.ckpt")
WORDS = Path(__file__).with_name("box.txt")
KNOWS = "commands, numbers, digits and letters in English"


def box_decoder(tokens: list[str]) -> BeamSearchDecoder:
    """Make its decoder, which says its words and no others: letter by letter it errs more often."""
    return BeamSearchDecoder(tokens, lexicon=WORDS)
