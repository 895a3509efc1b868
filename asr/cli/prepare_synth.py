"""`asr prepare synth`: the embedded corpus, or hours of speech from any text."""

import argparse
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from asr.cli.text_options import (
    add_text_arguments,
    describe_characters,
    make_confirm,
    make_normalizer,
)
from asr.corpora.summary import group_by_reason
from asr.corpora.texts import normalize_splits
from asr.data.manifest import Utterance
from asr.data.unusable import Unusable
from asr.files import read_text
from asr.synth.corpus import QUICKSTART, TINY, SynthRequest, generate
from asr.synth.folder import REJECTED_NAME, SplitSummary
from asr.synth.grammar import Split
from asr.synth.surroundings import Surroundings
from asr.synth.text_corpus import MAX_CHARACTERS, ReadRequest, Script, read_script
from asr.synth.voices import find_accents
from asr.text import TextNormalizer
from asr.text.characters import is_sound, shorten
from asr.text.letters import LETTERS
from asr.text.normalizer import known_languages

EXAMPLE = """examples:
  asr prepare synth --out data/synth
  asr prepare synth --text sentences.txt --hours 10 --out data/read
  asr prepare synth --text words.txt --hours 2 --rooms 0.5 --noise ~/noises --out data/words
  asr prepare synth --text saetze.txt --alphabet de --hours 5 --out data/gelesen
"""

_SPLIT = "text"  # where a line is, before it is in one

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--out", type=Path, default=Path("data/synth"), metavar="DIR", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--size",
        choices=("quickstart", "tiny"),
        help="of the embedded corpus (default: quickstart)",
    )
    parser.add_argument("--hours", type=float, help="of training speech, instead of --size's")
    parser.add_argument("--seed", type=int, default=QUICKSTART.seed)
    parser.add_argument("--workers", type=int, help="processes that speak (default: one a core)")
    parser.add_argument("--overwrite", action="store_true", help="replace another corpus in --out")
    parser.add_argument(
        "--text",
        type=Path,
        metavar="FILE",
        help="what is read instead of the embedded corpus, a sentence a line; needs --hours",
    )
    _add_reading(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    return _run_embedded(args) if args.text is None else _run_text(args)


def _add_reading(parser: argparse.ArgumentParser) -> None:
    """Add what needs --text."""
    drawn = Surroundings()
    group = parser.add_argument_group("where --text is read")
    group.add_argument(
        "--rooms",
        type=float,
        default=drawn.rooms,
        metavar="SHARE",
        help="of the utterances in a simulated room, 0..1 (default: %(default)s)",
    )
    group.add_argument("--noise", type=Path, metavar="DIR", help="of recorded noise")
    group.add_argument(
        "--noise-share",
        type=float,
        metavar="SHARE",
        help=f"of the utterances in noise, 0..1 (default: {drawn.noise_share})",
    )
    group.add_argument(
        "--snr",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help=f"dB of speech above noise, drawn (default: {drawn.snr_db[0]:g} {drawn.snr_db[1]:g})",
    )
    add_text_arguments(parser)


def _run_embedded(args: argparse.Namespace) -> int:
    _refuse_reading_options(args)
    size = TINY if args.size == "tiny" else QUICKSTART
    request = SynthRequest(
        train_hours=size.train_hours if args.hours is None else args.hours,
        num_dev=size.num_dev,
        num_test=size.num_test,
        num_lm_sentences=size.num_lm_sentences,
        seed=args.seed,
    )
    options = {"num_workers": args.workers, "overwrite": args.overwrite}
    _print_splits(generate(args.out, request, **options))
    return 0


def _refuse_reading_options(args: argparse.Namespace) -> None:
    parser = argparse.ArgumentParser()
    _add_reading(parser)
    for name, default in vars(parser.parse_args([])).items():
        if getattr(args, name) != default:
            raise ValueError(f"--{name.replace('_', '-')} needs --text FILE")


def _run_text(args: argparse.Namespace) -> int:
    if args.size is not None:
        raise ValueError("--size is the embedded corpus's: with --text give --hours")
    if args.hours is None:
        raise ValueError("--text needs --hours, how much training speech to make")
    request = ReadRequest(args.hours, _find_accents(args), _surroundings(args), args.seed)
    script = _read_lines(args)
    options = {"num_workers": args.workers, "overwrite": args.overwrite}
    _print_splits(read_script(args.out, script, request, **options))
    if rejected := (args.out / REJECTED_NAME).read_text().count("\n"):
        print(f"left out {rejected} in all: {args.out / REJECTED_NAME}")
    return 0


def _print_splits(splits: Mapping[Split, SplitSummary]) -> None:
    for name, split in splits.items():
        print(f"{name:<6} {split.num_utterances:>7} utterances {split.hours:>8.2f} h")


def _surroundings(args: argparse.Namespace) -> Surroundings:
    if args.noise is None and (args.snr is not None or args.noise_share is not None):
        raise ValueError("--snr and --noise-share need --noise DIR")
    drawn = Surroundings()
    return Surroundings(
        rooms=args.rooms,
        noise=args.noise,
        noise_share=drawn.noise_share if args.noise_share is None else args.noise_share,
        snr_db=drawn.snr_db if args.snr is None else tuple(args.snr),
    )


def _find_accents(args: argparse.Namespace) -> Sequence[str]:
    language = args.language or (args.alphabet if args.alphabet in LETTERS else None)
    if language is None:
        raise ValueError(f"--alphabet {args.alphabet} needs --language LANG: whose voices read")
    return find_accents(language)


def _read_lines(args: argparse.Namespace) -> Script:
    """Bring the lines into the alphabet; say what is left out, and why.

    Raises:
        ValueError: the file cannot be read, or no line of it can.
    """
    lines = read_text(args.text).removesuffix("\n").split("\n")
    # A line as the utterance of a corpus, so that alphabets and refusals are those of any corpus.
    written = [
        Utterance(Path(f"{args.text}:{number}"), 1.0, line, {"id": str(number)})
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not written:
        raise ValueError(f"{args.text}: holds no line to read")
    normal = normalize_splits({_SPLIT: written}, _normalizer(args), make_confirm(args.yes))
    texts, unusable = _choose_texts(normal.splits[_SPLIT])
    rejected = normal.rejected[_SPLIT] + unusable
    if normal.characters:
        logger.info("%s", "\n".join(describe_characters(normal.characters)))
    blank, repeated = len(lines) - len(written), len(written) - len(texts) - len(rejected)
    logger.info(
        "%s: %d texts in %d lines; %d blank, %d the same as another, %d left out",
        *(args.text, len(texts), len(lines), blank, repeated, len(rejected)),
    )
    for reason, group in group_by_reason(rejected).items():
        logger.info("  left out %d: %s", group.count, reason)
        for example in group.examples:
            logger.info("    %s", example)
    if not texts:
        raise ValueError(f"{args.text}: not one line can be read aloud")
    return Script(texts, normal.normalizer, rejected)


def _choose_texts(utterances: Iterable[Utterance]) -> tuple[list[str], list[Unusable]]:
    """Take each text once, in order, unless it cannot be read aloud."""
    texts: dict[str, None] = {}
    unusable = []
    for utterance in utterances:
        path, text = utterance.audio_filepath, utterance.text
        if len(text) > MAX_CHARACTERS:
            reason = f"longer than {MAX_CHARACTERS} characters"
            detail = f"{path}: {len(text)} characters: {shorten(text)}"
            unusable.append(Unusable(utterance.id, reason, detail, _SPLIT, path))
        elif not any(map(is_sound, text)):
            reason, detail = "nothing to pronounce", f"{path}: no letter and no number"
            unusable.append(Unusable(utterance.id, reason, detail, _SPLIT, path))
        else:
            texts[text] = None
    return list(texts), unusable


def _normalizer(args: argparse.Namespace) -> TextNormalizer:
    """Build the normaliser; it knows fewer languages than espeak-ng, and no accents."""
    language = args.language
    if language is not None and language not in known_languages():
        language = language.lower().partition("-")[0]
        if language not in known_languages():
            logger.info("there are no rules for texts in '%s': numbers are not spelled", language)
            language = None
    return make_normalizer(argparse.Namespace(**vars(args) | {"language": language}))
