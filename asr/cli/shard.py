"""`asr shard`: manifests to tar files with an index, or an index for tar files that are there."""

import argparse
import hashlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from tqdm import tqdm

from asr.cli.texts import normalizer_beside
from asr.data.manifest import Manifest
from asr.data.selection import Selection
from asr.data.shards.encoding import Format
from asr.data.shards.foreign import NemoLayout, WebDatasetLayout, expand, index_tars
from asr.data.shards.index import FORMAT, ShardHeader
from asr.data.shards.packing import Packing, pack
from asr.data.shards.streams import Patience
from asr.data.unusable import Unusable
from asr.files import read_bytes

EXAMPLE = """examples:
  asr shard data/mine/train.jsonl --out data/mine/shards
  asr shard train-clean.jsonl train-other.jsonl --out shards --format opus --sample-rate 16000
  asr train data=shards data.train_shards=data/mine/shards data.dev_manifest=data/mine/dev.jsonl

Tars of others are indexed where they lie, on a disk or a server:
  asr shard 'https://host/data/shard-{000000..000012}.tar' --out index
  asr shard 'audio__OP_0..127_CL_.tar' --nemo-manifest tarred_audio_manifest.json --out index

A call that was stopped goes on where it was. The same call writes the same bytes."""

# Which of many utterances stand together in a shard; of the order of manifests nothing is left.
_SHUFFLE_SEED = 0

# Options of packing, in the order of Packing's fields.
_PACKING = ("format", "sample_rate", "shard_seconds", "shard_mb")
_DEFAULTS = {
    "format": "flac",
    "sample_rate": None,
    "shard_seconds": 3600.0,
    "shard_mb": 1000.0,
    "keep_order": False,
}

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="manifests (JSON Lines), or tars, by {0..9} too"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where shards go")
    parser.add_argument(
        "--format",
        choices=get_args(Format),
        default=_DEFAULTS["format"],
        help="of the audio: 16-bit FLAC, Opus, or the files as they are (default: flac)",
    )
    parser.add_argument(
        "--sample-rate", type=int, metavar="HZ", help="resample (default: each file's own rate)"
    )
    parser.add_argument(
        "--shard-seconds",
        type=float,
        default=_DEFAULTS["shard_seconds"],
        metavar="S",
        help="speech of a shard (default: 3600)",
    )
    parser.add_argument(
        "--shard-mb",
        type=float,
        default=_DEFAULTS["shard_mb"],
        metavar="MB",
        help="a shard is closed earlier where it is as large as that (default: 1000)",
    )
    parser.add_argument(
        "--nemo-manifest", metavar="FILE", help="of NeMo's tars; by {0..9} too, one for each"
    )
    parser.add_argument(
        "--keep-order",
        action="store_true",
        help="pack in the manifests' order (default: shuffled, so that a shard has many speakers)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command; exit code 2 where utterances could not be packed."""
    inputs = [path for pattern in args.inputs for path in expand(pattern)]
    are_tars = {path.endswith(".tar") for path in inputs}
    if len(are_tars) > 1:
        raise ValueError("manifests are packed and tars are indexed: name one of both kinds")
    return _index(args, inputs) if are_tars.pop() else _pack(args, inputs)


def _pack(args: argparse.Namespace, manifests: Sequence[str]) -> int:
    if args.nemo_manifest is not None:
        raise ValueError("--nemo-manifest is of tars, and these are manifests")
    packing = Packing(*(getattr(args, name) for name in _PACKING), num_threads=os.cpu_count() or 1)
    utterances = _select([Manifest(path) for path in manifests], keep_order=args.keep_order)
    normalizer = normalizer_beside(manifests)
    with _bar("packing", "utt", len(utterances)) as bar:
        headers = pack(
            utterances,
            args.out,
            packing,
            source=_fingerprint(args, manifests),
            normalizer=None if normalizer is None else normalizer.state(),
            advance=bar.update,
        )
    return _report(headers, args.out)


def _index(args: argparse.Namespace, tars: Sequence[str]) -> int:
    given = [name for name in (*_PACKING, "keep_order") if getattr(args, name) != _DEFAULTS[name]]
    if given:
        raise ValueError(f"--{given[0].replace('_', '-')} is of manifests: tars stay as they are")
    patience = Patience()
    nemo = None
    if args.nemo_manifest is not None:
        nemo = NemoLayout(expand(args.nemo_manifest), patience)
    with _bar("indexing", "tar", len(tars)) as bar:
        headers = index_tars(tars, args.out, nemo or WebDatasetLayout(), patience, bar.update)
    return _report(headers, args.out, [] if nemo is None else nemo.missing(args.out))


def _bar(doing: str, unit: str, total: int) -> tqdm:
    quiet = not sys.stderr.isatty()
    return tqdm(total=total, desc=doing, unit=unit, leave=False, disable=quiet)


def _select(manifests: Sequence[Manifest], *, keep_order: bool) -> Selection:
    rows = np.arange(sum(len(manifest) for manifest in manifests))
    if not len(rows):
        raise ValueError("the manifests hold no utterance")
    if not keep_order:
        rows = np.random.default_rng(_SHUFFLE_SEED).permutation(rows)
    return Selection(manifests, rows)


def _fingerprint(args: argparse.Namespace, manifests: Sequence[str]) -> str:
    """Hash what the bytes of the shards depend on, beside the audio itself."""
    options = {name: getattr(args, name) for name in (*_PACKING, "keep_order")}
    digest = hashlib.sha256(json.dumps([FORMAT, options], sort_keys=True).encode())
    for path in manifests:
        digest.update(hashlib.sha256(read_bytes(path)).digest())
    return digest.hexdigest()


def _report(headers: Sequence[ShardHeader], folder: Path, missing: Sequence[Unusable] = ()) -> int:
    rejected = [(item["id"], item["reason"]) for header in headers for item in header.rejected]
    rejected += [(item.id, item.reason) for item in missing]
    for identity, reason in rejected:
        logger.warning("not taken: %s: %s", identity, reason)
    logger.info(
        "%d utterances, %.2f h, %.1f MB in %d shards: %s",
        sum(header.utterances for header in headers),
        sum(header.seconds for header in headers) / 3600,
        sum(header.bytes for header in headers) / 1e6,
        len(headers),
        folder,
    )
    if not rejected:
        return 0
    logger.warning("%d could not be taken", len(rejected))
    return 2
