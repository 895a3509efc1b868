"""`asr report`: what came of one run or several, as a page, in the terminal or as JSON."""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from asr.cli.run_folder import is_held
from asr.evaluation.advice import advise
from asr.evaluation.chart import draw_run
from asr.evaluation.report import read_runs, write_report
from asr.evaluation.run_record import RunRecord, read_run
from asr.evaluation.summary import format_runs, runs_record
from asr.files import printable

EXAMPLE = """examples:
  asr report runs/digits                       writes runs/digits/report.html
  asr report runs/small runs/large -o both.html
  asr report runs/digits --watch               curves in the terminal, until training ends
  asr report runs/small runs/large --json

The page holds everything itself, recordings included, and opens without a network."""

# Seconds between two looks at a run.
WATCH_S = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    parser.add_argument("run", nargs="+", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "-o", "--out", type=Path, help="the page (default, of one run: RUN/report.html)"
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--watch", action="store_true", help="draw the curves here until training ends; no page"
    )
    shown.add_argument("--json", action="store_true", help="print JSON; no page without -o")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.watch:
        if len(args.run) > 1 or args.out:
            raise ValueError("--watch draws one run and writes no page")
        watch(args.run[0])
        return 0
    out = args.out
    if out is None and not args.json:
        if len(args.run) > 1:
            raise ValueError(f"of {len(args.run)} runs: give the page's name with -o FILE")
        out = args.run[0] / "report.html"
    runs = read_runs(args.run) if out is None else write_report(args.run, out)
    if args.json:
        print(json.dumps(runs_record(runs), indent=2))
        return 0
    print(format_runs(runs), end="")
    print_advice(runs)
    print(f"report: {printable(str(out))}")
    return 0


def print_advice(runs: list[RunRecord]) -> None:
    """Print what to do next, with the run's name where there are several."""
    for record in runs:
        for piece in advise(record):
            name = f"{record.name}: " if len(runs) > 1 else ""
            print(printable(f"next: {name}{piece}"))


def watch(path: Path) -> None:
    """Draw a run's curves, again whenever there is something new, until nobody trains it."""
    shown = ""
    while True:
        held = is_held(path)  # asked first: what is written before the end is still seen
        chart = draw_run(read_run(path), shutil.get_terminal_size((80, 24)).columns)
        if chart != shown:
            clear = "\x1b[H\x1b[2J" if sys.stdout.isatty() else ""
            print(clear + "\n".join(map(printable, chart.split("\n"))), flush=True)
            shown = chart
        if not held:
            return
        time.sleep(WATCH_S)
