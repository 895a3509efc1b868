"""VoxPopuli, and tables like its own: asr_train.tsv with ids, whose audio lies anywhere below."""

from pathlib import Path

from asr.audio import AUDIO_SUFFIXES
from asr.corpora.delimited import TableForm, read_header
from asr.corpora.layouts import ALL, Imported, find_near, walk
from asr.corpora.tables import add_table, split_of


def find_tables(source: Path) -> list[Path]:
    """List the tables, at most two levels down."""
    return find_near(source, "asr_*.tsv")


def import_voxpopuli(source: Path, out: Path) -> Imported:
    """Import asr_<split>.tsv: columns id, normalized_text (or raw_text), speaker_id, gender.

    An id is the name, without ending, of an audio file anywhere below the folder.
    """
    tables = find_tables(source)
    if not tables:
        raise ValueError(f"{source}: holds no asr_*.tsv, nor do the folders in it")
    folders = {table.parent for table in tables}
    if len(folders) > 1:
        names = ", ".join(sorted(str(path.relative_to(source)) or "." for path in folders))
        raise ValueError(f"{source}: holds several languages; name one with --from: {names}")
    audio: dict[str, Path] = {}
    for path in walk(source, out):
        if path.suffix.lower() in AUDIO_SUFFIXES:
            audio.setdefault(path.stem, path)
    imported = Imported(source, out)

    def find(table: Path, name: str) -> Path:
        return audio.get(name, table.parent / Path(name).name)

    for table in tables:
        form = TableForm(columns=_columns(table))
        add_table(imported, split_of(table.stem) or ALL, table, form, find, anywhere=False)
    return imported


def _columns(table: Path) -> dict[str, str]:
    """Name the columns; the text as it was normalised, or else as it was written."""
    text = "normalized_text" if "normalized_text" in read_header(table) else "raw_text"
    return {"path": "id", "text": text}
