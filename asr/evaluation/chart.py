"""Curves of a training in a terminal, drawn with characters."""

from collections.abc import Sequence

import numpy as np

from asr.evaluation.figures import Curve
from asr.evaluation.metrics import order_metrics
from asr.evaluation.run_record import RunRecord

MARKS = "•·"


def draw_run(run: RunRecord, width: int, height: int = 10) -> str:
    """Draw losses and dev error rates of a run, one chart above the other.

    Args:
        width: columns, at least 30.
        height: lines of a chart without its axis.
    """
    if not run.history:
        return f"{run.name}: no validation yet\n"
    losses = [_curve("dev", run, "dev_loss"), _curve("train", run, "train_loss")]
    metrics = sorted(order_metrics(run.metric), reverse=True)
    rates = [_curve(metric.upper(), run, f"dev_{metric}", 100) for metric in metrics]
    name, key = run.metric.upper(), f"dev_{run.metric}"
    last, best = run.history[-1], run.best or run.history[-1]
    return "\n".join(
        [
            f"{run.name}: epoch {last['epoch']:g}, {name} {100 * last[key]:.2f} %, "
            f"best {100 * best[key]:.2f} % (epoch {best['epoch']:g})",
            draw_chart("loss, nats an utterance", losses, width, height),
            draw_chart("dev error rate, %", rates, width, height),
        ]
    )


def draw_chart(title: str, curves: Sequence[Curve], width: int, height: int) -> str:
    """Draw two curves over the same epochs, from 0 to their maximum; the first lies on top."""
    xs = curves[0].epochs
    top = max(max(curve.values) for curve in curves) or 1.0
    label = max(len(f"{top:.3g}"), 1)
    columns = max(width, 30) - label - 2
    grid = np.full((height, columns), " ")
    places = np.linspace(xs[0], xs[-1], columns)
    for curve, mark in reversed(list(zip(curves, MARKS, strict=False))):
        heights = np.interp(places, xs, curve.values) / top * (height - 1)
        grid[height - 1 - heights.round().astype(int), np.arange(columns)] = mark
    names = ", ".join(f"{m} {c.label}" for c, m in zip(curves, MARKS, strict=False))
    lines = [f"{title} ({names})"]
    for row in range(height):
        value = {0: f"{top:.3g}", height - 1: "0"}.get(row, "")
        lines.append(f"{value:>{label}} ┤{''.join(grid[row])}".rstrip())
    first, last = f"{xs[0]:.3g}", f"{xs[-1]:.4g}"
    lines.append(f"{' ' * (label + 2)}{first}{last:>{columns - len(first) - 6}} epoch")
    return "\n".join(lines) + "\n"


def _curve(label: str, run: RunRecord, key: str, scale: float = 1.0) -> Curve:
    epochs = [row["epoch"] for row in run.history]
    return Curve(label, [scale * row[key] for row in run.history], epochs)
