"""What came of several runs in one go: a table, or JSON."""

import json
from collections.abc import Sequence
from pathlib import Path

from asr.evaluation.results import HEADER, read_scores, score_record, table_rows
from asr.evaluation.run_record import read_run
from asr.evaluation.table import format_table
from asr.files import printable

Jobs = Sequence[tuple[str, Path]]
TRAIN_HEADER = ("run", "best dev WER %", "dev CER %", "dev loss", "train loss", "epoch", "of")


def show_trained(jobs: Jobs, *, as_json: bool) -> None:
    """Print the best validation of each run, best run first."""
    found = [(variant, folder, read_run(folder)) for variant, folder in jobs]
    rows = [(v, f, run.best, run.history[-1]["epoch"]) for v, f, run in found if run.best]
    rows.sort(key=lambda row: (row[2]["dev_wer"], row[2]["dev_loss"]))
    if as_json:
        print(
            json.dumps([{"run": v, "run_dir": str(f), "best": b} for v, f, b, _ in rows], indent=2)
        )
        return
    table = [
        (
            printable(variant),
            f"{100 * best['dev_wer']:.2f}",
            f"{100 * best['dev_cer']:.2f}",
            f"{best['dev_loss']:.2f}",
            f"{best['train_loss']:.2f}",
            f"{best['epoch']:g}",
            f"{epochs:g}",
        )
        for variant, _, best, epochs in rows
    ]
    print(format_table([TRAIN_HEADER, *table]), end="")


def show_decoded(jobs: Jobs, *, as_json: bool) -> None:
    """Print the scores of each decoding, fewest word errors first."""
    rows = [
        (variant, folder, decoder, score)
        for variant, folder in jobs
        for decoder, score in read_scores(folder / "scores.json").items()
    ]
    rows.sort(key=lambda row: row[3].wer.rate)
    if as_json:
        records = [
            {"run": v, "output_dir": str(f), "decoder": d} | score_record(s) for v, f, d, s in rows
        ]
        print(json.dumps(records, indent=2))
        return
    table = [(printable(v), *table_rows({d: s})[0]) for v, _, d, s in rows]
    print(format_table([("run", *HEADER), *table], left=(0, 1)), end="")
