"""Corpora that are a table of audio and text, or a folder of tables: any CSV, TSV, DeepSpeech's."""

import math
import re
from collections.abc import Callable
from pathlib import Path

from asr.corpora.delimited import (
    DELIMITERS,
    SUFFIXES,
    Columns,
    Row,
    TableForm,
    find_audio,
    read_table,
)
from asr.corpora.layouts import ALL, OUTSIDE, SPLIT_NAMES, SPLITS, Imported, UnusableError
from asr.data.manifest import Utterance

FindAudio = Callable[[Path, str], Path]


def import_csv(source: Path, out: Path, form: TableForm | None = None) -> Imported:
    """Import a table, or a folder of them, one a split.

    A header names the columns; without one the first column is the audio and the second the text.
    Audio is relative to the table, or to a folder `clips` beside it (Common Voice), or absolute. A
    column `split` says where a row belongs; without one a single table is divided.
    """
    imported = Imported(source if source.is_dir() else source.parent, out)
    tables = [source] if source.is_file() else find_tables(source)
    if not tables:
        raise ValueError(f"{source}: holds no {', '.join(sorted(SUFFIXES))} table")
    add_tables(imported, tables, form or TableForm())
    clips = imported.root / "clips"
    imported.name_by_path(clips if clips.is_dir() else imported.root)
    return imported


def find_tables(folder: Path) -> list[Path]:
    """List a folder's tables."""
    return sorted(path for path in folder.glob("*.*") if path.suffix.lower() in SUFFIXES)


def add_tables(imported: Imported, tables: list[Path], form: TableForm) -> None:
    """Add the rows of a table without a split, or of several that are named after theirs."""
    if len(tables) == 1:
        add_table(imported, split_of(tables[0].stem) or ALL, tables[0], form)
        return
    for table in tables:
        split = split_of(table.stem)
        if split is None:
            imported.notes.append(f"passed over {table.name}: not named train, dev or test")
        else:
            add_table(imported, split, table, form)


def split_of(stem: str) -> str | None:
    """Tell a split from a file's name: train, cv-valid-train, asr_dev, test_manifest."""
    words = [
        SPLIT_NAMES.get(word, word) for word in re.split(r"[\W_]+|(?<=\D)(?=\d)", stem.lower())
    ]
    return next((word for word in reversed(words) if word in SPLITS), None)


def add_table(
    imported: Imported,
    split: str,
    table: Path,
    form: TableForm,
    find: FindAudio = find_audio,
    *,
    anywhere: bool = True,
) -> None:
    """Add a table's utterances, and list the rows that cannot be used.

    Args:
        find: gives a row's audio from the table and what the row says; raises ValueError where it
            leads outside.
        anywhere: whether what it gives may lie outside the folder: an absolute path.
    """
    columns, rows, delimiter = read_table(table, form)
    if table.suffix.lower() == ".csv" and delimiter != ",":
        name = DELIMITERS.get(delimiter, repr(delimiter))
        imported.notes.append(f"{table.name}: columns are separated by {name}")
    for row in rows:
        where = f"{table}:{row.number}"
        try:
            place, utterance = _read_row(table, row, columns, find)
        except UnusableError as error:
            name = columns.cell(row, columns.path)
            identity = Path(name).stem if name and "\0" not in name else table.stem
            imported.reject(split, table, error.reason, f"{where}: {error}", identity)
            continue
        imported.place(place or split, utterance, where=where, anywhere=anywhere)


def _read_row(
    table: Path, row: Row, columns: Columns, find: FindAudio
) -> tuple[str | None, Utterance]:
    """Give the split that a row names, if any, and its utterance."""
    if row.problem is not None:
        raise UnusableError("row cannot be read", row.problem)
    needed = max(columns.path, columns.text) + 1
    if len(row.cells) < needed:
        detail = f"must have at least {needed} columns, got {len(row.cells)}"
        raise UnusableError("row too short", detail)
    name, text = columns.cell(row, columns.path), row.cells[columns.text]
    if formula := next((cell for cell in (name, text) if cell.lstrip().startswith("=")), None):
        detail = f"must be audio or text, got the formula {formula[:60]!r}"
        raise UnusableError("cell is a formula", detail)
    if not name:
        raise UnusableError("no audio", "names no audio")
    try:
        path = find(table, name)
    except ValueError as error:
        raise UnusableError(OUTSIDE, str(error)) from error
    split = columns.cell(row, columns.split).lower()
    if columns.split is not None and not split:
        raise UnusableError("no split", "the column split is empty")
    extra: dict[str, object] = {
        key: cell for key, index in columns.further.items() if (cell := columns.cell(row, index))
    }
    if speaker := columns.cell(row, columns.speaker):
        extra["speaker"] = speaker
    return SPLIT_NAMES.get(split, split), Utterance(path, math.nan, text, extra)
