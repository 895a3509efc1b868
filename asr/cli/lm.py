"""`asr lm build`: n-gram language models from text."""

import argparse
import sys
from pathlib import Path

from asr.decoding.ngram_estimation import build_ngram

EXAMPLE = """examples:
  asr lm build text.txt --order 3 -o lm.arpa
  asr lm build a.txt b.txt.gz --order 4 --prune 0 0 1 1 -o lm.arpa
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser(
        "build",
        help="estimate a model by modified Kneser-Ney and write it in ARPA format",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    build.add_argument(
        "text", nargs="+", type=Path, help="text files, plain or .gz, one sentence a line"
    )
    build.add_argument("--order", type=int, default=3, help="1..6 (default: %(default)s)")
    build.add_argument("-o", "--out", type=Path, required=True, help="the ARPA file to write")
    build.add_argument("--vocab-size", type=int, help="keep the most frequent words only")
    build.add_argument(
        "--prune",
        nargs="+",
        type=int,
        default=(),
        metavar="COUNT",
        help="drop n-grams of each order seen at most that often",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    report = build_ngram(
        args.text,
        args.order,
        args.out,
        vocab_size=args.vocab_size,
        prune=args.prune,
        progress=sys.stderr.isatty(),
    )
    print(report)
    return 0
