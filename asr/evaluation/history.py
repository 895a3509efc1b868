"""Figures of how trainings went: losses, error rates and pace over the epochs."""

from collections.abc import Sequence
from typing import Any

from asr.evaluation.figures import Chart, Curve, draw_chart
from asr.evaluation.metrics import order_metrics
from asr.evaluation.run_record import RunRecord, common_metric
from asr.pages.drawing import COLORS, FIRST, SECOND

# Points of a line by step; a longer one is thinned out.
MOST_POINTS = 400


def draw_history(runs: Sequence[RunRecord]) -> list[str]:
    """Draw losses in nats and dev error rates in percent; nothing where no epoch has ended.

    One run has lines for train and dev, WER and CER or PER; several have a line each, for dev and
    the rate that chose their weights.
    """
    runs = [run for run in runs if run.history]
    if not runs:
        return []
    if len(runs) == 1:
        (run,) = runs
        losses = [_line("train", run, "train_loss"), _line("dev", run, "dev_loss", color=SECOND)]
        rates = [
            _line(metric.upper(), run, f"dev_{metric}", 100, color)
            for metric, color in zip(
                sorted(order_metrics(run.metric), reverse=True), (FIRST, SECOND), strict=False
            )
        ]
        losses += [_steps("", run, "loss", FIRST, faint=True)] if run.steps else []
        title, quantity = "loss, nats an utterance", "dev error rate, %"
    else:
        colored = list(zip(runs, COLORS, strict=False))
        losses = [_line(run.name, run, "dev_loss", color=color) for run, color in colored]
        losses += [
            _line("", run, "train_loss", color=color)._replace(faint=True) for run, color in colored
        ]
        metric = common_metric(run.metric for run in runs)
        rates = [_line(run.name, run, f"dev_{metric}", 100, color) for run, color in colored]
        quantity = f"dev {metric.upper()}, %"
        title = "dev loss, nats an utterance (thin: train)"
    return [draw_chart(Chart(title, losses)), draw_chart(Chart(quantity, rates))]


def draw_pace(runs: Sequence[RunRecord]) -> list[str]:
    """Draw gradient norm, learning rate and speed by step; nothing where no step was logged."""
    shown = [(run, color) for run, color in zip(runs, COLORS, strict=False) if run.steps]
    if not shown:
        return []
    charts = []
    for key, title in (
        ("grad_norm", "gradient norm"),
        ("lr", "learning rate"),
        ("speech_hours_per_hour", "hours of speech an hour"),
    ):
        name = len(runs) > 1
        curves = [_steps(run.name if name else "", run, key, color) for run, color in shown]
        charts.append(draw_chart(Chart(title, curves)))
    return charts


def _line(label: str, run: RunRecord, key: str, scale: float = 1.0, color: str = FIRST) -> Curve:
    epochs = [row["epoch"] for row in run.history]
    return Curve(label, [scale * row[key] for row in run.history], epochs, color)


def _steps(label: str, run: RunRecord, key: str, color: str, faint: bool = False) -> Curve:
    rows: list[dict[str, Any]] = [row for row in run.steps if row.get(key) is not None]
    rows = rows[:: -(-len(rows) // MOST_POINTS) or 1] or [{"epoch": 0, key: 0.0}]
    return Curve(label, [r[key] for r in rows], [r["epoch"] for r in rows], color, faint)
