"""Mozilla Common Voice, any language: train.tsv, dev.tsv, test.tsv, and clips/."""

from pathlib import Path

from asr.corpora.delimited import TableForm
from asr.corpora.layouts import ALL, SPLITS, Imported, find_near
from asr.corpora.tables import add_table

_VALIDATED = "validated.tsv"


def find_languages(source: Path) -> list[Path]:
    """List the folders, at most two levels down, with clips/ and a table of Common Voice's."""
    tables = find_near(source, *(f"{split}.tsv" for split in SPLITS), _VALIDATED)
    return sorted({path.parent for path in tables if (path.parent / "clips").is_dir()})


def import_common_voice(source: Path, out: Path) -> Imported:
    """Import one language of Common Voice in its own splits.

    Without them, validated.tsv is taken and divided.
    """
    languages = find_languages(source)
    if not languages:
        raise ValueError(f"{source}: holds no train.tsv, dev.tsv or test.tsv beside clips/")
    if len(languages) > 1:
        names = ", ".join(str(path.relative_to(source)) for path in languages)
        raise ValueError(f"{source}: holds several languages; name one with --from: {names}")
    root = languages[0]
    imported = Imported(root, out)
    tables = {split: root / f"{split}.tsv" for split in SPLITS if (root / f"{split}.tsv").exists()}
    tables = tables or {ALL: root / _VALIDATED}
    for split, table in tables.items():
        add_table(imported, split, table, TableForm())
    others = sorted(path.name for path in root.glob("*.tsv") if path not in tables.values())
    if others:
        imported.notes.append(f"passed over {', '.join(others)}: {', '.join(tables)} are used")
    imported.name_by_path(root / "clips")
    return imported
