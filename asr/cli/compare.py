"""`asr compare`: whether one run, or one folder of results, is better than another."""

import argparse
import json
from pathlib import Path

from asr.evaluation.comparison import compare_folders, comparison_record, format_comparisons

EXAMPLE = """examples:
  asr compare runs/small runs/large
  asr compare runs/a/decode/digits_test_greedy runs/a/decode/digits_test_beam
  asr compare runs/small runs/large --json

Runs are compared on the sets that both have decoded, decoder by decoder. The interval is of the
difference: both are scored on the same 2000 draws of utterances (paired bootstrap), so that what
is hard for both cancels out. Where it holds 0, the two are not told apart."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    words = "a run's folder, or one that `asr decode` wrote"
    parser.add_argument("first", metavar="FIRST", type=Path, help=words)
    parser.add_argument("second", metavar="SECOND", type=Path, help="another")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    comparisons = compare_folders(args.first, args.second)
    if args.json:
        print(json.dumps([comparison_record(c) for c in comparisons], indent=2))
    else:
        print(format_comparisons(args.first, args.second, comparisons), end="")
    return 0
