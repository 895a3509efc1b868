"""`asr explain`: what a word's score rests on, as a page."""

import argparse
import logging
import re
import shlex
import sys
from dataclasses import fields
from pathlib import Path

from asr.acoustic.checkpoint import load_checkpoint
from asr.cli.argument_types import wrong_type
from asr.cli.assembly import check_file, choose_device, run_of
from asr.cli.hydra_config import add_override_arguments, run_with_config
from asr.evaluation.seen_utterance import read_snapshots
from asr.explain.page import Options, explain_word, write_page
from asr.explain.subject import choose_word, read_subject
from asr.features import Samples

EXAMPLE = """examples:
  asr explain checkpoint=runs/digits/ckpt/best.ckpt audio=seven.wav
  asr explain checkpoint=best.ckpt audio=call.wav word=five occurrence=2
  asr explain checkpoint=best.ckpt audio=call.wav text="call five five" word=call output_dir=why

The page holds everything itself, the recording included, and opens without a network.
`asr explain --cfg ...` prints every key with its value."""

# Keys whose values are texts, whatever Hydra would read in them: word=7, text=don't, word=true.
TEXTS = ("text", "word", "audio")

OPTIONS = tuple(field.name for field in fields(Options))

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    add_override_arguments(parser, sweep=False)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    args.overrides = [quote_text(word) for word in args.overrides]
    return run_with_config("explain", args, explain)


def quote_text(override: str) -> str:
    """Quote the value of a text's key, unless it is null or quoted already."""
    key, equals, value = override.partition("=")
    if key not in TEXTS or not equals or value == "null" or value[:1] in ("'", '"'):
        return override
    escaped = value.replace('"', '\\"')
    return f'{key}="{escaped}"'


def explain(config: dict) -> int:
    """Explain as a resolved configuration says."""
    _check(config)
    options = Options(**{key: config[key] for key in OPTIONS})
    model = load_checkpoint(check_file(config, "checkpoint"))
    if isinstance(model.features, Samples):
        raise ValueError(
            "asr explain takes away frames of features one after the other, and this model has "
            "single samples (features=samples): it takes other models alone"
        )
    model = model.to(choose_device(config["device"]))
    subject = read_subject(model, config["audio"], config["text"], config["max_duration_s"])
    choice = choose_word(subject, config["word"], config["occurrence"])
    snapshots = read_snapshots(run_of(config["checkpoint"]))
    folder = _folder(
        config["output_dir"], config["checkpoint"], config["audio"], config["word"],
        config["occurrence"],
    )  # fmt: skip
    # Where nothing can be written, that is better known before the work than after it.
    folder.mkdir(parents=True, exist_ok=True)
    found = explain_word(model, subject, choice, options)
    gap = found.integral.relative_gap
    if gap > options.tolerance:
        logger.warning(
            "integrated gradients are off by %.1f %% after %d steps, more than tolerance=%g: "
            "raise max_steps", 100 * gap, found.integral.steps, options.tolerance,
        )  # fmt: skip
    out = folder / "explain.html"
    facts = [(key, str(value)) for key, value in config.items() if value is not None]
    facts.append(("command", shlex.join(sys.argv)))
    write_page(out, model, subject, choice, found, snapshots, facts, config["audio"])
    logger.info("explanation: %s", out)
    return 0


def _check(config: dict) -> None:
    """Refuse values of a wrong type by their keys."""
    for target, keys in (
        (read_subject, ("text", "max_duration_s")),
        (choose_word, ("word", "occurrence")),
        (Options, OPTIONS),
        (_folder, ("output_dir",)),
    ):
        if wrong := wrong_type(target, {key: config[key] for key in keys}):
            raise ValueError(wrong)
    check_file(config, "audio")


def _folder(
    output_dir: str | None, checkpoint: str, audio: str, word: str | None, occurrence: int
) -> Path:
    """Where the page goes."""
    if output_dir is not None:
        return Path(output_dir)
    parts = [Path(audio).stem, word or "", "" if occurrence == 1 else str(occurrence)]
    name = "_".join(part for part in parts if part)
    return run_of(checkpoint) / "explain" / re.sub(r"[^\w.-]", "_", name)
