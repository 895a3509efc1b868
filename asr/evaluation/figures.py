"""Figures of a report as inline SVG that takes its colours from the page, light or dark.

Matplotlib is imported when the first figure is drawn: nothing else in the package needs it.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from asr.pages.drawing import (
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
from asr.recognition.transcripts import TimedWord
from asr.text import BLANK, WORD_START

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Points of a line that are still marked one by one.
MOST_MARKS = 60
# Labels whose posterior never gets that far are not drawn: they lie on the axis.
MIN_DRAWN_POSTERIOR = 0.02
# Labels of a clip that are drawn.
MOST_LABELS = 10


class Curve(NamedTuple):
    """A line of a chart, over the epochs or over places of its own."""

    label: str
    values: list[float]
    epochs: list[float]
    color: str = FIRST
    faint: bool = False  # drawn thin and without its name


class Chart(NamedTuple):
    """Lines of one quantity."""

    title: str
    curves: list[Curve]


class Posteriors(NamedTuple):
    """What a model made of an utterance: probabilities (T, C), and when it did."""

    title: str
    probabilities: np.ndarray


def draw_chart(chart: Chart) -> str:
    """Draw a chart over the epochs, half a page wide."""
    figure = new_figure(3.0, WIDTH_IN / 2)
    _draw_curves(figure.subplots(), chart)
    return to_svg(figure, chart.title, chart.title)


def draw_utterance(
    energies: np.ndarray,
    frame_s: float,
    posteriors: np.ndarray,
    output_frame_s: float,
    words: Sequence[TimedWord],
    tokens: Sequence[str],
) -> str:
    """Draw log energies (T, F) above posteriors (T', C), the decoded words at their times."""
    figure = new_figure(4.6)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    duration_s = len(energies) * frame_s
    low, high = np.percentile(energies, (5, 99.5))
    top.imshow(
        energies.T,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(0.0, duration_s, 0, energies.shape[1]),
        vmin=low,
        vmax=max(high, low + 1e-6),
        cmap="magma",
    )
    top.set_ylabel("band", color=MUTED)
    calm(top)
    draw_posteriors(bottom, posteriors, output_frame_s, tokens)
    for word in words:
        _draw_word(top, bottom, word)
    bottom.set_xlim(0.0, duration_s)
    bottom.set_xlabel("seconds", color=MUTED)
    return to_svg(figure, "utterance", "Spectrogram, posteriors and decoded words")


def draw_snapshots(
    snapshots: Sequence[Posteriors], output_frame_s: float, tokens: Sequence[str]
) -> str:
    """Draw one utterance's posteriors at several moments of training, one below the other."""
    figure = new_figure(0.5 + 1.35 * len(snapshots))
    rows = figure.subplots(len(snapshots), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, probabilities) in zip(rows, snapshots, strict=True):
        draw_posteriors(axes, probabilities, output_frame_s, tokens)
        axes.set_title(title, loc="left", color=TEXT, fontsize=10, parse_math=False)
    rows[-1].set_xlim(0.0, len(snapshots[0].probabilities) * output_frame_s)
    rows[-1].set_xlabel("seconds", color=MUTED)
    # Several such figures may share a page, and all but one of them be hidden.
    name = " ".join(title for title, _ in snapshots)
    return to_svg(figure, name, "Posteriors of one utterance after some epochs")


def draw_labels(
    probabilities: np.ndarray, tokens: Sequence[str], chosen: Collection[int] = ()
) -> str:
    """Draw the probabilities (C,) of a clip's most probable labels, and of those that are chosen.

    Args:
        probabilities: of every label.
        tokens: C strings.
        chosen: labels that stand out.
    """
    order: list[int] = np.argsort(-probabilities, kind="stable").tolist()
    shown = [label for n, label in enumerate(order) if n < MOST_LABELS or label in chosen]
    values = probabilities[shown]
    figure = new_figure(0.6 + 0.28 * len(shown))
    axes = figure.subplots()
    colors = [SECOND if label in chosen else FIRST for label in shown]
    axes.barh(np.arange(len(shown)), values, color=colors, height=0.7)
    for place, value in enumerate(values):
        axes.text(value + 0.01, place, f"{100 * value:.2g} %", color=TEXT, fontsize=9, va="center")
    names = [tokens[label].removeprefix(WORD_START) for label in shown]
    if BLANK in shown:
        names[shown.index(BLANK)] = "none of the labels"
    axes.set_yticks(np.arange(len(shown)), names, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0.0, 1.1)
    axes.set_xticks([0.0, 0.5, 1.0])
    axes.set_xlabel("probability", color=MUTED)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    calm(axes)
    return to_svg(figure, f"labels {values}", "Probabilities of labels")


def _draw_curves(axes: "Axes", chart: Chart) -> None:
    """Draw lines and name each at its end; a legend would send the eye back and forth."""
    from matplotlib.ticker import MaxNLocator

    for curve in chart.curves:
        width, alpha = (0.8, 0.45) if curve.faint else (1.6, 1.0)
        marker = "o" if len(curve.values) <= MOST_MARKS and not curve.faint else ""
        axes.plot(
            curve.epochs,
            curve.values,
            color=curve.color,
            marker=marker,
            markersize=3,
            linewidth=width,
            alpha=alpha,
        )
    named = [curve for curve in chart.curves if not curve.faint]
    highest = max(max(curve.values) for curve in named)
    top = 1.05 * highest or 1.0
    # Names of lines that end close together are pushed apart, in axes heights.
    place = -1.0
    for curve in sorted(named, key=lambda curve: curve.values[-1]):
        place = max(place + 0.075, curve.values[-1] / top)
        axes.text(
            1.01,
            place,
            curve.label,
            color=curve.color,
            transform=axes.transAxes,
            va="center",
            parse_math=False,
        )
    axes.set_ylim(0.0, top)
    axes.set_title(chart.title, loc="left", color=TEXT, fontsize=10)
    axes.set_xlabel("epoch", color=MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    calm(axes)


def draw_posteriors(
    axes: "Axes", probabilities: np.ndarray, frame_s: float, tokens: Sequence[str]
) -> None:
    """Draw every label's posterior over time, the blank's dashed, a name at every spike."""
    times = np.arange(len(probabilities)) * frame_s
    axes.plot(times, probabilities[:, BLANK], color=MUTED, linewidth=1.0, linestyle=(0, (3, 2)))
    for label in range(len(tokens)):
        curve = probabilities[:, label]
        if label != BLANK and curve.max() > MIN_DRAWN_POSTERIOR:
            axes.plot(times, curve, color=FIRST, linewidth=1.1)
            axes.fill_between(times, curve, color=FIRST, alpha=0.25, linewidth=0)
    for frame, label in _spikes(probabilities):
        name = "\N{OPEN BOX}" if tokens[label] == " " else tokens[label]
        axes.text(
            times[frame],
            1.04,
            name,
            color=TEXT,
            fontsize=8,
            ha="center",
            va="bottom",
            parse_math=False,
        )
    axes.set_ylim(0.0, 1.25)
    axes.set_yticks([0.0, 0.5, 1.0])
    axes.set_ylabel("posterior", color=MUTED)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    calm(axes)


def _spikes(probabilities: np.ndarray) -> list[tuple[int, int]]:
    """Return (frame, label) of the middle of the peak of every run of a label on the best path."""
    path = probabilities.argmax(axis=1)
    borders = np.flatnonzero(np.diff(path, prepend=-1, append=-1)).tolist()
    spikes = []
    for start, end in pairwise(borders):
        label = int(path[start])
        if label != BLANK:
            run = probabilities[start:end, label]
            peak = np.flatnonzero(run >= 0.95 * run.max())
            spikes.append((start + int(peak[len(peak) // 2]), label))
    return spikes


def _draw_word(top: "Axes", bottom: "Axes", word: TimedWord) -> None:
    """Name a word above the spectrogram and shade its time in the posteriors."""
    middle = (word.start_s + word.end_s) / 2
    top.text(
        middle,
        1.03,
        word.word,
        color=TEXT,
        ha="center",
        va="bottom",
        transform=top.get_xaxis_transform(),
        parse_math=False,
    )
    bottom.axvspan(word.start_s, word.end_s, color=SECOND, alpha=0.15, linewidth=0)
