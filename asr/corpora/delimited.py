"""Tables of audio paths and texts, as their writers made them: CSV, TSV, pipes; any header.

A row that cannot be used is listed with its file and line, and the rows around it are read.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from asr.corpora.places import BadLine, read_good_lines, resolve_inside

# Which headers hold what, in the order of preference; case does not matter.
COLUMNS: dict[str, tuple[str, ...]] = {
    "path": (
        *("path", "audio_filepath", "audio_file", "audio_path", "audio", "wav_filename"),
        *("file_name", "filename", "file", "wav"),
    ),
    "text": ("text", "transcript", "sentence", "transcription", "normalized_text"),
    "speaker": ("speaker", "client_id", "speaker_id", "spk"),
    "split": ("split",),
}
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
SUFFIXES = frozenset({".csv", ".tsv", ".psv"})
# Columns that the manifest has of its own, or that say nothing once the file is there.
_DROPPED = frozenset({"duration", "text", "audio_filepath", "offset", "wav_filesize"})
# A quoted cell may go over lines, but not over a whole table because a quote is missing.
_MAX_LINES_OF_A_ROW = 100


@dataclass(frozen=True)
class TableForm:
    """What a user says about a table that it does not say itself.

    Attributes:
        delimiter: between columns; None: tabs in a .tsv, otherwise what the first line holds most.
        columns: a key of COLUMNS -> the column's header, or its number from 1 on.
    """

    delimiter: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check names."""
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise ValueError(f"delimiter must be one character, got {self.delimiter!r}")
        for name in self.columns:
            if name not in COLUMNS:
                raise ValueError(f"columns must name {', '.join(COLUMNS)}, got {name!r}")


class Row(NamedTuple):
    """A row: where it stands, its cells, or what is wrong with it."""

    number: int
    cells: list[str]
    problem: str | None = None


class Columns(NamedTuple):
    """Which column holds what; `further` maps names to columns that are kept as they are."""

    path: int
    text: int
    speaker: int | None
    split: int | None
    further: dict[str, int]

    def cell(self, row: Row, column: int | None) -> str:
        """Give a cell's text, empty where the row has no such column."""
        return row.cells[column].strip() if column is not None and column < len(row.cells) else ""


def read_table(path: Path, form: TableForm) -> tuple[Columns, list[Row], str]:
    """Read a table's rows, its header aside.

    Returns:
        The columns, the rows, and the delimiter.

    Raises:
        ValueError: there is no row, or a needed column cannot be told; the message says how to
            name it.
    """
    lines = read_good_lines(path)
    delimiter = form.delimiter or _delimiter_of(path, lines)
    rows = list(_split_rows(lines, delimiter))
    if not rows:
        raise ValueError(f"{path}: is empty")
    first = rows[0]
    if first.problem is None and _is_utterance(path, first.cells, form):
        return _headless(path, first.cells, form), rows, delimiter
    if first.problem is not None:
        raise ValueError(f"{path}:{first.number}: {first.problem}")
    return find_columns(path, first.cells, form), rows[1:], delimiter


def find_delimiter(path: Path) -> str:
    """Tell what separates columns: tabs in a .tsv, otherwise what the first line holds most."""
    return _delimiter_of(path, read_good_lines(path))


def _delimiter_of(path: Path, lines: list[str | BadLine]) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    first = next((line for line in lines if isinstance(line, str) and line), "")
    return max(DELIMITERS, key=first.count)


def read_header(path: Path) -> list[str]:
    """Give the first row's cells in lower case; none where it cannot be read."""
    try:
        lines = read_good_lines(path)
        row = next(_split_rows(lines, _delimiter_of(path, lines)), None)
    except ValueError:
        return []
    return [cell.strip().lower() for cell in row.cells] if row else []


def find_columns(path: Path, header: list[str], form: TableForm) -> Columns:
    """Find the columns by the header's names.

    Raises:
        ValueError: a column is not there.
    """
    names = [name.strip().lower() for name in header]
    found: dict[str, int | None] = {}
    for key, candidates in COLUMNS.items():
        wanted = form.columns.get(key)
        if wanted is not None:
            found[key] = _named_column(path, key, wanted, names)
        else:
            found[key] = next((names.index(name) for name in candidates if name in names), None)
        if found[key] is None and key in ("path", "text"):
            shown = ", ".join(repr(name[:40]) for name in header[:12])
            raise ValueError(
                f"{path}:1: no column holds the {key} (none of {', '.join(candidates)}); "
                f"name it: --columns {key}=..., one of {shown}"
            )
    further = {
        name: index
        for index, name in enumerate(names)
        if index not in found.values() and name and name not in _DROPPED
    }
    path_column, text = found["path"], found["text"]
    assert path_column is not None
    assert text is not None
    return Columns(path_column, text, found["speaker"], found["split"], further)


def _named_column(path: Path, key: str, wanted: str, names: list[str]) -> int:
    if wanted.strip().lower() in names:
        return names.index(wanted.strip().lower())
    if wanted.isdigit() and 1 <= int(wanted) <= len(names):
        return int(wanted) - 1
    raise ValueError(
        f"{path}:1: --columns {key}={wanted}: no such column; there are "
        f"{', '.join(repr(name[:40]) for name in names[:12])}"
    )


def _is_utterance(path: Path, cells: list[str], form: TableForm) -> bool:
    """Whether the first row is no header: the cell that names audio names a file that is there."""
    wanted = form.columns.get("path", "1")
    column = int(wanted) - 1 if wanted.isdigit() else 0
    if not 0 <= column < len(cells):
        return False
    try:
        return find_audio(path, cells[column]).is_file()
    except ValueError:
        return False


def _headless(path: Path, cells: list[str], form: TableForm) -> Columns:
    """Take the first column for audio and the second for text, unless told otherwise."""
    numbers = [str(number) for number in range(1, len(cells) + 1)]
    wanted = {"path": "1", "text": "2", **form.columns}
    found = {key: _named_column(path, key, name, numbers) for key, name in wanted.items()}
    return Columns(found["path"], found["text"], found.get("speaker"), found.get("split"), {})


def find_audio(table: Path, name: str) -> Path:
    """Resolve a name of a table: relative to it, or to `clips` beside it, or absolute.

    Raises:
        ValueError: it leads outside.
    """
    return resolve_inside(name.strip(), [table.parent / "clips", table.parent], absolute=True)


def read_rows(path: Path, delimiter: str) -> Iterator[Row]:
    """Give the rows; a quote that is never closed spoils its own line alone.

    Columns between tabs and pipes are not quoted: sentences of Common Voice hold quotes that quote
    nothing.
    """
    return _split_rows(read_good_lines(path), delimiter)


def _split_rows(lines: list[str | BadLine], delimiter: str) -> Iterator[Row]:
    quoted = delimiter in ",;"
    position = 0
    while position < len(lines):
        number, line = position + 1, lines[position]
        position += 1
        if isinstance(line, BadLine):
            yield Row(number, [], line.problem)
            continue
        if not line.strip():
            continue
        end = _end_of_row(lines, position) if quoted else position
        row = Row(number, [], "a quote is opened and not closed")
        if end is not None:
            text = "\n".join(str(part) for part in lines[position - 1 : end])
            whole = _split_row(number, text, delimiter, quoted)
            # Two lines that each lack a quote seem to be one.
            if end == position or whole.problem is None:
                row, position = whole, end
        yield row


def _end_of_row(lines: list[str | BadLine], position: int) -> int | None:
    """Give the index after the row that ends before `position` or goes on there."""
    quotes = str(lines[position - 1]).count('"')
    for end in range(position, min(len(lines), position + _MAX_LINES_OF_A_ROW) + 1):
        if quotes % 2 == 0:
            return end
        if end == len(lines) or isinstance(line := lines[end], BadLine):
            return None
        quotes += line.count('"')
    return None


def _split_row(number: int, text: str, delimiter: str, quoted: bool) -> Row:
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    try:
        cells = next(csv.reader([text], delimiter=delimiter, quoting=quoting, strict=True))
    except csv.Error as error:
        return Row(number, [], str(error))
    return Row(number, cells)
