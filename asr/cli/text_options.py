"""Options of `asr prepare` about texts: alphabet, language, and the steps of the normaliser."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from asr.corpora.texts import Confirm
from asr.files import printable
from asr.text import TextNormalizer
from asr.text.abbreviations import ABBREVIATIONS, read_abbreviations
from asr.text.alphabet import CharacterCount, language_alphabet, read_alphabet
from asr.text.letters import LETTERS
from asr.text.steps import STEPS

AUTO = "auto"
# Of an alphabet of thousands, the rest is in report.json.
MAX_CHARACTERS_SHOWN = 200


def add_text_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the normaliser, a switch for each of its steps."""
    group = parser.add_argument_group(
        "texts", "what brings texts into the alphabet, in this order; docs/text.md has the rules"
    )
    group.add_argument(
        "--alphabet",
        default="en",
        metavar="auto|FILE|LANG",
        help="auto: what the transcripts hold; a file of characters; or the letters of a language:"
        f" {' '.join(LETTERS)} (default: %(default)s)",
    )
    group.add_argument(
        "--language",
        metavar="LANG",
        help="whose numbers, case and abbreviations (default: --alphabet's, where it names one)",
    )
    for name, step in STEPS.items():
        group.add_argument(
            f"--no-{name}", action="store_true", help=f"do not: {step.summary.replace('%', '%%')}"
        )
    group.add_argument(
        "--abbreviations",
        type=Path,
        metavar="FILE",
        help="lines 'Dr.<TAB>doctor' that come before the language's own",
    )
    group.add_argument(
        "--unknown",
        choices=("refuse", "remove"),
        default="refuse",
        help="what to do with other signs: leave the utterance out, or remove the sign; letters and"
        " digits are never removed (default: %(default)s)",
    )
    group.add_argument(
        "--yes",
        action="store_true",
        help="agree to what --alphabet auto leaves out, instead of being asked",
    )


def make_normalizer(args: argparse.Namespace) -> TextNormalizer:
    """Build the normaliser that the options describe; without an alphabet for auto.

    Raises:
        ValueError: an option is wrong; names it.
    """
    language = args.language
    if args.alphabet in LETTERS:
        alphabet = language_alphabet(args.alphabet)
        language = language or args.alphabet
    elif args.alphabet == AUTO:
        alphabet = None
    elif Path(args.alphabet).is_file():
        alphabet = read_alphabet(Path(args.alphabet))
    else:
        raise ValueError(
            f"--alphabet must be auto, a file of characters or one of {' '.join(LETTERS)}; there is"
            f" no file {args.alphabet!r}"
        )
    own = read_abbreviations(args.abbreviations) if args.abbreviations else {}
    return TextNormalizer(
        alphabet,
        args.unknown,
        language=language,
        steps=[name for name in STEPS if not getattr(args, f"no_{name}")],
        abbreviations=ABBREVIATIONS.get(language or "", {}) | own,
    )


def make_confirm(agreed: bool) -> Confirm | None:
    """Make what is asked before --alphabet auto leaves a character out; None where nobody is there.

    Args:
        agreed: whether the answer was given beforehand.
    """
    if agreed:
        return lambda characters, dropped: True
    return _ask if sys.stdin.isatty() and sys.stderr.isatty() else None


def describe_characters(characters: Iterable[CharacterCount]) -> list[str]:
    """List characters with counts and examples, one a line."""
    listed = list(characters)
    lines = ["characters of the texts:"]
    for character in listed[:MAX_CHARACTERS_SHOWN]:
        mark = "  " if character.is_written else "- "
        lines.append(printable(f"{mark}{character}"))
    if len(listed) > MAX_CHARACTERS_SHOWN:
        lines.append(f"  and {len(listed) - MAX_CHARACTERS_SHOWN} more, see report.json")
    return lines


def _ask(characters: Sequence[CharacterCount], dropped: Sequence[CharacterCount]) -> bool:
    print("\n".join(describe_characters(characters)), file=sys.stderr)
    print(
        f"{len(dropped)} of them, marked -, are no letters: they would not be in the alphabet, and "
        "utterances that hold one would be left out.",
        file=sys.stderr,
    )
    print("go on? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
