"""sweep.html: the trials of a sweep as a table and as pictures, in one file."""

from collections.abc import Mapping, Sequence

from asr.evaluation.metrics import Metric
from asr.pages.template import render
from asr.tuning.sweep.charts import (
    draw_curves,
    draw_history,
    draw_importances,
    draw_parallel,
    draw_slices,
)
from asr.tuning.sweep.dimension import Dimension
from asr.tuning.sweep.study import SweepTrial
from asr.tuning.sweep.table import best_of, sort_trials, table_header, table_row


def render_page(
    name: str,
    trials: Sequence[SweepTrial],
    dimensions: Mapping[str, Dimension],
    importances: Mapping[str, float],
    metric: Metric,
    command: str | None,
) -> str:
    """Render the page of a sweep.

    Args:
        name: of the sweep.
        trials: all so far.
        dimensions: what is searched, by name.
        importances: of the dimensions; empty where they are not known yet.
        metric: what the rates count.
        command: trains with the best settings; None where no trial has finished.
    """
    names = list(dimensions)
    rated = any(trial.state in ("done", "pruned") for trial in trials)
    best = best_of(trials)
    return render(
        "asr.tuning.sweep",
        "sweep.html.j2",
        name=name,
        tiles=_tiles(trials, metric),
        command=command,
        space=[(found.name, found.describe()) for found in dimensions.values()],
        history=draw_history(trials, metric) if rated else None,
        curves=draw_curves(trials, metric) if rated else None,
        parallel=draw_parallel(trials, dimensions, metric) if rated else None,
        slices=draw_slices(trials, dimensions, metric) if rated else None,
        importances=draw_importances(importances) if importances else None,
        header=table_header(names, metric),
        rows=[table_row(trial, names) for trial in sort_trials(trials)],
        best=[] if best is None else [0],
    )


def _tiles(trials: Sequence[SweepTrial], metric: Metric) -> list[tuple[str, str]]:
    best = best_of(trials)
    counts = {state: sum(t.state == state for t in trials) for state in ("done", "pruned")}
    failed = sum(trial.state == "failed" for trial in trials)
    hours = sum(trial.seconds or 0.0 for trial in trials) / 3600
    tiles = [
        (f"{len(trials)}", "trials"),
        (f"{counts['done']}", "trained to their end"),
        (f"{counts['pruned']}", "pruned"),
        (f"{failed}", "failed"),
        (f"{hours:.1f} h", "of training"),
    ]
    if best is not None and best.best is not None:
        tiles.insert(0, (f"{100 * best.best:.2f} %", f"best dev {metric.upper()}"))
    return tiles
