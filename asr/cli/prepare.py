"""`asr prepare`: from what a user has on disk to checked manifests."""

import argparse
import logging
from pathlib import Path

from asr.cli import prepare_synth
from asr.cli.prepare_ranks import on_first_rank
from asr.cli.text_options import (
    add_text_arguments,
    describe_characters,
    make_confirm,
    make_normalizer,
)
from asr.corpora.catalogue import AUTO, IMPORTERS
from asr.corpora.delimited import COLUMNS, TableForm
from asr.corpora.division import Division, parse_part
from asr.corpora.prepare import prepare
from asr.corpora.summary import PrepareReport
from asr.corpora.verification import Inspect, VerificationRules
from asr.data.manifest import read_manifest
from asr.files import printable, write_atomically
from asr.text import SentencePieceTokenizer
from asr.training.distributed import announced_world_size

EXAMPLE = """examples:
  asr prepare auto --from ~/recordings --out data/mine
  asr prepare auto --from ~/recordings --out data/mine --speaker-from folder --dev 10% --test 10%
  asr prepare csv --from my.csv --columns path=Datei,text=Satz --delimiter ';' --out data/mine
  asr prepare auto --from ~/recordings --out data/mine --alphabet de
  asr prepare auto --from ~/recordings --out data/mine --alphabet auto --language tr --yes
  asr prepare synth --out data/synth
  asr prepare synth --text sentences.txt --hours 10 --out data/read
  asr prepare fsdd --from ~/free-spoken-digit-dataset --out data/fsdd
  asr prepare librispeech --from ~/LibriSpeech --out data/librispeech
  asr prepare sentencepiece --manifest data/mine/train.jsonl --vocab-size 256 --out pieces.model
  torchrun --nproc-per-node 8 -m asr prepare librispeech --from ~/LibriSpeech --out data/librispeech
"""

_COLUMNS_HELP = "columns of a table, found by these headers (case does not matter):\n" + "\n".join(
    f"  {key:<8} {', '.join(names)}" for key, names in COLUMNS.items()
)

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    kinds = parser.add_subparsers(dest="corpus", metavar="CORPUS", required=True)
    prepare_synth.add_arguments(
        kinds.add_parser("synth", help="make synthetic speech: the embedded corpus, or of any text")
    )
    _add_sentencepiece(kinds.add_parser("sentencepiece", help="train word pieces"))
    listed = {AUTO: "find out which of those below it is, and say why"}
    listed |= {name: layout.expected for name, layout in IMPORTERS.items()}
    for corpus, expected in listed.items():
        style = argparse.RawDescriptionHelpFormatter
        parser_of = kinds.add_parser(
            corpus, help=expected, description=expected, formatter_class=style
        )
        _add_corpus(parser_of, corpus)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.corpus in ("synth", "sentencepiece") and announced_world_size() > 1:
        raise ValueError(f"asr prepare {args.corpus} cannot be shared by ranks: run it alone")
    if args.corpus == "synth":
        return prepare_synth.run(args)
    if args.corpus == "sentencepiece":
        return _run_sentencepiece(args)
    return _run_corpus(args)


def _add_corpus(parser: argparse.ArgumentParser, corpus: str) -> None:
    rules = VerificationRules()
    parser.add_argument(
        "--from", dest="source", type=Path, required=True, metavar="DIR", help="what is on disk"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("data", corpus),
        metavar="DIR",
        help="where manifests go (default: %(default)s)",
    )
    add_text_arguments(parser)
    parser.add_argument(
        "--seconds-per-frame",
        type=float,
        default=rules.seconds_per_frame,
        help="of the model's output, to check that CTC can align (default: %(default)s)",
    )
    if corpus == AUTO or IMPORTERS[corpus].takes_form:
        _add_form(parser)
    _add_division(parser)
    parser.add_argument("--min-duration", type=float, default=rules.min_duration_s, help="seconds")
    parser.add_argument("--max-duration", type=float, default=rules.max_duration_s, help="seconds")


def _add_form(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _COLUMNS_HELP
    parser.add_argument(
        "--delimiter", help="between a table's columns (default: what its first line holds most)"
    )
    parser.add_argument(
        "--columns",
        metavar="path=NAME,text=NAME,...",
        help="a table's columns, by header or number from 1 on (defaults: see below)",
    )


def _add_division(parser: argparse.ArgumentParser) -> None:
    for name in ("dev", "test"):
        parser.add_argument(
            f"--{name}",
            metavar="COUNT|SHARE|FILE",
            help=f"{name} set where the corpus has none: utterances (20), a share (0.1, 10%%), or "
            "a file of ids or speakers, one a line (default: 5%% where there are no splits at all)",
        )
    parser.add_argument(
        "--speaker-from",
        metavar="folder|column:NAME|REGEX",
        help="who speaks: the audio's folder, a column, or the first group of a regular expression "
        "in its path; no speaker is in two splits",
    )


def _read_form(args: argparse.Namespace) -> TableForm | None:
    """Read --delimiter and --columns; None where neither is given."""
    delimiter, text = getattr(args, "delimiter", None), getattr(args, "columns", None)
    if delimiter is None and text is None:
        return None
    columns = {}
    for pair in (text or "").split(",") if text is not None else ():
        key, equals, name = pair.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"--columns must be path=NAME,text=NAME,..., got '{text}'")
        columns[key.strip()] = name.strip()
    return TableForm("\t" if delimiter == "\\t" else delimiter, columns)


def _run_corpus(args: argparse.Namespace) -> int:
    rules = VerificationRules(
        seconds_per_frame=args.seconds_per_frame,
        min_duration_s=args.min_duration,
        max_duration_s=args.max_duration,
    )
    dev, test = (
        None if text is None else parse_part(name, text)
        for name, text in (("dev", args.dev), ("test", args.test))
    )
    normalizer = make_normalizer(args)

    def prepare_with(inspect: Inspect) -> PrepareReport:
        return prepare(
            args.corpus,
            args.source,
            args.out,
            normalizer=normalizer,
            confirm=make_confirm(args.yes),
            rules=rules,
            form=_read_form(args),
            division=Division(dev, test),
            speaker_from=args.speaker_from,
            inspect=inspect,
        )

    report = on_first_rank(prepare_with)
    if report is None:
        return 0
    if normalizer.alphabet is None:
        print("\n".join(describe_characters(report.characters)))
    print("\n".join(map(printable, report.lines())))
    return 0


def _add_sentencepiece(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--manifest", type=Path, required=True, help="whose texts to learn from")
    parser.add_argument("--vocab-size", type=int, default=256, help="pieces (default: %(default)s)")
    kinds = ("unigram", "bpe", "char", "word")
    parser.add_argument("--model-type", choices=kinds, default="unigram")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the .model file to write")


def _run_sentencepiece(args: argparse.Namespace) -> int:
    texts = [utterance.text for utterance in read_manifest(args.manifest)]
    tokenizer = SentencePieceTokenizer.train(texts, args.vocab_size, args.model_type)
    write_atomically(args.out, tokenizer.model)
    pieces = sum(len(tokenizer.encode(text)) for text in texts) / max(1, len(texts))
    print(f"{args.out}: {len(tokenizer.tokens) - 1} pieces, {pieces:.1f} a text")
    return 0
