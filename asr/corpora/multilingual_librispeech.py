"""Multilingual LibriSpeech: <split>/transcripts.txt and <split>/audio/<speaker>/<book>/."""

from pathlib import Path

from asr.corpora.layouts import SPLIT_NAMES, Imported
from asr.corpora.places import BadLine, read_good_lines

TRANSCRIPTS = "transcripts.txt"
# As FLAC or, from the same publisher, as Opus.
_SUFFIXES = (".flac", ".opus", ".wav", ".ogg")


def find_splits(source: Path) -> list[Path]:
    """List the folders with transcripts.txt and audio/, at most two levels down."""
    found = [p for pattern in ("*/", "*/*/") for p in source.glob(pattern + TRANSCRIPTS)]
    return sorted(path.parent for path in found if (path.parent / "audio").is_dir())


def import_multilingual_librispeech(source: Path, out: Path) -> Imported:
    """Import transcripts.txt, `<speaker>_<book>_<number>` and a text between tabs, a split each."""
    folders = find_splits(source)
    if not folders:
        raise ValueError(f"{source}: holds no <split>/{TRANSCRIPTS} beside audio/")
    parents = {folder.parent for folder in folders}
    if len(parents) > 1:
        names = ", ".join(sorted(str(path.relative_to(source)) for path in parents))
        raise ValueError(f"{source}: holds several languages; name one with --from: {names}")
    imported = Imported(source, out)
    for folder in folders:
        _read_split(imported, SPLIT_NAMES.get(folder.name, folder.name), folder)
    return imported


def _read_split(imported: Imported, split: str, folder: Path) -> None:
    path = folder / TRANSCRIPTS
    for number, line in enumerate(read_good_lines(path), start=1):
        where = f"{path}:{number}"
        if isinstance(line, BadLine):
            imported.reject(split, path, "row cannot be read", f"{where}: {line.problem}")
            continue
        if not line.strip():
            continue
        name, tab, text = line.partition("\t")
        speaker, *book = name.strip().split("_")
        if not tab or len(book) != 2:
            detail = f"{where}: must be 'speaker_book_number<tab>text', got {line[:60]!r}"
            imported.reject(split, path, "broken transcript line", detail)
            continue
        place = folder / "audio" / speaker / book[0]
        paths = [place / f"{name.strip()}{suffix}" for suffix in _SUFFIXES]
        found = next((candidate for candidate in paths if candidate.exists()), paths[0])
        imported.add(split, found, text, where=where, id=name.strip(), speaker=speaker)
