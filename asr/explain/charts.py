"""Charts of an explanation's checks, of weights and of learnt filters, as inline SVG."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from asr.explain.deletion import Deletions
from asr.explain.filters import Responses
from asr.explain.methods import METHODS
from asr.explain.randomisation import Randomisation
from asr.explain.weights import Matrix
from asr.pages.drawing import (
    COLORS,
    FIRST,
    GRID,
    MUTED,
    SECOND,
    TEXT,
    WIDTH_IN,
    calm,
    new_figure,
    to_svg,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of each method, besides its colour.
MARKS = ("o", "s", "^", "D", "v", "P")
STYLES: Mapping[str, tuple[str, str]] = dict(
    zip(METHODS, zip(COLORS, MARKS, strict=True), strict=True)
)


def draw_deletions(found: Deletions) -> str:
    """Draw what is left of a word while frames are taken out, by every method and at random."""
    figure = new_figure(3.2)
    axes = figure.subplots()
    percent = 100 * found.shares
    low, high = found.random.min(0), found.random.max(0)
    axes.fill_between(percent, low, high, color=MUTED, alpha=0.2, linewidth=0)
    axes.plot(
        percent, found.random.mean(0), color=TEXT, linestyle=(0, (4, 2)), label="drawn at random"
    )
    for name, curve in found.curves.items():
        _plot(axes, percent, curve, name)
    axes.set_xlabel("frames taken out, %", color=MUTED)
    axes.set_ylabel("probability of the word's labels", color=MUTED)
    axes.set_ylim(0.0, 1.05)
    _finish(axes)
    return to_svg(figure, "deletions", "Probability of the word while frames are taken out")


def draw_randomisation(found: Randomisation) -> str:
    """Draw how alike the maps stay while layers lose what they learnt."""
    figure = new_figure(3.4)
    axes = figure.subplots()
    places = np.arange(len(found.stages) + 1)
    for name, correlations in found.correlations.items():
        _plot(axes, places, np.concatenate([[1.0], correlations]), name)
        color, _ = STYLES[name]
        floor = [found.floor[name]] * 2
        axes.plot([places[-1] + 0.6, places[-1] + 1.0], floor, color=color, linewidth=1.6)
    ticks = [*places, places[-1] + 0.8]
    axes.set_xticks(ticks, ["trained", *found.stages, "two random"], rotation=20, ha="right")
    axes.axhline(0.0, color=MUTED, linewidth=0.8)
    axes.set_ylabel("rank correlation", color=MUTED)
    _finish(axes)
    return to_svg(figure, "randomisation", "Likeness of the maps while weights become random")


def draw_matrix(matrix: Matrix) -> str:
    """Draw the histogram of a matrix's weights and its singular values."""
    figure = new_figure(2.0, WIDTH_IN / 2)
    left, right = figure.subplots(1, 2)
    middles = (matrix.edges[1:] + matrix.edges[:-1]) / 2
    left.fill_between(middles, matrix.counts, step="mid", color=FIRST, alpha=0.6, linewidth=0)
    left.set_yticks([])
    left.set_xlabel("weight", color=MUTED, fontsize=8)
    left.set_ylabel("how many", color=MUTED, fontsize=8)
    numbers = np.arange(1, len(matrix.singular_values) + 1)
    right.plot(numbers, matrix.singular_values, color=SECOND, linewidth=1.4)
    right.set_ylim(bottom=0.0)
    right.set_xlabel("number", color=MUTED, fontsize=8)
    right.set_ylabel("singular value", color=MUTED, fontsize=8)
    for axes in (left, right):
        axes.grid(color=GRID, linewidth=0.8)
        calm(axes)
    return to_svg(figure, matrix.name, "Histogram of weights, and singular values")


def draw_responses(found: Responses) -> str:
    """Draw the responses of learnt filters, lowest first, and centres beside the mel scale."""
    figure = new_figure(3.2)
    left, right = figure.subplots(1, 2)
    left.imshow(
        found.magnitudes.T,
        origin="lower",
        aspect="auto",
        interpolation="none",
        extent=(0, len(found.centres), 0.0, found.frequencies[-1] / 1000),
        cmap="magma",
        vmin=0.0,
        vmax=1.0,
    )
    left.set_ylabel("kHz", color=MUTED)
    numbers = np.arange(len(found.centres))
    right.plot(numbers, found.mel_centres / 1000, color=MUTED, linestyle=(0, (4, 2)), label="mel")
    right.plot(numbers, found.centres / 1000, color=FIRST, marker="o", markersize=3, label="learnt")
    for axes in (left, right):
        axes.set_xlabel("filter, by its centre", color=MUTED)
    _finish(right)
    calm(left)
    return to_svg(figure, "filters", "Frequency responses of learnt filters, and their centres")


def _plot(axes: "Axes", places: np.ndarray, values: np.ndarray, name: str) -> None:
    color, mark = STYLES[name]
    axes.plot(
        places,
        values,
        color=color,
        marker=mark,
        markersize=3.5,
        linewidth=1.4,
        label=METHODS[name].title,
    )


def _finish(axes: "Axes") -> None:
    """Name the lines beside the chart, where they cover nothing."""
    axes.legend(
        frameon=False,
        fontsize=8,
        labelcolor="linecolor",
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
    )
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    calm(axes)
