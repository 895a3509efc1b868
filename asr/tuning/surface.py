"""A picture of what a search found: word error rate over two options, and over each of them."""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from asr.tuning.search import Trial
from asr.tuning.space import Range, Space

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.tri import Triangulation

PANEL_IN = 3.4
DOTS_PER_INCH = 150
# Rates above this share of the trials would leave no colours for the valley.
SHOWN = 0.8
INK, FAINT, BEST, START = "#222222", "#9a9a9a", "#d62728", "#1f77b4"
COLORS = "viridis_r"
LABELS = {
    "lm_alpha": "lm_alpha, nats per ln P",
    "lm_beta": "lm_beta, nats a word",
    "unk_score": "unk_score, nats an unknown word",
    "hotword_weight": "hotword_weight, nats a word",
    "beam_width": "beam_width, prefixes",
    "token_min_logp": "token_min_logp, nats",
    "beam_prune_logp": "beam_prune_logp, nats",
}


def draw_surface(trials: Sequence[Trial], best: Trial, space: Space, title: str) -> bytes:
    """Draw the error rate over the first two options searched, and over each option.

    The map is linear between the evaluated points, which are shown, and empty where there are none;
    where further options were searched, the lowest rate at a point counts.

    Args:
        trials: all of a search; trial 0 is the decoder before it.
        best: the chosen one.
        space: what was searched.
        title: what the rate was measured on.

    Returns:
        A PNG file.
    """
    from matplotlib.figure import Figure

    names = list(space)
    mapped = len(names) > 1
    columns = len(names) + (2 if mapped else 0)
    # A figure without pyplot has no global state and needs no display.
    figure = Figure(figsize=(PANEL_IN * max(columns, 2), PANEL_IN + 0.6), layout="constrained")
    grid = figure.add_gridspec(1, columns)
    highest = _highest_shown(trials)
    if mapped:
        axes = figure.add_subplot(grid[0, :2])
        _draw_map(figure, axes, trials, best, space, highest)
    for column, name in enumerate(names, start=columns - len(names)):
        _draw_slice(figure.add_subplot(grid[0, column]), trials, best, space, name, highest)
    hidden = sum(t.errors.rate > highest for t in trials)
    note = f"; {hidden} trials above {100 * highest:.1f} % are not told apart" if hidden else ""
    figure.suptitle(f"{title}: {len(trials)} trials{note}", color=INK, fontsize=10)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=DOTS_PER_INCH)
    return picture.getvalue()


def _highest_shown(trials: Sequence[Trial]) -> float:
    """Rate where the scales end: trial 0 and the best lie below, and most of the others."""
    rates = [t.errors.rate for t in trials]
    highest = max(float(np.quantile(rates, SHOWN)), trials[0].errors.rate)
    return highest if highest > min(rates) else min(rates) + 0.01


def _draw_map(
    figure: "Figure",
    axes: "Axes",
    trials: Sequence[Trial],
    best: Trial,
    space: Space,
    highest: float,
) -> None:
    first, second = list(space)[:2]
    lowest_at: dict[tuple[float, float], float] = {}
    for trial in trials:
        point = trial.options[first], trial.options[second]
        if all(
            space[n].low <= x <= space[n].high for n, x in zip((first, second), point, strict=True)
        ):
            lowest_at[point] = min(trial.errors.rate, lowest_at.get(point, math.inf))
    points = np.array(list(lowest_at))  # (K, 2)
    rates = 100 * np.array(list(lowest_at.values()))  # (K,)
    levels = np.linspace(rates.min(), 100 * highest, 13)
    triangles = _triangulate(points, space[first], space[second])
    if triangles is not None:
        axes.tricontourf(triangles, rates, levels=levels, cmap=COLORS, extend="max")
    dots = axes.scatter(
        *points.T,
        c=rates,
        cmap=COLORS,
        vmin=levels[0],
        vmax=levels[-1],
        s=14,
        edgecolors=INK,
        linewidths=0.4,
    )
    figure.colorbar(dots, ax=axes, extend="max", label="error rate, %")
    for trial, mark, color, name in (
        (trials[0], "s", START, "before"),
        (best, "*", BEST, "best"),
    ):
        x, y = trial.options[first], trial.options[second]
        if math.isfinite(x) and math.isfinite(y):
            axes.scatter(x, y, marker=mark, color=color, s=130, edgecolors="white", label=name)
    axes.legend(loc="upper right", fontsize=8, framealpha=0.8)
    _name_axes(axes, first, second, space)


def _triangulate(points: np.ndarray, first: Range, second: Range) -> "Triangulation | None":
    """Join points (K, 2) to triangles; None where all lie on a line."""
    from matplotlib.tri import Triangulation

    # Neighbours are nearest in parts of the ranges: options have different units.
    places = np.array([[first.place(x), second.place(y)] for x, y in points])  # (K, 2)
    if np.linalg.matrix_rank(places - places[0], tol=1e-3) < 2:
        return None
    triangles = Triangulation(places[:, 0], places[:, 1]).triangles
    return Triangulation(points[:, 0], points[:, 1], triangles)


def _draw_slice(
    axes: "Axes", trials: Sequence[Trial], best: Trial, space: Space, name: str, highest: float
) -> None:
    """Draw every trial over one option."""
    for some, color, mark, size in (
        (trials, FAINT, "o", 12),
        (trials[:1], START, "s", 50),
        ([best], BEST, "*", 130),
    ):
        shown = [t for t in some if t.errors.rate <= highest and math.isfinite(t.options[name])]
        values, rates = [t.options[name] for t in shown], [100 * t.errors.rate for t in shown]
        axes.scatter(values, rates, color=color, marker=mark, s=size, linewidths=0)
    _name_axes(axes, name, "", space)
    axes.set_ylabel("error rate, %", color=INK, fontsize=9)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)


def _name_axes(axes: "Axes", first: str, second: str, space: Space) -> None:
    axes.set_xlabel(LABELS[first], color=INK, fontsize=9)
    if space[first].log:
        axes.set_xscale("log")
    if second:
        axes.set_ylabel(LABELS[second], color=INK, fontsize=9)
        if space[second].log:
            axes.set_yscale("log")
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)
