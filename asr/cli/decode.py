"""`asr decode`: from a checkpoint and a test set to hypotheses and a word error rate."""

import argparse
import hashlib
import json
import logging
from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from asr.acoustic.checkpoint import load_checkpoint
from asr.cli.assembly import (
    check_file,
    check_split,
    choose_device,
    fingerprint_files,
    fingerprint_model,
    make_decoder,
    open_test_set,
    run_of,
)
from asr.cli.hydra_config import add_override_arguments, run_with_config
from asr.cli.run_folder import claim, config_changes
from asr.cli.sweep_table import show_decoded
from asr.data.unusable import Unusable
from asr.evaluation.advice import MOST, advise_decoding, read_setting
from asr.evaluation.results import FILES, DecodedShare, decode_share, format_scores, write_shares
from asr.evaluation.run_record import find_results
from asr.evaluation.scoring import Padding
from asr.training.crew import Everybody, joined, lead

EXAMPLE = """examples:
  asr decode checkpoint=runs/synth/ckpt/best.ckpt data=synth
  asr decode checkpoint=runs/synth/ckpt/best.ckpt data=synth decoder=beam \\
      decoder.beam_width=128 decoder.lm=lm.arpa
  asr decode checkpoint=best.ckpt data=manifest data.test_manifest=my.jsonl
  asr decode checkpoint=best.ckpt data=synth padding_s=[0,1]    and with 1 s of silence after
  asr decode -m checkpoint=best.ckpt data=synth decoder=greedy,prefix_search,beam
  torchrun --nproc-per-node 2 -m asr decode checkpoint=best.ckpt data=synth   share it out

What is decoded again lands in the same folder; other options, or another checkpoint or language
model of the same name, get a folder of their own.
`asr decode --cfg ...` prints every key with its value."""

# What changes neither hypotheses nor scores, but for times.
FREE_KEYS = ("output_dir", "overwrite", "device", "loading.", "decoder.num_threads", "metric")
OWNED = (*FILES, *(f"*/{name}" for name in FILES))

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    add_override_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print scores as JSON")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    task = partial(decode, as_json=args.json)
    show = partial(show_decoded, as_json=args.json)
    # In a sweep JSON is what is printed once, at its end.
    if args.json and args.multirun:
        task = partial(decode, quiet=True)
    return run_with_config("decode", args, task, sweep_folder=_set_folder, show_sweep=show)


def decode(config: dict, *, as_json: bool = False, quiet: bool = False) -> int:
    """Decode as a resolved configuration says; exit code 2 when utterances failed.

    Args:
        config: resolved.
        as_json: whether to print scores as JSON instead of a table.
        quiet: whether to print neither.
    """
    with joined() as (rank, world_size):
        return _decode(config, rank, world_size, as_json=as_json, quiet=quiet)


def _decode(config: dict, rank: int, world_size: int, *, as_json: bool, quiet: bool) -> int:
    """Decode this rank's share; the first rank writes and speaks for all."""
    # Everything is checked, on every rank, before the folder is touched.
    checkpoint, split = check_file(config, "checkpoint"), check_split(config, config["split"])
    padding = _read_padding(config)
    if padding is not None and padding.noise and world_size > 1:
        raise ValueError("padding_noise is drawn utterance after utterance: decode with one rank")
    model = load_checkpoint(checkpoint).to(choose_device(config["device"]))
    decoder = make_decoder(config, model.tokenizer, model.normalizer)
    loader, metric = open_test_set(config, split, model, rank, world_size)
    decoders = {config["decoder"]["name"]: decoder}

    def write(everybody: Everybody[int, DecodedShare]) -> int:
        prints = fingerprint_model(checkpoint) | fingerprint_files(config["decoder"])
        described = config | {"fingerprints": prints, "metric": metric}
        folder = _choose_folder(config, described)
        with claim(
            folder, described, resume=None, overwrite=True, free_keys=FREE_KEYS, owned=OWNED
        ):
            shares = everybody(range(world_size))
            scores = write_shares(folder, shares, loader.corpus.utterances(0), metric)
        if as_json:
            show_decoded([(folder.name, folder)], as_json=True)
        elif not quiet:
            print(format_scores(scores, metric=metric), end="")
        logger.info("results: %s", folder)
        code = _report_failures([f for share in shares for f in share.failures], folder)
        _advise(folder, run_of(checkpoint))
        return code

    # Which utterances are a rank's own its loader knows.
    return lead(write, lambda _: decode_share(model, loader, decoders, padding)) or 0


def _advise(folder: Path, run_path: Path) -> None:
    """Say what the errors ask for next; how the model was trained is beside it, or nowhere."""
    first, *_ = find_results(folder)
    try:
        setting = read_setting(run_path)
    except ValueError as error:
        logger.warning("no advice: %s", error)
        return
    for advice in islice(advise_decoding(first, setting), MOST):
        logger.info("next: %s", advice)


def _read_padding(config: dict) -> Padding | None:
    seconds = config["padding_s"]
    if seconds is None:
        return None
    if not isinstance(seconds, list) or [type(s) in (int, float) for s in seconds] != [True, True]:
        raise ValueError(f"padding_s must be null or [before, after] in seconds, got {seconds!r}")
    return Padding(*seconds, noise=config["padding_noise"])


def _set_folder(config: dict) -> Path:
    """Results go beside the checkpoints of a run, otherwise beside the checkpoint."""
    name = f"{config['data']['name']}_{config['split']}"
    return run_of(check_file(config, "checkpoint")) / "decode" / name


def _choose_folder(config: dict, described: dict) -> Path:
    """Say where results go: over those of a repeat, never over others.

    Raises:
        ValueError: the folder that was asked for holds something else, and nobody said overwrite.
    """
    if config["output_dir"] is None:
        place = _set_folder(config)
        folder = place.with_name(f"{place.name}_{config['decoder']['name']}")
        if config["overwrite"] or _may_fill(folder, described):
            return folder
        kept = {k: v for k, v in described.items() if not k.startswith(FREE_KEYS)}
        digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
        return folder.with_name(f"{folder.name}_{digest[:8]}")
    folder = Path(config["output_dir"])
    if config["overwrite"] or _may_fill(folder, described):
        return folder
    raise ValueError(
        f"output_dir {folder} is not empty and not of the same configuration and files"
        f"{_first_change(folder, described)}: give another output_dir=... or overwrite=true"
    )


def _may_fill(folder: Path, described: dict) -> bool:
    """Whether a folder is empty, or holds what the same configuration and files made."""
    if not folder.exists() or not any(folder.iterdir()):
        return True
    return (folder / "config.yaml").is_file() and not _first_change(folder, described)


def _first_change(folder: Path, described: dict) -> str:
    if not (folder / "config.yaml").is_file():
        return ""
    changes = config_changes(folder / "config.yaml", described).items()
    changes = [f" ({key}: {change})" for key, change in changes if not key.startswith(FREE_KEYS)]
    return changes[0] if changes else ""


def _report_failures(failures: Sequence[Unusable], folder: Path) -> int:
    for unusable in failures:
        logger.warning("not decoded: %s: %s", unusable.id, unusable.reason)
    if failures:
        logger.warning(
            "%d utterances were not decoded, see %s", len(failures), folder / "failures.jsonl"
        )
        return 2
    return 0
