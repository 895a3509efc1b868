"""`--checkpoint` of the commands that recognise: without it, the model in the box."""

import argparse
import logging
from pathlib import Path

from asr.recognition.box import BOX, KNOWS, own_words

logger = logging.getLogger(__name__)


def add_checkpoint_argument(parser: argparse.ArgumentParser) -> None:
    """Describe the option."""
    parser.add_argument(
        "--checkpoint",
        type=Path,
        default=BOX,
        help="a .ckpt file, or a folder with a CTC model from Hugging Face; without it, the model "
        f"in the box: {KNOWS}",
    )


def settle_box(checkpoint: Path, options: dict[str, object]) -> None:
    """Say where it is the model in the box, and search a model's own words.

    Args:
        checkpoint: of the command line.
        options: of the beam search, by the names of `BeamSearchDecoder`; the words are added.
    """
    if checkpoint == BOX:
        logger.info("using the model in the box: %s; name another with --checkpoint", KNOWS)
    words = own_words(checkpoint, options)
    if words is not None:
        options["lexicon"] = words
