"""`asr lm`: n-gram language models from text, compiled, and measured."""

import argparse
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from asr.cli.texts import open_normalizer
from asr.files import printable
from asr.ngram.estimation import DEFAULT_MEMORY, NGramOptions, build_ngram
from asr.ngram.model import NGramLM
from asr.ngram.perplexity import measure_perplexity
from asr.ngram.text import read_lines, split_characters, split_sentences
from asr.text import SentencePieceTokenizer, TextError, TextNormalizer

# Lines that were left out and are shown.
EXAMPLES = 5

EXAMPLE = """examples:
  asr lm build text.txt --order 3 -o lm.arpa
  asr lm build a.txt b.txt.gz --order 4 --prune 0 0 1 1 --memory 2048 -o lm.arpa
  asr lm build text.txt --order 4 --prune-entropy 1e-7 -o small.arpa
  asr lm build text.txt --order 6 --unit char -o chars.arpa
  asr lm build text.txt --normalizer data/mine -o lm.arpa     or a checkpoint: steps of its texts
  asr lm compile lm.arpa -o lm.bin
  asr lm perplexity lm.bin dev.txt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_build(
        _add_action(
            actions, "build", "estimate a model by modified Kneser-Ney and write it in ARPA format"
        )
    )
    compiling = _add_action(
        actions, "compile", "turn an ARPA file into one that loads in milliseconds"
    )
    compiling.add_argument("arpa", type=Path, help="an ARPA file, plain or .gz")
    compiling.add_argument("-o", "--out", type=Path, required=True, help="the file to write")
    measuring = _add_action(actions, "perplexity", "score texts by a model")
    measuring.add_argument("model", type=Path, help="an ARPA file or a compiled model")
    _add_text(measuring)


def _add_action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, summary: str
) -> argparse.ArgumentParser:
    return actions.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_text(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "text", nargs="+", type=Path, help="text files, plain or .gz, one sentence a line"
    )
    unit = parser.add_mutually_exclusive_group()
    unit.add_argument(
        "--unit",
        choices=("word", "char"),
        default="word",
        help="what the model predicts; characters come with U+2581 for the space between words"
        " (default: %(default)s)",
    )
    unit.add_argument(
        "--tokenizer",
        type=Path,
        metavar="FILE",
        help="a SentencePiece .model: the model predicts its pieces",
    )

    parser.add_argument(
        "--normalizer",
        type=Path,
        metavar="PATH",
        help="take the steps that training texts went through: a folder that `asr prepare` wrote,"
        " its normalizer.json, or a checkpoint",
    )


def _add_build(parser: argparse.ArgumentParser) -> None:
    _add_text(parser)
    parser.add_argument("--order", type=int, default=3, help="1..6 (default: %(default)s)")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the ARPA file to write")
    parser.add_argument("--vocab-size", type=int, help="keep the most frequent words only")
    parser.add_argument(
        "--prune",
        nargs="+",
        type=int,
        default=(),
        metavar="COUNT",
        help="drop n-grams of each order seen at most that often",
    )
    parser.add_argument(
        "--prune-entropy",
        type=float,
        metavar="THRESHOLD",
        help="drop n-grams without which perplexity grows by less, relatively: 1e-8 drops few,"
        " 1e-6 most",
    )
    parser.add_argument(
        "--memory",
        type=int,
        default=DEFAULT_MEMORY,
        metavar="MIB",
        help="take at most about this much; more text than fits is sorted in unnamed files beside"
        " --out (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that files are tidied
    try:
        return _ACTIONS[args.action](args)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _build(args: argparse.Namespace) -> int:
    split = _Splitter(args)
    options = NGramOptions(
        vocab_size=args.vocab_size,
        prune=args.prune,
        prune_entropy=args.prune_entropy,
        split=split,
        memory=args.memory,
        progress=sys.stderr.isatty(),
    )
    report = build_ngram(args.text, args.order, args.out, options)
    # What was refused is said below, and was not empty.
    print(replace(report, num_empty_lines=report.num_empty_lines - split.num_refused))
    print("".join(f"{printable(line)}\n" for line in split.lines()), end="")
    return 0


def _compile(args: argparse.Namespace) -> int:
    lm = NGramLM(args.arpa)
    lm.save(args.out)
    print(f"{args.out}: order {lm.order}, {len(lm):,} words, {args.out.stat().st_size:,} bytes")
    return 0


def _measure(args: argparse.Namespace) -> int:
    split = _Splitter(args)
    print(measure_perplexity(NGramLM(args.model), _sentences(args.text, split)))
    print("".join(f"{printable(line)}\n" for line in split.lines()), end="")
    return 0


def _sentences(paths: list[Path], split: Callable[[str], list[str]]) -> Iterator[list[str]]:
    for path in paths:
        lines = tqdm(
            read_lines(path),
            desc=str(path),
            unit=" lines",
            disable=not sys.stderr.isatty(),
            leave=False,
        )
        yield from split_sentences(lines, split, lambda number, path=path: f"{path}:{number}")


class _Splitter:
    """Splits lines into the units of a model, after the steps of a normaliser where there is one.

    A line that the normaliser refuses has no units, and is counted.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self._normalizer: TextNormalizer | None = None
        if args.normalizer is not None:
            self._normalizer = open_normalizer(args.normalizer)
        self._split = _unit_splitter(args)
        self._refused: Counter[str] = Counter()
        self._examples: list[str] = []

    def __call__(self, line: str) -> list[str]:
        if self._normalizer is not None:
            try:
                line = self._normalizer(line)
            except TextError as error:
                self._refused[error.reason] += 1
                if len(self._examples) < EXAMPLES:
                    self._examples.append(str(error))
                return []
        return self._split(line)

    @property
    def num_refused(self) -> int:
        """Lines that the normaliser refused."""
        return self._refused.total()

    def lines(self) -> list[str]:
        """Say what the normaliser changed and refused."""
        if self._normalizer is None:
            return []
        lines = [f"texts: {change}: {n}" for change, n in self._normalizer.changes.items()]
        lines += [f"left out {n} lines: {reason}" for reason, n in self._refused.items()]
        return lines + [f"  {example}" for example in self._examples]


def _unit_splitter(args: argparse.Namespace) -> Callable[[str], list[str]]:
    if args.tokenizer is None:
        return split_characters if args.unit == "char" else str.split
    tokenizer = SentencePieceTokenizer.from_file(args.tokenizer)

    def split_pieces(line: str) -> list[str]:
        return [tokenizer.tokens[i] for i in tokenizer.encode(" ".join(line.split()))]

    return split_pieces


_ACTIONS = {"build": _build, "compile": _compile, "perplexity": _measure}
