"""Histograms of a corpus as inline SVG."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from asr.pages.drawing import FIRST, GRID, MUTED, TEXT, calm, new_figure, to_svg

_BINS = 40
# Bars of so many characters, the commonest.
MAX_CHARACTERS = 60


class Histogram(NamedTuple):
    """Values to be counted, and what they are."""

    title: str
    unit: str
    values: Sequence[float]


def draw_histograms(histograms: Sequence[Histogram]) -> str:
    """Draw histograms side by side, each from its least value to its greatest."""
    figure = new_figure(2.7)
    row = figure.subplots(1, len(histograms), squeeze=False)[0]
    for axes, (title, unit, values) in zip(row, histograms, strict=True):
        array = np.asarray(values, dtype=np.float64)
        low, high = float(array.min()), float(array.max())
        axes.hist(array, bins=_BINS, range=(low, high if high > low else low + 1), color=FIRST)
        axes.set_title(title, loc="left", color=TEXT, fontsize=10)
        axes.set_xlabel(unit, color=MUTED)
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        calm(axes)
    return to_svg(figure, "histograms", ", ".join(title for title, _, _ in histograms))


def draw_characters(counts: Mapping[str, int]) -> str:
    """Draw how often each character occurs, the commonest first, on a logarithmic scale."""
    shown = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_CHARACTERS]
    from matplotlib.ticker import LogLocator

    figure = new_figure(2.4)
    axes = figure.subplots()
    places = range(len(shown))
    axes.bar(places, [count for _, count in shown], color=FIRST)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:.0f}")
    axes.minorticks_off()
    names = ["\N{OPEN BOX}" if character == " " else character for character, _ in shown]
    axes.set_xticks(places, names, parse_math=False)
    axes.set_title("characters", loc="left", color=TEXT, fontsize=10)
    axes.set_ylabel("times", color=MUTED)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    calm(axes)
    return to_svg(figure, "characters", "How often each character occurs")
