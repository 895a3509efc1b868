"""LJ Speech, and what is laid out like it: metadata.csv with pipes and no header, and wavs/."""

from pathlib import Path

from asr.audio import AUDIO_SUFFIXES
from asr.corpora.delimited import Row, read_rows
from asr.corpora.layouts import ALL, Imported, find_below
from asr.corpora.places import resolve_inside

TABLE = "metadata.csv"
FOLDER = "wavs"


def import_lj_speech(source: Path, out: Path) -> Imported:
    """Import metadata.csv (name|text|normalised text) and the audio in wavs/.

    Of two texts the second is taken: numbers are spelled out there.
    """
    root = find_below(source, TABLE)
    imported = Imported(root, out)
    for row in read_rows(root / TABLE, "|"):
        _add_row(imported, row)
    return imported


def _add_row(imported: Imported, row: Row) -> None:
    table = imported.root / TABLE
    where = f"{table}:{row.number}"
    if row.problem is None and not 2 <= len(row.cells) <= 3:
        detail = f"{where}: must be 'name|text|normalised text', got {len(row.cells)} columns"
        imported.reject(ALL, table, "broken row", detail)
        return
    if row.problem is not None:
        imported.reject(ALL, table, "row cannot be read", f"{where}: {row.problem}")
        return
    name, *texts = (cell.strip() for cell in row.cells)
    path = _find_audio(imported, name, where)
    if path is not None:
        identity = Path(name).stem if Path(name).suffix.lower() in AUDIO_SUFFIXES else name
        imported.add(ALL, path, texts[-1] or texts[0], where=where, id=identity)


def _find_audio(imported: Imported, name: str, where: str) -> Path | None:
    """Find a recording by its name, which has no ending in LJ Speech itself."""
    folder = imported.root / FOLDER
    suffixes = ("", ".wav", ".flac", ".mp3", ".ogg", ".opus")
    for suffix in suffixes:
        path = imported.find(ALL, f"{name}{suffix}", [folder, imported.root], where)
        if path is None or path.is_file():
            return path
    return resolve_inside(f"{name}.wav", [folder])
