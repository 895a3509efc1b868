"""Pictures of a sweep as inline SVG: its best so far, its trials on all axes, what mattered."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from asr.evaluation.metrics import Metric
from asr.pages.drawing import FIRST, GRID, MUTED, SECOND, TEXT, calm, new_figure, to_svg
from asr.tuning.sweep.dimension import Dimension
from asr.tuning.sweep.study import SweepTrial
from asr.tuning.sweep.table import best_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of the finished trials, the best so many in a hundred are drawn in colour.
TOP = 0.25
# Panels of one row.
_COLUMNS = 4


def draw_history(trials: Sequence[SweepTrial], metric: Metric) -> str:
    """Draw the rate of every trial, and the lowest so far of those that finished."""
    figure = new_figure(3.0)
    axes = figure.subplots()
    for state, color, marker in (("pruned", MUTED, "x"), ("done", FIRST, "o")):
        some = [t for t in trials if t.state == state and t.best is not None]
        numbers, rates = [t.number for t in some], [100 * (t.best or 0.0) for t in some]
        axes.plot(numbers, rates, linestyle="", marker=marker, color=color, markersize=5)
    done = [t for t in trials if t.state == "done" and t.best is not None]
    lowest = list(accumulate((100 * (t.best or 0.0) for t in done), min))
    axes.step([t.number for t in done], lowest, where="post", color=SECOND, linewidth=1.6)
    axes.set_xlabel("trial (o finished, x pruned)", color=MUTED)
    _calm_rates(axes, f"best dev {metric.upper()}, %")
    return to_svg(figure, "history", "Error rate of every trial, and the lowest so far")


def draw_curves(trials: Sequence[SweepTrial], metric: Metric) -> str:
    """Draw the rate of every trial over its epochs, the best trial's on top."""
    figure = new_figure(3.0)
    axes = figure.subplots()
    best = best_of(trials)
    for trial in sorted(trials, key=lambda t: t == best):
        epochs, rates = list(trial.rates), [100 * rate for rate in trial.rates.values()]
        color, width, alpha = _style(trial, best, FIRST if trial.state == "done" else MUTED)
        axes.plot(epochs, rates, color=color, linewidth=width, alpha=alpha)
    axes.set_xlabel("epoch", color=MUTED)
    _calm_rates(axes, f"dev {metric.upper()}, %")
    return to_svg(figure, "curves", "Error rate of every trial over its epochs")


def draw_parallel(
    trials: Sequence[SweepTrial], dimensions: Mapping[str, Dimension], metric: Metric
) -> str:
    """Draw every trial as a line over an axis for each dimension and one for the rate.

    The best quarter of the finished trials is in colour, the best one in another.
    """
    shown = [t for t in trials if t.state in ("done", "pruned") and t.best is not None]
    rates = [100 * (t.best or 0.0) for t in shown]
    low, high = min(rates), max(rates)
    span = (high - low) or 1.0
    done = sorted(t.best or 0.0 for t in shown if t.state == "done")
    limit = done[max(0, round(TOP * len(done)) - 1)] if done else -1.0
    best = best_of(trials)
    figure = new_figure(3.6)
    axes = figure.subplots()
    for trial in sorted(shown, key=lambda t: -(t.best or 0.0)):
        places = [found.place(trial.values[name]) for name, found in dimensions.items()]
        rate = trial.best or 0.0
        good = trial.state == "done" and rate <= limit
        color, width, alpha = _style(trial, best, FIRST if good else MUTED)
        rows = [*places, (100 * rate - low) / span]
        axes.plot(range(len(rows)), rows, color=color, linewidth=width, alpha=alpha)
    ends = [found.ends() for found in dimensions.values()]
    ends.append((f"{low:.2f} %", f"{low + span:.2f} %"))
    for place, (bottom, top) in enumerate(ends):
        axes.axvline(place, color=GRID, linewidth=1.0, zorder=0)
        for height, text, side in ((-0.04, bottom, "top"), (1.04, top, "bottom")):
            axes.text(
                place, height, text, color=TEXT, ha="center", va=side, fontsize=9, parse_math=False
            )
    names = [*dimensions, f"dev {metric.upper()}"]
    axes.set_xticks(range(len(names)), names, parse_math=False)
    axes.set_yticks([])
    axes.set_ylim(-0.15, 1.15)
    calm(axes)
    return to_svg(figure, "parallel", "Every trial as a line over all settings and its error rate")


def draw_importances(importances: Mapping[str, float]) -> str:
    """Draw a bar for each dimension, the one that matters most at the top."""
    names = sorted(importances, key=lambda name: importances[name])
    figure = new_figure(0.6 + 0.3 * len(names))
    axes = figure.subplots()
    axes.barh(range(len(names)), [importances[name] for name in names], color=FIRST)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_xlabel("share of what tells the best quarter from the rest", color=MUTED)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    calm(axes)
    return to_svg(figure, "importances", "How much each setting matters")


def draw_slices(
    trials: Sequence[SweepTrial], dimensions: Mapping[str, Dimension], metric: Metric
) -> str:
    """Draw the rate over each dimension alone."""
    rows = -(-len(dimensions) // _COLUMNS)
    columns = min(len(dimensions), _COLUMNS)
    figure = new_figure(2.6 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
    best = best_of(trials)
    # In this order: the panel after the last one is still to come, and to be hidden.
    for (name, found), axes in zip(dimensions.items(), panels, strict=False):
        for trial in trials:
            if trial.state in ("done", "pruned") and trial.best is not None:
                color = FIRST if trial.state == "done" else MUTED
                axes.plot(
                    found.place(trial.values[name]),
                    100 * trial.best,
                    marker="o" if trial.state == "done" else "x",
                    color=SECOND if trial == best else color,
                    markersize=5,
                )
        axes.set_xlim(-0.08, 1.08)
        axes.set_xticks([0.0, 1.0], found.ends(), parse_math=False)
        axes.set_title(name, loc="left", color=TEXT, fontsize=10, parse_math=False)
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        calm(axes)
    for axes in panels:
        axes.set_visible(False)
    figure.supylabel(f"best dev {metric.upper()}, %", color=MUTED, fontsize=9)
    return to_svg(figure, "slices", "Error rate over each setting")


def _calm_rates(axes: "Axes", label: str) -> None:
    """Finish a chart of rates, from 0 upwards."""
    axes.set_ylabel(label, color=MUTED)
    axes.set_ylim(bottom=0.0)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    calm(axes)


def _style(trial: SweepTrial, best: SweepTrial | None, color: str) -> tuple[str, float, float]:
    """Colour, width and opacity of a trial's line."""
    if trial == best:
        return SECOND, 2.2, 1.0
    return color, 1.0, 0.6
