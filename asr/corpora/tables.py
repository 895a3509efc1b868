"""Tables of audio paths and texts: .csv with commas, .tsv with tabs."""

import csv
import math
from pathlib import Path
from typing import NamedTuple

from asr.corpora.layouts import ALL, OUTSIDE, SPLIT_NAMES, Imported
from asr.corpora.places import read_lines, resolve_inside
from asr.data.manifest import Utterance

AUDIO_COLUMNS = ("path", "audio_filepath", "audio", "wav_filename", "wav", "file", "filename")
TEXT_COLUMNS = ("text", "transcript", "sentence", "transcription")
SPLIT_COLUMN = "split"
SPEAKER_COLUMNS = ("speaker", "client_id", "speaker_id")


def import_csv(source: Path, out: Path) -> Imported:
    """Import a .csv (commas) or .tsv (tabs) table, or a folder of them, one a split.

    A header names the columns; without one the first column is the audio and the second the text.
    Audio is relative to the table, or to a folder `clips` beside it (Common Voice), or absolute. A
    column `split` says where a row belongs; without one a single table is divided by a hash.
    """
    imported = Imported(source if source.is_dir() else source.parent, out)
    tables = [source] if source.is_file() else sorted(source.glob("*.[ct]sv"))
    if not tables:
        raise ValueError(f"{source}: holds no .csv or .tsv table")
    if len(tables) == 1:
        _read_table(imported, ALL, tables[0])
    for table in tables if len(tables) > 1 else []:
        split = SPLIT_NAMES.get(table.stem, table.stem)
        if split in ("train", "dev", "test"):
            _read_table(imported, split, table)
        else:
            imported.notes.append(f"passed over {table.name}: not named train, dev or test")
    clips = imported.root / "clips"
    imported.name_by_path(clips if clips.is_dir() else imported.root)
    return imported


def _read_table(imported: Imported, split: str, table: Path) -> None:
    lines = read_lines(table)
    # Sentences of Common Voice's .tsv hold quotes that quote nothing.
    dialect = "excel" if table.suffix.lower() == ".csv" else _PlainTabs
    rows = csv.reader((line.rstrip("\r") + "\n" for line in lines), dialect, strict=True)
    try:
        numbered = [(rows.line_num, row) for row in rows if row]
    except csv.Error as error:
        raise ValueError(f"{table}:{rows.line_num}: {error}") from error
    if not numbered:
        raise ValueError(f"{table}: is empty")
    columns = _find_columns(numbered[0][1])
    if columns is None:
        columns = _Columns(0, 1, None, None, {})
    else:
        numbered = numbered[1:]
    for number, row in numbered:
        _add_row(imported, split, table, number, row, columns)


def _add_row(
    imported: Imported, split: str, table: Path, number: int, row: list[str], columns: "_Columns"
) -> None:
    needed = max(columns.audio, columns.text) + 1
    if len(row) < needed:
        detail = f"{table}:{number}: must have at least {needed} columns, got {len(row)}"
        imported.reject(split, table, "row too short", detail)
        return
    name = row[columns.audio].strip()
    try:
        if not name:
            raise ValueError("names no audio")
        path = resolve_inside(name, [table.parent / "clips", table.parent], absolute=True)
    except ValueError as error:
        detail = f"{table}:{number}: {error}"
        imported.reject(split, Path(name), OUTSIDE if name else "no audio", detail)
        return
    if columns.split is not None:
        split = row[columns.split].strip().lower() if columns.split < len(row) else ""
        split = SPLIT_NAMES.get(split, split)
        if not split:
            imported.reject("-", path, "no split", f"{table}:{number}: the column split is empty")
            return
    extra: dict[str, object] = {
        key: row[i] for key, i in columns.further.items() if i < len(row) and row[i]
    }
    if columns.speaker is not None and columns.speaker < len(row) and row[columns.speaker]:
        extra["speaker"] = row[columns.speaker]
    imported.place(split, Utterance(path, math.nan, row[columns.text], extra), anywhere=True)


class _Columns(NamedTuple):
    """Which column holds what; `further` maps names to columns that are kept as they are."""

    audio: int
    text: int
    speaker: int | None
    split: int | None
    further: dict[str, int]


class _PlainTabs(csv.excel_tab):
    quoting = csv.QUOTE_NONE


def _find_columns(header: list[str]) -> _Columns | None:
    """Recognise a header; None when the row is an utterance already."""
    names = [name.strip().lower() for name in header]
    audio, text, speaker = (
        next((names.index(name) for name in candidates if name in names), None)
        for candidates in (AUDIO_COLUMNS, TEXT_COLUMNS, SPEAKER_COLUMNS)
    )
    if audio is None or text is None:
        return None
    split = names.index(SPLIT_COLUMN) if SPLIT_COLUMN in names else None
    used = {audio, text, speaker, split}
    further = {
        name: index
        for index, name in enumerate(names)
        if index not in used and name and name not in ("duration", "text", "audio_filepath")
    }
    return _Columns(audio, text, speaker, split, further)
