"""`asr score`: error rates of one file of texts against another."""

import argparse
import json
from pathlib import Path

from asr.evaluation.text_scores import format_text_scores, score_texts, text_scores_record
from asr.evaluation.texts import read_pairs

EXAMPLE = """examples:
  asr score heard.txt said.txt             line by line
  asr score hyp.trn ref.trn                by id, as sclite reads them
  asr score hyp.jsonl hyp.jsonl            what `asr decode` wrote: pred_text against text
  asr score hyp.jsonl test.jsonl --json    against a manifest

Files that end in .trn, .jsonl or .json have ids, all others are read line by line. Words are
compared as they stand: case and punctuation count."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    parser.add_argument("hypotheses", metavar="HYP", type=Path, help="what was heard")
    parser.add_argument("references", metavar="REF", type=Path, help="what was said")
    parser.add_argument("--json", action="store_true", help="print a JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    _, references, hypotheses = read_pairs(args.hypotheses, args.references)
    scores = score_texts(references, hypotheses)
    if args.json:
        print(json.dumps(text_scores_record(scores), indent=2))
    else:
        print(format_text_scores(scores), end="")
    return 0
