"""`asr shard`: manifests to tar files with an index, or an index for tar files that are there."""

import argparse
import hashlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import numpy as np
from tqdm import tqdm

from asr.cli.texts import normalizer_beside
from asr.data.manifest import Manifest
from asr.data.selection import Selection
from asr.data.shards.encoding import Format
from asr.data.shards.index import FORMAT, ShardHeader
from asr.data.shards.packing import Packing, pack
from asr.files import read_bytes

EXAMPLE = """examples:
  asr shard data/mine/train.jsonl --out data/mine/shards
  asr shard train-clean.jsonl train-other.jsonl --out shards --format opus --sample-rate 16000
  asr train data=shards data.train_shards=data/mine/shards data.dev_manifest=data/mine/dev.jsonl

A call that was stopped goes on where it was. The same call writes the same bytes."""

# Which of many utterances stand together in a shard; of the order of manifests nothing is left.
_SHUFFLE_SEED = 0

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    parser.add_argument("manifests", nargs="+", metavar="MANIFEST", help="JSON Lines")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where shards go")
    parser.add_argument(
        "--format",
        choices=get_args(Format),
        default="flac",
        help="of the audio: 16-bit FLAC, Opus, or the files as they are (default: flac)",
    )
    parser.add_argument(
        "--sample-rate", type=int, metavar="HZ", help="resample (default: each file's own rate)"
    )
    parser.add_argument(
        "--shard-seconds",
        type=float,
        default=3600.0,
        metavar="S",
        help="speech of a shard (default: 3600)",
    )
    parser.add_argument(
        "--shard-mb",
        type=float,
        default=1000.0,
        metavar="MB",
        help="a shard is closed earlier where it is as large as that (default: 1000)",
    )
    parser.add_argument(
        "--keep-order",
        action="store_true",
        help="pack in the manifests' order (default: shuffled, so that a shard has many speakers)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command; exit code 2 where utterances could not be packed."""
    packing = Packing(
        args.format, args.sample_rate, args.shard_seconds, args.shard_mb, os.cpu_count() or 1
    )
    utterances = _select([Manifest(path) for path in args.manifests], keep_order=args.keep_order)
    normalizer = normalizer_beside(args.manifests)
    with tqdm(
        total=len(utterances),
        desc="packing",
        unit="utt",
        leave=False,
        disable=not sys.stderr.isatty(),
    ) as bar:
        headers = pack(
            utterances,
            args.out,
            packing,
            source=_fingerprint(args, packing),
            normalizer=None if normalizer is None else normalizer.state(),
            advance=bar.update,
        )
    return _report(headers, args.out)


def _select(manifests: Sequence[Manifest], *, keep_order: bool) -> Selection:
    rows = np.arange(sum(len(manifest) for manifest in manifests))
    if not len(rows):
        raise ValueError("the manifests hold no utterance")
    if not keep_order:
        rows = np.random.default_rng(_SHUFFLE_SEED).permutation(rows)
    return Selection(manifests, rows)


def _fingerprint(args: argparse.Namespace, packing: Packing) -> str:
    """Hash what the bytes of the shards depend on, beside the audio itself."""
    options = asdict(packing) | {"keep_order": args.keep_order, "shard_format": FORMAT}
    del options["num_threads"]
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for path in args.manifests:
        digest.update(hashlib.sha256(read_bytes(path)).digest())
    return digest.hexdigest()


def _report(headers: Sequence[ShardHeader], folder: Path) -> int:
    rejected = [item for header in headers for item in header.rejected]
    for item in rejected:
        logger.warning("not packed: %s: %s", item["id"], item["reason"])
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
    logger.warning("%d utterances could not be packed", len(rejected))
    return 2
