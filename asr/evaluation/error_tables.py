"""Where systems go wrong on a set, side by side: by speaker, length and unit, and the worst of all.

A unit is a word, or a character where the metric counts those.

A column is one run's best decoder; a set that several runs decoded has several columns.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from asr.evaluation.breakdown import Group, by_length, by_speaker, by_unit
from asr.evaluation.clips import ClipBudget
from asr.evaluation.errors import Aligned, align_texts, confusions, name_units
from asr.evaluation.metrics import Metric
from asr.evaluation.run_record import Result, RunRecord

NUM_WORST = 12
NUM_ROWS = 20


class Column(NamedTuple):
    """What one system made of a set."""

    name: str
    result: Result
    records: list[dict[str, Any]]
    aligned: list[Aligned]  # of the records, in their order


class Table(NamedTuple):
    """Error rates of the parts of a set, a part a row and a system a column."""

    title: str
    header: list[str]
    rows: list[list[str]]
    num_more: int  # rows that are not shown


def read_columns(runs: Sequence[RunRecord], metric: Metric) -> dict[str, list[Column]]:
    """Align what the best decoder of each run made of each set by what `metric` counts; by set.

    Raises:
        ValueError: a file of results is broken.
    """
    columns: dict[str, list[Column]] = {}
    for run in runs:
        for result in run.best_results():
            records = result.records()
            aligned = [align_texts(r["id"], r["text"], r["pred_text"], metric) for r in records]
            name = f"{run.name}, {result.decoder}" if len(runs) > 1 else result.decoder
            columns.setdefault(result.set, []).append(Column(name, result, records, aligned))
    return columns


def tables(columns: Sequence[Column], metric: Metric) -> list[Table]:
    """Lay out error rates by speaker, by length and by unit; none by speaker if nobody has one."""

    def worst_rate(row: list[Group | None]) -> float:
        return -max(group.rate for group in row if group)

    def shortest(row: list[Group | None]) -> float:
        return int(_first(row).name.split()[0])

    def most_errors(row: list[Group | None]) -> float:
        return -sum(group.num_errors for group in row if group)

    speakers = [by_speaker(c.records, c.aligned) for c in columns]
    lengths = [by_length(c.aligned) for c in columns]
    words = [by_unit(c.aligned) for c in columns]
    names = [c.name for c in columns]
    found = []
    if any(speakers):
        found.append(_lay_out("speaker", metric, names, speakers, worst_rate))
    found.append(_lay_out("length", metric, names, lengths, shortest))
    wrong = {group.name for groups in words for group in groups if group.num_errors}
    if wrong:
        heard = [[group for group in groups if group.name in wrong] for groups in words]
        found.append(_lay_out("word", metric, names, heard, most_errors))
    return found


def common_confusions(columns: Sequence[Column], limit: int = NUM_ROWS) -> list[list[str]]:
    """Rows of `said`, `heard` and how often each system took one for the other, most first."""
    counts = [{(said, heard): n for said, heard, n in confusions(c.aligned)} for c in columns]
    pairs = {pair: sum(c.get(pair, 0) for c in counts) for known in counts for pair in known}
    order = sorted(pairs, key=lambda pair: (-pairs[pair], str(pair)))[:limit]
    return [
        [
            said or "(inserted)",
            heard or "(deleted)",
            *(str(c.get((said, heard), 0)) for c in counts),
        ]
        for said, heard in order
    ]


def worst_utterances(columns: Sequence[Column], budget: ClipBudget) -> list[dict[str, Any]]:
    """Return the utterances with the most errors of all systems together, to see and to hear."""
    found: dict[str, list[tuple[str, Aligned]]] = {}
    records: dict[str, dict[str, Any]] = {}
    for column in columns:
        for record, aligned in zip(column.records, column.aligned, strict=True):
            found.setdefault(aligned.id, []).append((column.name, aligned))
            records.setdefault(aligned.id, record)

    def weight(name: str) -> tuple[int, float, str]:
        alignments = [aligned for _, aligned in found[name]]
        errors = sum(a.num_errors for a in alignments)
        return -errors, -max(a.rate for a in alignments), name

    worst = [name for name in sorted(found, key=weight) if weight(name)[0]][:NUM_WORST]
    utterances = []
    for name in worst:
        clip, reason = budget.embed(records[name].get("audio_filepath"))
        utterances.append(
            {
                "id": name,
                "speaker": records[name].get("speaker"),
                "clip": clip,
                "no_clip": reason,
                "readings": found[name],
            }
        )
    return utterances


def _lay_out(
    part: str,
    metric: Metric,
    names: Sequence[str],
    columns: Sequence[Sequence[Group]],
    order: Callable[[list[Group | None]], float],
) -> Table:
    by_name = [{group.name: group for group in groups} for groups in columns]
    parts = {name: [known.get(name) for known in by_name] for k in by_name for name in k}
    rows = sorted(parts.values(), key=lambda row: (order(row), _first(row).name))
    cells = []
    for row in rows[:NUM_ROWS]:
        first = _first(row)
        rates = [f"{100 * group.rate:.1f} ({group.num_errors})" if group else "-" for group in row]
        cells.append([first.name, str(first.num_utterances), str(first.num_units), *rates])
    units = name_units(metric)
    if part == "word":
        header = [units.removesuffix("s"), "utterances", "times", *names]
        title = f"{units.capitalize()} lost or misheard, % (times)"
    else:
        header = [part, "utterances", units, *names]
        title = f"{metric.upper()} % by {part} (errors)"
    return Table(title, header, cells, max(0, len(rows) - NUM_ROWS))


def _first(row: Sequence[Group | None]) -> Group:
    return next(group for group in row if group)
