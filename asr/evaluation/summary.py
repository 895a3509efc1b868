"""What came of runs in numbers: for a terminal and for programs."""

from collections.abc import Sequence
from typing import Any

from asr.evaluation.advice import advise
from asr.evaluation.comparison import compare_results, comparison_record
from asr.evaluation.error_tables import NUM_WORST, common_confusions, read_columns, tables
from asr.evaluation.errors import worst_first
from asr.evaluation.metrics import order_metrics
from asr.evaluation.options import differing
from asr.evaluation.results import score_record, table_header, table_rows
from asr.evaluation.run_record import RunRecord, common_metric
from asr.evaluation.table import format_table
from asr.files import printable


def format_runs(runs: Sequence[RunRecord]) -> str:
    """Lay out how runs were trained and what they decoded, a table each."""
    metric = common_metric(run.metric for run in runs)
    first, *others = shown = order_metrics(metric)
    header = (f"best dev {first.upper()} %", *(f"dev {m.upper()} %" for m in others), "dev loss")
    rows: list[tuple[str, ...]] = [("run", "epochs", *header)]
    for run in runs:
        best = run.best
        numbers = ("-",) * (1 + len(header))
        if best:
            rates = [f"{100 * best[f'dev_{name}']:.2f}" for name in shown]
            numbers = (f"{run.history[-1]['epoch']:g}", *rates, f"{best['dev_loss']:.2f}")
        rows.append((printable(run.name), *numbers))
    decoded = [
        tuple(map(printable, (run.name, r.set, *table_rows({r.decoder: r.score}, metric)[0])))
        for run in runs
        for r in run.results
        if r.score
    ]
    text = format_table(rows)
    if decoded:
        columns = ("run", "set", *table_header(metric))
        text += "\n" + format_table([columns, *decoded], left=(0, 1, 2))
    return text


def runs_record(runs: Sequence[RunRecord]) -> dict[str, Any]:
    """JSON object of everything a report measures."""
    metric = common_metric(run.metric for run in runs)
    columns = read_columns(runs, metric)
    comparisons = [
        comparison_record(compare_results(found[0].result, other.result, metric))
        | {"first_run": found[0].name, "second_run": other.name}
        for found in columns.values()
        for other in found[1:]
    ]
    return {
        "runs": [_run_record(run) for run in runs],
        "options": differing([run.config for run in runs]),
        "comparisons": comparisons,
        "sets": [
            {
                "name": name,
                "systems": [column.name for column in found],
                "tables": [table._asdict() for table in tables(found, metric)],
                "confusions": common_confusions(found),
                "worst": [
                    {"system": c.name, "id": a.id, "errors": a.num_errors, a.units: a.num_units}
                    for c in found
                    for a in worst_first(c.aligned)[:NUM_WORST]
                    if a.num_errors
                ],
            }
            for name, found in columns.items()
        ],
    }


def _run_record(run: RunRecord) -> dict[str, Any]:
    return {
        "name": run.name,
        "path": str(run.path),
        "history": run.history,
        "metric": run.metric,
        "best": run.best,
        "results": [
            {"set": r.set, "decoder": r.decoder} | score_record(r.score, run.metric)
            for r in run.results
            if r.score
        ],
        "advice": [piece._asdict() for piece in advise(run)],
    }
