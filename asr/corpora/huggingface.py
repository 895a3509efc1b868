"""Hugging Face's `audiofolder`: metadata.csv or metadata.jsonl with file_name, beside the audio."""

import math
from pathlib import Path

from asr.corpora.delimited import TableForm, read_header
from asr.corpora.layouts import OUTSIDE, Imported, UnusableError, find_near, split_of_folder
from asr.corpora.places import resolve_inside
from asr.corpora.records import Record, first_keys, read_records, take
from asr.corpora.tables import add_table
from asr.data.manifest import Utterance

KEY = "file_name"


def find_metadata(source: Path) -> list[Path]:
    """List the metadata files, at most two levels down, whose rows have `file_name`."""
    return [
        path
        for path in find_near(source, "metadata.csv", "metadata.jsonl")
        if KEY in (read_header(path) if path.suffix == ".csv" else first_keys(path))
    ]


def import_audiofolder(source: Path, out: Path) -> Imported:
    """Import metadata files; the folder that one lies in (train, validation, test) is its split."""
    metadata = find_metadata(source)
    if not metadata:
        raise ValueError(f"{source}: holds no metadata.csv or metadata.jsonl with {KEY}")
    imported = Imported(source, out)

    def find(table: Path, name: str) -> Path:
        return resolve_inside(name, [table.parent, source])

    for path in metadata:
        split = split_of_folder(path.parent, source)
        if path.suffix == ".csv":
            form = TableForm(columns={"path": KEY})
            add_table(imported, split, path, form, find, anywhere=False)
            continue
        for record in read_records(path):
            try:
                _add_record(imported, split, path, record)
            except UnusableError as error:
                imported.reject(split, path, error.reason, str(error))
    imported.name_by_path(source)
    return imported


def _add_record(imported: Imported, split: str, table: Path, record: Record) -> None:
    name, text = take(record, "path"), take(record, "text")
    try:
        path = resolve_inside(name, [table.parent, imported.root])
    except ValueError as error:
        raise UnusableError(OUTSIDE, f"{record.where}: {error}") from error
    extra = {key: value for key, value in record.values.items() if value is not None}
    extra.pop("duration", None)
    imported.place(split, Utterance(path, math.nan, text, extra), where=record.where)
