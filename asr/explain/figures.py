"""Figures of an explanation as inline SVG: rows of one recording on one axis of time.

Spectrograms are grey where a map lies over them: amber where cells count, or add to the score, and
blue where they take from it; the more, the fuller. Both are told apart by every kind of eyes, and
stand on dark ground in a light page as in a dark one.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from asr.evaluation.figures import draw_posteriors
from asr.explain.methods import SaliencyMap
from asr.pages.drawing import MUTED, SECOND, TEXT, WIDTH_IN, calm, new_figure, to_svg
from asr.recognition.transcripts import TimedWord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of a map's cells, the share whose size is below that of the fullest colour.
FULL_COLOUR = 0.995
AMBER, BLUE = (1.0, 0.69, 0.0), (0.30, 0.76, 1.0)
# Brightness of the least and the greatest energy under a map.
GREYS = (0.08, 0.55)
# Of lines on dark ground.
WHITE = (0.95, 0.95, 0.95)
# Points of a waveform that is drawn.
NUM_COLUMNS = 1200


class Scene(NamedTuple):
    """A recording on its axis of time.

    Attributes:
        duration_s: seconds.
        waveform: (L,).
        energies: (T, F) what lies under the maps.
        bins: what F counts: "mel band", ...
        posteriors: (T', C) probabilities; None where one frame stands for the recording.
        output_frame_s: seconds of an output frame.
        tokens: C strings.
        words: all words.
        chosen: those that are explained.
        over_samples: whether maps are of samples, (T, F) a frame's worth at a time.
    """

    duration_s: float
    waveform: np.ndarray
    energies: np.ndarray
    bins: str
    posteriors: np.ndarray | None
    output_frame_s: float
    tokens: Sequence[str]
    words: Sequence[TimedWord]
    chosen: Sequence[TimedWord]
    over_samples: bool


# Height in inches, what draws it, and whether that has dark ground.
Row = tuple[float, Callable[["Axes", Scene], None], bool]


def draw_scene(scene: Scene, maps: Sequence[SaliencyMap], sample_slopes: np.ndarray | None) -> str:
    """Draw waveform, spectrogram, maps and posteriors of a recording, one below the other.

    Args:
        scene: the recording.
        maps: those that there are, (T, F) each.
        sample_slopes: (L,) gradient by the samples, or None.
    """
    rows: list[Row] = [(0.8, _draw_waveform, False), (1.3, _draw_spectrogram, True)]
    if sample_slopes is not None:
        rows.append((0.7, partial(_draw_slopes, slopes=sample_slopes), True))
    rows += [(1.15, partial(_draw_map, found=found), True) for found in maps]
    if scene.posteriors is not None:
        rows.append((1.2, _draw_outputs, False))
    heights = [height for height, _, _ in rows]
    figure = new_figure(sum(heights) + 0.33 * len(rows))
    places = list(figure.subplots(len(rows), 1, sharex=True, height_ratios=heights))
    for axes, (_, draw, dark) in zip(places, rows, strict=True):
        draw(axes, scene)
        for edge in {edge for word in scene.chosen for edge in (word.start_s, word.end_s)}:
            color = WHITE if dark else SECOND
            axes.axvline(edge, color=color, linewidth=0.9, linestyle=(0, (4, 2)))
    places[-1].set_xlim(0.0, scene.duration_s)
    places[-1].set_xlabel("seconds", color=MUTED)
    return to_svg(figure, "scene", "Waveform, spectrogram, saliency maps and posteriors")


def overlay(energies: np.ndarray, values: np.ndarray, *, signed: bool) -> np.ndarray:
    """Lay a map (T, F) over energies (T, F): colours (F, T, 3) in [0, 1]."""
    low, high = np.percentile(energies, (5, 99.5))
    grey = np.clip((energies - low) / max(high - low, 1e-9), 0, 1)
    grey = GREYS[0] + (GREYS[1] - GREYS[0]) * grey
    share = np.clip(np.abs(values) / full_colour(values), 0, 1)[..., None]
    colour = np.where((values < 0)[..., None] & signed, BLUE, AMBER)
    return ((1 - share) * grey[..., None] + share * colour).transpose(1, 0, 2)


def full_colour(values: np.ndarray) -> float:
    """Size of the cells that are drawn in full colour; > 0."""
    size = float(np.quantile(np.abs(values), FULL_COLOUR))
    return size or float(np.abs(values).max()) or 1.0


def columns(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest of each of `count` stretches of (L,); fewer where L is less."""
    edges = np.linspace(0, len(values), min(count, len(values)) + 1).astype(int)[:-1]
    return np.minimum.reduceat(values, edges), np.maximum.reduceat(values, edges)


def _draw_waveform(axes: "Axes", scene: Scene) -> None:
    low, high = columns(scene.waveform, NUM_COLUMNS)
    times = (np.arange(len(low)) + 0.5) * scene.duration_s / len(low)
    axes.fill_between(times, low, high, color=MUTED, linewidth=0.4)
    peak = float(np.abs(scene.waveform).max()) or 1.0
    axes.set_ylim(-1.05 * peak, 1.05 * peak)
    axes.set_ylabel("amplitude", color=MUTED)
    for word in scene.words:
        chosen = word in scene.chosen
        axes.text(
            (word.start_s + word.end_s) / 2,
            1.06,
            word.word,
            color=SECOND if chosen else TEXT,
            fontweight="bold" if chosen else "normal",
            fontsize=9,
            ha="center",
            va="bottom",
            transform=axes.get_xaxis_transform(),
            parse_math=False,
        )
    calm(axes)


def _draw_spectrogram(axes: "Axes", scene: Scene) -> None:
    low, high = np.percentile(scene.energies, (5, 99.5))
    style = {"vmin": low, "vmax": max(high, low + 1e-6), "cmap": "magma"}
    _show(axes, scene, scene.energies.T, style)
    axes.set_ylabel(scene.bins, color=MUTED)


def _draw_slopes(axes: "Axes", scene: Scene, slopes: np.ndarray) -> None:
    sizes = np.abs(slopes)
    _draw_samples(axes, sizes, scene.duration_s)
    _name(axes, "Gradient by the samples", f"highest: {sizes.max():.2g} nats for full scale")


def _draw_outputs(axes: "Axes", scene: Scene) -> None:
    assert scene.posteriors is not None
    draw_posteriors(axes, scene.posteriors, scene.output_frame_s, scene.tokens)
    for word in scene.chosen:
        axes.axvspan(word.start_s, word.end_s, color=SECOND, alpha=0.15, linewidth=0)


def _draw_map(axes: "Axes", scene: Scene, found: SaliencyMap) -> None:
    assert found.values is not None
    values, method = found.values, found.method
    if scene.over_samples:
        samples = values.reshape(-1)[: len(scene.waveform)]
        _draw_samples(axes, samples if method.signed else np.abs(samples), scene.duration_s)
        word, size = "highest", float(np.abs(samples).max())
    else:
        _show(axes, scene, overlay(scene.energies, values, signed=method.signed))
        axes.set_ylabel(scene.bins, color=MUTED)
        word, size = "full colour", full_colour(values)
    unit = f"{size:.2g} {method.unit}" if method.unit != "no unit" else "what counts most"
    _name(axes, method.title, f"{word}: {unit}")


def _draw_samples(axes: "Axes", values: np.ndarray, duration_s: float) -> None:
    """Draw values of samples (L,), above 0 in one colour and below in another."""
    low, high = columns(values, NUM_COLUMNS)
    times = (np.arange(len(low)) + 0.5) * duration_s / len(low)
    # The axes' own ground is left out of a picture that is transparent.
    ground = (GREYS[0], GREYS[0], GREYS[0])
    axes.axvspan(0.0, duration_s, color=ground, linewidth=0)
    axes.fill_between(times, 0, np.maximum(high, 0), color=AMBER, linewidth=0.4)
    axes.fill_between(times, 0, np.minimum(low, 0), color=BLUE, linewidth=0.4)
    size = float(np.abs(values).max()) or 1.0
    axes.set_ylim(-1.05 * size if low.min() < 0 else 0.0, 1.05 * size)
    axes.set_yticks([])
    calm(axes)


def _show(axes: "Axes", scene: Scene, image: np.ndarray, style: dict | None = None) -> None:
    axes.imshow(
        image,
        origin="lower",
        aspect="auto",
        interpolation="none",
        extent=(0.0, scene.duration_s, 0, image.shape[0]),
        **(style or {}),
    )
    calm(axes)


def _name(axes: "Axes", title: str, scale: str) -> None:
    """Name a row, and say what its fullest colour or its highest point stands for."""
    axes.set_title(title, loc="left", color=TEXT, fontsize=9, pad=3)
    axes.set_title(scale, loc="right", color=MUTED, fontsize=8, pad=3)


def draw_image(
    values: np.ndarray,
    duration_s: float,
    title: str,
    ylabel: str,
    *,
    wide: bool,
    limit: float | None = None,
) -> str:
    """Draw rows (H, T) over time, a page wide or half of that; full colour is `limit`."""
    figure = new_figure(2.0 if wide else 1.7, WIDTH_IN if wide else WIDTH_IN / 2)
    axes = figure.subplots()
    image = axes.imshow(
        values,
        origin="lower",
        aspect="auto",
        interpolation="none",
        extent=(0.0, duration_s, 0, len(values)),
        **shades(values, limit),
    )
    bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=12)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MUTED, length=0, labelsize=8)
    axes.set_title(title, loc="left", color=TEXT, fontsize=9, parse_math=False)
    axes.set_ylabel(ylabel, color=MUTED)
    axes.set_xlabel("seconds", color=MUTED, fontsize=8)
    calm(axes)
    return to_svg(figure, title, "Activations over time")


def shades(values: np.ndarray, limit: float | None = None) -> dict:
    """Colours for values of one sign or of both, 0 then in the middle; full at the limit."""
    size = limit or float(np.abs(values).max()) or 1.0
    if values.min() >= 0:
        return {"cmap": "viridis", "vmin": 0.0, "vmax": size}
    return {"cmap": "PuOr", "vmin": -size, "vmax": size}
