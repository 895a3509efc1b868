"""The command line: `asr COMMAND ...`. Only this package knows Hydra and argument parsing.

Exit codes: 0 done, 2 a user's mistake (said in a line, no traceback; ASR_DEBUG=1 shows it), 130 and
143 stopped by a signal, 141 nobody reads our output any more.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from asr import __version__
from asr.files import printable

# Command -> (module with `add_arguments(parser)` and `run(args) -> int`, what it does).
COMMANDS = {
    "prepare": ("asr.cli.prepare", "turn a corpus on disk into checked manifests"),
    "shard": ("asr.cli.shard", "pack manifests into tar files for large corpora"),
    "train": ("asr.cli.train", "train a model (Hydra overrides)"),
    "sweep": ("asr.cli.sweep", "search settings of a training (Hydra overrides)"),
    "decode": ("asr.cli.decode", "decode and score a test set (Hydra overrides)"),
    "align": ("asr.cli.align", "say when each word of a manifest was spoken (Hydra overrides)"),
    "tune": ("asr.cli.tune", "search decoder options on a dev set (Hydra overrides)"),
    "report": ("asr.cli.report", "show runs side by side: curves, errors, what to do next"),
    "explain": ("asr.cli.explain", "show what of a recording a word rests on (Hydra overrides)"),
    "export": ("asr.cli.export", "write a model for other runtimes: ONNX, TorchScript"),
    "compare": ("asr.cli.compare", "say whether one run is better than another"),
    "score": ("asr.cli.score", "score one file of texts against another"),
    "transcribe": ("asr.cli.transcribe", "turn audio files into text"),
    "serve": ("asr.cli.serve", "serve transcription over HTTP, with a page"),
    "listen": ("asr.cli.listen", "turn speech into text while it is spoken"),
    "lm": ("asr.cli.lm", "build n-gram language models"),
    "quickstart": ("asr.cli.quickstart", "corpus, training, decoding and a report in one go"),
}
EXAMPLE = """examples:
  asr prepare synth --out data/synth
  asr train data=synth model.hidden_size=256 trainer.max_epochs=20
  asr decode checkpoint=runs/synth/ckpt/best.ckpt decoder=beam decoder.lm=lm.arpa
  asr transcribe speech.wav --checkpoint runs/synth/ckpt/best.ckpt --format srt

every command explains itself with --help; guides, all keys and all error messages:
  {documentation}"""


# Must be set before PyTorch loads; what a user has set stays.
# oneDNN's cache holds 1024 compiled kernels by default, a gigabyte in a long training; the shapes
# of an epoch need far fewer.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")
# Threads that spin at a barrier keep a core from the one they wait for: beside a busy process
# training ran at half the speed of one thread. Threads that sleep at once cost a quarter on a
# quiet machine. In between lies this (benchmarks/waiting.py); GOMP_SPINCOUNT is libgomp's own,
# other runtimes see the policy.
if not os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
    os.environ |= {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "500"}
if not sys.stderr.isatty():
    # Progress bars in a log file: one line in half a minute.
    os.environ.setdefault("TQDM_MININTERVAL", "30")


# Lines and characters of an error that help; the rest only scrolls the first line away.
MAX_ERROR_LINES = 12
MAX_ERROR_LINE = 400


class PrintableFormatter(logging.Formatter):
    """Lines that a terminal shows and does not obey, whatever a file's name or text holds."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record; its lines stay lines."""
        return "\n".join(map(printable, super().format(record).split("\n")))


def find_documentation() -> str:
    """Return where the documentation begins: a file of the checkout, where this is one."""
    page = Path(__file__).parents[2] / "docs" / "index.md"
    return str(page) if page.exists() else "docs/index.md of the project's source distribution"


def format_error(command: str, error: Exception) -> str:
    """Say a user's mistake: what is wrong in the first line, what more there is indented below."""
    said = str(error)
    if isinstance(error, OSError) and error.filename and error.strerror:
        said = f"{error.filename}: {error.strerror}"  # without the number
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    lines = lines or [type(error).__name__]
    kept = [printable(line.replace("\t", " ")) for line in lines[:MAX_ERROR_LINES]]
    kept = [k if len(k) <= MAX_ERROR_LINE else f"{k[: MAX_ERROR_LINE - 3]}..." for k in kept]
    if len(lines) > len(kept):
        kept.append(f"... {len(lines) - len(kept)} more lines")
    first, *further = kept
    return "\n".join([f"asr {command}: {first.strip()}", *(f"  {line}" for line in further)])


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the console script `asr`."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="asr",
        description="End-to-end speech recognition with CTC.",
        epilog=EXAMPLE.format(documentation=find_documentation()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"asr {__version__}")
    choices = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (home, summary) in COMMANDS.items():
        command = choices.add_parser(
            name,
            help=summary,
            description=summary.capitalize() + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        # Importing torch for `asr --help` would take seconds: only the chosen command loads.
        if words[:1] == [name]:
            try:
                import_module(home).add_arguments(command)
            except ModuleNotFoundError as error:
                return _report_missing(name, error)
    return _guard(_parse(parser, words))


def _parse(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Parse the words; overrides may stand on both sides of an option, as argparse forbids."""
    args, rest = parser.parse_known_args(words)
    if rest and (not hasattr(args, "overrides") or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        args.overrides += rest
    return args


def _report_missing(command: str, error: ModuleNotFoundError) -> int:
    """Say which extra brings a package; the distribution alone is the decoder library."""
    if (error.name or "asr").partition(".")[0] == "asr":
        raise error
    print(f"asr {command} needs {error.name}: pip install 'ctc-asr[train]'", file=sys.stderr)
    return 2


def _guard(args: argparse.Namespace) -> int:
    """Run the command; turn a user's mistake into one line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter("%(message)s"))
    if sys.stderr.isatty():
        # A terminal has the bar, which lines would break; log.txt has the lines.
        handler.addFilter(lambda record: record.name != "asr.training.monitor.progress")
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    try:
        code = import_module(COMMANDS[args.command][0]).run(args)
        sys.stdout.flush()  # here a reader that left is noticed quietly, at exit with a traceback
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output left, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, OSError, ImportError) as error:
        if os.environ.get("ASR_DEBUG"):
            raise
        print(format_error(args.command, error), file=sys.stderr)
        return 2
