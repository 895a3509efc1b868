"""`asr align`: from a checkpoint and a manifest to the times of its words."""

import argparse
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from asr.acoustic.checkpoint import load_checkpoint
from asr.alignment.aligner import align_each
from asr.alignment.files import FORMATS, KEYS, check_format, write_alignments
from asr.alignment.spans import Alignment
from asr.cli.assembly import choose_device, run_of
from asr.cli.hydra_config import add_override_arguments, run_with_config
from asr.data.manifest import Utterance, read_manifest
from asr.data.references import normalize_texts
from asr.data.unusable import Unusable

EXAMPLE = """examples:
  asr align checkpoint=runs/mine/ckpt/best.ckpt manifest=my.jsonl
  asr align checkpoint=best.ckpt manifest=my.jsonl output_dir=aligned --format textgrid
  asr align checkpoint=best.ckpt manifest=my.jsonl output_dir=aligned --format ctm

json: alignments.jsonl, the manifest with the keys words, tokens and score;
ctm: words.ctm and tokens.ctm; textgrid: an <id>.TextGrid for each utterance.
What could not be aligned is in failures.jsonl, and the exit code is then 2.
`asr align --cfg ...` prints every key with its value."""

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    add_override_arguments(parser)
    parser.add_argument("--format", choices=FORMATS, help="the same as format=... (default: json)")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.format is not None:
        args.overrides.append(f"format={args.format}")
    return run_with_config("align", args, align)


def align(config: dict) -> int:
    """Align as a resolved configuration says; exit code 2 when utterances failed."""
    check_format(config["format"])
    utterances = read_manifest(config["manifest"])
    if not utterances:
        raise ValueError(f"{config['manifest']}: holds no utterances")
    model = load_checkpoint(config["checkpoint"]).to(choose_device(config["device"]))
    folder = Path(
        config["output_dir"]
        or run_of(config["checkpoint"]) / "align" / Path(config["manifest"]).stem
    )
    if model.normalizer is not None:
        utterances = normalize_texts(utterances, model.normalizer, "texts")
    # Where nothing can be written, that is better known before the work than after it.
    folder.mkdir(parents=True, exist_ok=True)
    _warn_of_keys(utterances, config["format"])
    results: list[Alignment | Unusable] = list(
        tqdm(
            align_each(model, utterances, config["max_table_gb"]),
            desc="aligning",
            unit="utt",
            total=len(utterances),
            leave=False,
            disable=not sys.stderr.isatty(),
        )
    )
    failures = write_alignments(folder, config["format"], utterances, results)
    return _report(results, failures, folder)


def _warn_of_keys(utterances: Sequence[Utterance], style: str) -> None:
    """Say when the manifest has keys of its own where an alignment's will stand."""
    held = Counter(key for utterance in utterances for key in KEYS if key in utterance.extra)
    for key, count in held.items():
        if style == "json":
            logger.warning("the key %r of %d utterances is replaced", key, count)


def _report(
    results: Sequence[Alignment | Unusable], failures: Sequence[Unusable], folder: Path
) -> int:
    for unusable in failures:
        logger.warning("not aligned: %s: %s", unusable.id, unusable.reason)
    num_words = sum(len(found.words) for found in results if isinstance(found, Alignment))
    logger.info(
        "%d of %d utterances aligned, %d words; results: %s",
        len(results) - len(failures), len(results), num_words, folder,
    )  # fmt: skip
    if not failures:
        return 0
    logger.warning(
        "%d utterances were not aligned, see %s", len(failures), folder / "failures.jsonl"
    )
    return 2
