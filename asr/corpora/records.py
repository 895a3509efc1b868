"""JSON Lines of other programs: one object a line, each read by itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from asr.corpora.delimited import COLUMNS
from asr.corpora.layouts import UnusableError
from asr.corpora.places import BadLine, read_good_lines
from asr.files import parse_json


class Record(NamedTuple):
    """A line's object, or what is wrong with the line."""

    where: str
    values: dict[str, object]
    problem: str | None = None


def read_records(path: Path) -> Iterator[Record]:
    """Give the objects of a file, blank lines passed over."""
    for number, line in enumerate(read_good_lines(path), start=1):
        where = f"{path}:{number}"
        if isinstance(line, BadLine):
            yield Record(where, {}, line.problem)
        elif line.strip():
            yield _parse(where, line)


def first_keys(path: Path) -> set[str]:
    """Give the keys of a file's first object; none where the file holds none."""
    try:
        return set(next(read_records(path)).values)
    except (ValueError, StopIteration):
        return set()


def take(record: Record, key: str) -> str:
    """Take, and remove, the text under the first of COLUMNS[key] that a record has.

    Raises:
        UnusableError: there is none, or it is no text.
    """
    if record.problem is not None:
        raise UnusableError("row cannot be read", f"{record.where}: {record.problem}")
    name = next((name for name in COLUMNS[key] if name in record.values), None)
    reason = "no audio" if key == "path" else "no transcript"
    if name is None:
        raise UnusableError(reason, f"{record.where}: lacks the key {COLUMNS[key][0]!r}")
    value = record.values.pop(name)
    if not isinstance(value, str):
        raise UnusableError(reason, f"{record.where}: {name!r} must be a string, got {value!r:.60}")
    return value


def take_number(record: Record, key: str) -> float | None:
    """Take, and remove, a number of seconds; None where there is none.

    Raises:
        UnusableError: it is no number.
    """
    value = record.values.pop(key, None)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        detail = f"{record.where}: {key!r} must be a number of seconds, got {value!r:.60}"
        raise UnusableError("row cannot be read", detail)
    return float(value)


def _parse(where: str, line: str) -> Record:
    try:
        values = parse_json(line)
    except ValueError as error:
        return Record(where, {}, f"is not JSON: {error}")
    if not isinstance(values, dict):
        return Record(where, {}, "must be a JSON object")
    return Record(where, {str(key): value for key, value in values.items()})
