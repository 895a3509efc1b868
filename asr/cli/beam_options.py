"""Options of the beam search on a command line, and as `asr tune` wrote them."""

import argparse
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple, cast

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from asr.cli.assembly import make_decoder
from asr.files import read_text
from asr.recognition.recognizer import Recognizer


def _phrases(text: str) -> list[str]:
    return [phrase.strip() for phrase in text.split(",")]


class _Option(NamedTuple):
    read: Callable[[str], object]
    help: str
    needs: str | None = None  # the option without which it changes nothing


# By the names of `BeamSearchDecoder`, whose defaults hold.
OPTIONS = {
    "lm": _Option(str, "an n-gram model, ARPA or compiled"),
    "beam_width": _Option(int, "prefixes kept a frame (64)"),
    "lm_alpha": _Option(float, "weight of the language model (0.5)", "lm"),
    "lm_beta": _Option(float, "nats a word (1)", "lm"),
    "unk_score": _Option(float, "nats for a word that the model does not know (-10)", "lm"),
    "lexicon": _Option(
        str,
        "a file of the only words allowed; for phones also a .dict that pronounces them, or "
        "dictionary: all words that the model can pronounce",
    ),
    "hotwords": _Option(_phrases, 'words and phrases to listen for: "play,volume up"'),
    "hotword_weight": _Option(float, "nats for every word of a hotword", "hotwords"),
    "grammar": _Option(str, 'JSGF: a file, or a rule like "yes | no"'),
    "n_best": _Option(int, "readings of each segment, in JSON (1)"),
    "token_min_logp": _Option(float, "tokens less likely begin nothing, ln (-5)"),
    "token_top_n": _Option(int, "at most so many tokens begin something at a frame"),
    "beam_prune_logp": _Option(float, "prefixes so much worse are dropped, ln (-10)"),
    "blank_skip_threshold": _Option(float, "frames of at least this P(blank) are passed over"),
    "max_delay": _Option(int, "frames after which the best prefix is final"),
    "num_threads": _Option(int, "segments decoded at a time (0: one a core)"),
}


def add_beam_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options; any of them asks for beam search."""
    group = parser.add_argument_group("beam search", "any of these; without them, greedy search")
    for name, option in OPTIONS.items():
        flag = f"--{name.replace('_', '-')}"
        group.add_argument(flag, type=option.read, metavar="X", help=option.help)
    group.add_argument(
        "--options", metavar="BEST.YAML", help="options and language model that asr tune found"
    )


def read_beam_options(args: argparse.Namespace, later: Collection[str] = ()) -> dict[str, object]:
    """Return what was asked for, by the names of `BeamSearchDecoder`; empty: greedy search.

    What the command line says goes before the file of --options.

    Args:
        args: of the command line.
        later: options that may still come, so that what has no effect without them is taken.

    Raises:
        ValueError: an option has no effect, or the file is none that `asr tune` wrote.
    """
    found = {} if args.options is None else _read_tuned(args.options)
    given = {name: getattr(args, name) for name in OPTIONS}
    found |= {name: value for name, value in given.items() if value is not None}
    for name in found:
        needed = OPTIONS[name].needs
        if needed is not None and needed not in later and found.get(needed) is None:
            place = "" if given[name] is not None else f"--options {args.options}: "
            raise ValueError(f"{place}--{name.replace('_', '-')} has no effect without --{needed}")
    return found


def use_beam_search(recognizer: Recognizer, options: dict[str, object]) -> None:
    """Give a recogniser the beam search that `read_beam_options` found."""
    decoder = {
        "name": "beam", "_target_": "asr.decoding.BeamSearchDecoder", "_partial_": True, **options,
    }  # fmt: skip
    model = recognizer.model
    recognizer.decoder = make_decoder({"decoder": decoder}, model.tokenizer, model.normalizer)


def _read_tuned(name: str) -> dict[str, object]:
    """Read the decoder's options out of best.yaml: those that were searched, and the others."""
    try:
        record = yaml.safe_load(read_text(Path(name)))
        overrides = [word for word in record["overrides"] if word.startswith("decoder.")]
        tree = OmegaConf.from_dotlist(["decoder={}", *overrides])
        found = cast(dict, OmegaConf.to_container(tree["decoder"])) | record["options"]
    except (
        yaml.YAMLError, OmegaConfBaseException, KeyError, TypeError, AttributeError, RecursionError
    ) as error:  # fmt: skip
        raise ValueError(f"--options {name}: is no best.yaml of asr tune") from error
    if unknown := sorted(found.keys() - OPTIONS.keys(), key=str):
        raise ValueError(f"--options {name}: beam search has no option {unknown[0]!r}")
    return {key: value for key, value in found.items() if value is not None}
