"""Trials of a sweep in words: the table, a line each, and what the best one says to a training."""

import shlex
from collections.abc import Mapping, Sequence

import yaml

from asr.evaluation.metrics import Metric
from asr.evaluation.table import format_table
from asr.files import printable
from asr.tuning.sweep.dimension import Dimension, show_value
from asr.tuning.sweep.study import SweepTrial

# Characters of a failure's reason in a table.
MOST_REASON = 160


def sort_trials(trials: Sequence[SweepTrial]) -> list[SweepTrial]:
    """Put finished trials first, the best of them at the top; then pruned ones, and the rest."""
    order = {"done": 0, "pruned": 1, "running": 2, "failed": 3}

    def key(trial: SweepTrial) -> tuple[int, float, int]:
        rate = float("inf") if trial.best is None else trial.best
        return order[trial.state], rate, trial.number

    return sorted(trials, key=key)


def best_of(trials: Sequence[SweepTrial]) -> SweepTrial | None:
    """The finished trial with the lowest rate, the first of equals; None where none finished."""
    done = [trial for trial in sort_trials(trials) if trial.state == "done"]
    return done[0] if done else None


def table_header(names: Sequence[str], metric: Metric) -> list[str]:
    """Heads of the columns."""
    return ["trial", f"best dev {metric.upper()} %", "epoch", "of", "min", *names, "state"]


def table_row(trial: SweepTrial, names: Sequence[str]) -> list[str]:
    """Cells of a trial."""
    state = {"done": ""}.get(trial.state, trial.state)
    said = [part for part in (state, shorten(trial.reason)) if part]
    return [
        str(trial.number),
        "" if trial.best is None else f"{100 * trial.best:.2f}",
        "" if trial.best_epoch is None else f"{trial.best_epoch:g}",
        str(max(trial.rates)) if trial.rates else "",
        "" if trial.seconds is None else f"{trial.seconds / 60:.1f}",
        *(show_value(trial.values[name]) for name in names),
        ": ".join(said),
    ]


def format_trials(trials: Sequence[SweepTrial], names: Sequence[str], metric: Metric) -> str:
    """Lay out all trials, the best first."""
    rows = [table_row(trial, names) for trial in sort_trials(trials)]
    header = table_header(names, metric)
    return format_table([header, *rows], left=(len(header) - 1,))


def format_best(
    best: SweepTrial, dimensions: Mapping[str, Dimension], words: Sequence[str], metric: Metric
) -> str:
    """Write best.yaml: the settings found, the command that trains with them, what they gave."""
    record = {
        "trial": best.number,
        "overrides": overrides_of(best, dimensions),
        "command": format_command(best, dimensions, words),
        f"dev_{metric}": best.best,
        "epoch": best.best_epoch,
    }
    return yaml.safe_dump(record, sort_keys=False, width=1000)


def format_command(
    trial: SweepTrial, dimensions: Mapping[str, Dimension], words: Sequence[str]
) -> str:
    """Write the command that trains with a trial's settings; `words` are those of every trial."""
    return shlex.join(["asr", "train", *words, *overrides_of(trial, dimensions)])


def overrides_of(trial: SweepTrial, dimensions: Mapping[str, Dimension]) -> list[str]:
    """What a trial says to a training."""
    return [found.override(trial.values[name]) for name, found in dimensions.items()]


def shorten(reason: str) -> str:
    """Make a reason a cell."""
    line = printable(" ".join(reason.split()))
    return line if len(line) <= MOST_REASON else f"{line[: MOST_REASON - 3]}..."
