"""Runs -> one HTML file with everything in it, to open, keep or send.

    curves - decoders - what to do next - differing options - one utterance, seen and read - how its
    spikes emerged - errors by speaker, length and word - worst utterances, to hear - environment

What a run does not have yet is left out and said so. Several runs stand side by side.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

from asr.acoustic.checkpoint import load_checkpoint
from asr.acoustic.model import AcousticModel
from asr.evaluation.advice import advise
from asr.evaluation.clips import ClipBudget
from asr.evaluation.comparison import compare_results, comparison_header, comparison_rows
from asr.evaluation.error_tables import (
    Column,
    common_confusions,
    read_columns,
    tables,
    worst_utterances,
)
from asr.evaluation.errors import mark_error, name_units
from asr.evaluation.history import draw_history, draw_pace
from asr.evaluation.metrics import Metric
from asr.evaluation.options import differing
from asr.evaluation.results import table_header, table_rows
from asr.evaluation.run_record import RunRecord, common_metric, read_run
from asr.evaluation.seen_utterance import draw_seen, draw_spikes, find_seen
from asr.files import read_text, write_atomically
from asr.pages.drawing import COLORS
from asr.pages.template import render

# Colours that eyes tell apart, and columns that a page holds.
MOST_RUNS = len(COLORS)


def write_report(paths: Sequence[Path], out: Path) -> list[RunRecord]:
    """Write a report of one run, or of several side by side.

    Args:
        paths: the runs' folders, as training made them; results of decoding are looked for in their
            `decode` folders. One to `MOST_RUNS`.
        out: the HTML file, written under a temporary name and renamed.

    Returns:
        What the report is of.

    Raises:
        ValueError: a file of a run is broken; the message names it.
        OSError: a file cannot be read.
    """
    runs = read_runs(paths)
    metric = common_metric(run.metric for run in runs)
    columns = read_columns(runs, metric)
    models = [_load_model(run) for run in runs]
    shown = [_show_run(run, model) for run, model in zip(runs, models, strict=True)]
    page = render(
        "asr.evaluation",
        "report.html.j2",
        mark_error=mark_error,
        title=" and ".join(run.name for run in runs),
        runs=shown,
        several=len(runs) > 1,
        history=draw_history(runs),
        pace=draw_pace(runs),
        **_decoders(runs, metric),
        comparisons=_comparisons(columns, metric),
        comparison_header=comparison_header(metric),
        options=differing([run.config for run in runs]),
        sets=_sets(columns, metric),
        units=name_units(metric),
    )
    write_atomically(Path(out), page)
    return runs


def read_runs(paths: Sequence[Path]) -> list[RunRecord]:
    """Read runs; those of the same name are told apart by their folders.

    Raises:
        ValueError: there are none or too many, one is named twice, or a file is broken.
    """
    if not 1 <= len(paths) <= MOST_RUNS:
        raise ValueError(f"a report is of 1 to {MOST_RUNS} runs, got {len(paths)}")
    places = [Path(path).resolve() for path in paths]
    if twice := [path for path in places if places.count(path) > 1]:
        raise ValueError(f"{twice[0]}: is given twice")
    runs = [read_run(Path(path)) for path in paths]
    names = [run.name for run in runs]
    if len(set(names)) == len(names):
        return runs
    return [run._replace(name=str(run.path)) for run in runs]


def _load_model(run: RunRecord) -> AcousticModel | None:
    best = run.path / "ckpt" / "best.ckpt"
    return load_checkpoint(best) if best.is_file() else None


def _show_run(run: RunRecord, model: AcousticModel | None) -> dict:
    seen = find_seen(run) if model else None
    config = run.path / "config.yaml"
    environment = {key: value for key, value in run.environment.items() if key != "command"}
    return {
        "name": run.name,
        "tiles": _tiles(run, model),
        "skipped": int(run.history[-1]["skipped_steps"]) if run.history else 0,
        "advice": advise(run),
        "utterance": draw_seen(model, seen, run.metric) if model and seen else None,
        "spikes": draw_spikes(run, model, seen) if model else None,
        "command": shlex.join(map(str, run.environment.get("command", []))),
        "environment": [(key.replace("_", " "), _shown(v)) for key, v in environment.items()],
        "config": read_text(config) if config.is_file() else "",
    }


def _tiles(run: RunRecord, model: AcousticModel | None) -> list[tuple[str, str]]:
    tiles, name = [], run.metric.upper()
    for result in run.best_results()[:1]:
        if result.score:
            rate = f"{100 * result.score.error_rate(run.metric).rate:.2f} %"
            tiles.append((rate, f"{name} on {result.set}, {result.decoder}"))
    if run.best:
        last = run.history[-1]
        tiles.append((f"{100 * run.best[f'dev_{run.metric}']:.2f} %", f"best dev {name}"))
        tiles.append((f"{last['epoch']:g}", "epochs"))
        tiles.append((_duration(last["seconds"]), "training time"))
    if model is not None:
        size = sum(p.numel() for p in model.network.parameters())
        tiles.append((f"{size / 1e6:.2f} M", "parameters"))
    return tiles


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def _decoders(runs: Sequence[RunRecord], metric: Metric) -> dict:
    """Header and tables of decoders, one table a set."""
    sets: dict[str, dict] = {}
    for run in runs:
        best = {(result.set, result.decoder) for result in run.best_results()}
        for result in run.results:
            if result.score is None:
                continue
            found = sets.setdefault(result.set, {"name": result.set, "rows": [], "best": []})
            if (result.set, result.decoder) in best:
                found["best"].append(len(found["rows"]))
            (cells,) = table_rows({result.decoder: result.score}, metric)
            found["rows"].append([run.name, *cells] if len(runs) > 1 else cells)
            size = f"{result.score.num_utterances} utterances, {_duration(result.score.audio_s)}"
            found.setdefault("size", size)
    header = table_header(metric)
    return {"header": ["run", *header] if len(runs) > 1 else header, "scored": [*sets.values()]}


def _comparisons(columns: dict[str, list[Column]], metric: Metric) -> list[tuple[str, ...]]:
    """Compare each other run with the first on every set that both decoded."""
    rows = []
    for name, (first, *others) in columns.items():
        for other in others:
            found = compare_results(first.result, other.result, metric)
            found = found._replace(set=name, decoder=f"{first.name} / {other.name}")
            rows += comparison_rows([found])
    return rows


def _sets(columns: dict[str, list[Column]], metric: Metric) -> list[dict]:
    budget = ClipBudget()
    return [
        {
            "name": name,
            "systems": [column.name for column in found],
            "tables": tables(found, metric),
            "confusions": common_confusions(found),
            "worst": worst_utterances(found, budget),
        }
        for name, found in columns.items()
    ]


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in value.items())
    return "none" if value is None else str(value)
