"""What came of several runs in one go: a table, or JSON."""

import json
from collections.abc import Sequence
from pathlib import Path

from asr.evaluation.metrics import order_metrics
from asr.evaluation.results import read_scores, score_record, table_header, table_rows
from asr.evaluation.run_record import common_metric, metric_of, read_config, read_run
from asr.evaluation.table import format_table
from asr.files import printable

Jobs = Sequence[tuple[str, Path]]


def show_trained(jobs: Jobs, *, as_json: bool) -> None:
    """Print the best validation of each run, best run first."""
    found = [(variant, folder, read_run(folder)) for variant, folder in jobs]
    rows = [(v, f, run.best, run.history[-1]["epoch"]) for v, f, run in found if run.best]
    metric = common_metric(run.metric for _, _, run in found)
    first, *others = shown = order_metrics(metric)
    rows.sort(key=lambda row: (row[2][f"dev_{metric}"], row[2]["dev_loss"]))
    if as_json:
        print(
            json.dumps([{"run": v, "run_dir": str(f), "best": b} for v, f, b, _ in rows], indent=2)
        )
        return
    table = [
        (
            printable(variant),
            *(f"{100 * best[f'dev_{name}']:.2f}" for name in shown),
            f"{best['dev_loss']:.2f}",
            f"{best['train_loss']:.2f}",
            f"{best['epoch']:g}",
            f"{epochs:g}",
        )
        for variant, _, best, epochs in rows
    ]
    rates = (f"best dev {first.upper()} %", *(f"dev {name.upper()} %" for name in others))
    header = ("run", *rates, "dev loss", "train loss", "epoch", "of")
    print(format_table([header, *table]), end="")


def show_decoded(jobs: Jobs, *, as_json: bool) -> None:
    """Print the scores of each decoding, lowest rate first.

    The rate is of characters where all of them showed these first, otherwise of words.
    """
    rows = [
        (variant, folder, decoder, score)
        for variant, folder in jobs
        for decoder, score in read_scores(folder / "scores.json").items()
    ]
    metric = common_metric(metric_of(read_config(f / "config.yaml")) for _, f in jobs)
    rows.sort(key=lambda row: row[3].error_rate(metric).rate)
    if as_json:
        records = [
            {"run": v, "output_dir": str(f), "decoder": d} | score_record(s, metric)
            for v, f, d, s in rows
        ]
        print(json.dumps(records, indent=2))
        return
    table = [(printable(v), *table_rows({d: s}, metric)[0]) for v, _, d, s in rows]
    print(format_table([("run", *table_header(metric)), *table], left=(0, 1)), end="")
