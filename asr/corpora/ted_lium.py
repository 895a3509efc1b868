"""TED-LIUM, releases 1 to 3: a folder a split, with talks in sph/ and their texts in stm/."""

import re
from collections import Counter
from functools import partial
from pathlib import Path

from asr.corpora.layouts import SPLITS, Imported, UnusableError, find_near
from asr.corpora.stm import add_stm

# Release 3 has its talks twice, divided in two ways; this is the division that results are of.
_LEGACY = "legacy"
# for(2): the second pronunciation of the word.
_VARIANT = re.compile(r"(?<=\w)\(\d+\)")
# Release 1 ends its lines with the utterance's name, in round brackets.
_NAME = re.compile(r"\s\([^\s()]*\)$")
# The ends of words that are written apart: doesn 't, they 're.
_APART = re.compile(r"(?<=\w) (?='(?:s|t|d|m|re|ve|ll)\b)")
_UNKNOWN = "<unk>"


def find_splits(source: Path) -> list[Path]:
    """List the folders named train, dev or test that have stm/ and sph/ in them.

    In release 3 these are the ones of legacy/.
    """
    found = [path.parent for path in find_near(source, *(f"{split}/stm" for split in SPLITS))]
    found = [folder for folder in found if (folder / "sph").is_dir()]
    return [folder for folder in found if folder.parent.name == _LEGACY] or found


def import_ted_lium(source: Path, out: Path) -> Imported:
    """Import TED-LIUM in its own splits.

    Ends of words that are written apart are joined, marks of pronunciations and names of utterances
    go, and training utterances with a word that nobody knew are left out.
    """
    folders = find_splits(source)
    if not folders:
        raise ValueError(f"{source}: holds no train/, dev/ or test/ with stm/ and sph/ in it")
    if len({folder.parent for folder in folders}) > 1:
        names = ", ".join(sorted({str(folder.parent) for folder in folders}))
        raise ValueError(f"{source}: holds several releases; name one with --from: {names}")
    imported = Imported(source, out)
    changes: Counter[str] = Counter()
    for folder in folders:
        for path in sorted((folder / "stm").glob("*.stm")):
            found = imported.find(folder.name, str(path), [source], str(path))
            if found is not None:
                tidy = partial(_tidy, changes=changes, whole=folder.name == "train")
                add_stm(imported, folder.name, found, tidy)
    imported.notes += [f"{what}: {count}" for what, count in sorted((+changes).items())]
    return imported


def _tidy(text: str, *, changes: Counter[str], whole: bool) -> str:
    """Make of a text what was said, and count what was changed.

    Raises:
        UnusableError: it must be `whole` and has a word that nobody knew.
    """
    if whole and _UNKNOWN in text.split():
        raise UnusableError("a word is missing", f"the text has {_UNKNOWN}: {text[:60]!r}")
    for pattern, what in (
        (_VARIANT, "marks of pronunciations removed, as in 'for(2)'"),
        (_NAME, "names of utterances removed from the ends of texts"),
        (_APART, "ends of words joined, as in 'doesn 't'"),
    ):
        text, count = pattern.subn("", text)
        changes[what] += count
    return text.strip()
