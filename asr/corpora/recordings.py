"""Which recording a file of texts beside it belongs to: talk.wav for talk.srt, talk.TextGrid."""

from pathlib import Path

from asr.corpora.layouts import AUDIO_SUFFIXES, Imported, UnusableError, walk


def find_beside(imported: Imported, suffixes: frozenset[str]) -> list[Path]:
    """List the files with one of these endings, in lower case, below the corpus."""
    files = walk(imported.root, imported.out)
    return [path for path in files if path.suffix.lower() in suffixes]


def recording_of(path: Path) -> Path:
    """Find the audio beside a file that has its name, or that name before a language: talk.en.srt.

    Raises:
        UnusableError: there is none, or several.
    """
    for stem in (path.stem, Path(path.stem).stem):
        found = [
            other
            for other in sorted(path.parent.iterdir())
            if other.suffix.lower() in AUDIO_SUFFIXES and other.stem == stem
        ]
        if len(found) > 1:
            names = ", ".join(other.name for other in found)
            raise UnusableError("several recordings", f"{path}: may belong to any of {names}")
        if found:
            return found[0]
    raise UnusableError("no audio", f"{path}: has no audio of its name beside it")
