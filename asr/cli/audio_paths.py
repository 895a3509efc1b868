"""Recordings as a command line names them: files, folders, patterns, lists, standard input."""

import glob
import logging
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from asr.audio import AUDIO_SUFFIXES
from asr.files import read_text
from asr.media.containers import CONTAINER_SUFFIXES

SUFFIXES = AUDIO_SUFFIXES | CONTAINER_SUFFIXES
STDIN = "-"

logger = logging.getLogger(__name__)


class Recording(NamedTuple):
    """A file to transcribe, its name as the user knows it, and its place below a folder."""

    path: Path
    name: str
    place: Path


def find_recordings(
    words: Sequence[str], lists: Sequence[str], stack: ExitStack
) -> list[Recording]:
    """Expand what a command line names, in its order.

    Args:
        words: files; folders, with all that is below; patterns with * ? [ ] and **; @LIST for a
            list; - for standard input.
        lists: files with a path, or any of the above but lists and standard input, on each line.
        stack: what removes the copy of standard input.

    Raises:
        ValueError: a folder or a pattern has no recording, a list cannot be read or is empty, or
            nothing was named.
        OSError: standard input cannot be copied.
    """
    found: list[Recording] = []
    for word in words:
        if word == STDIN:
            found.append(_copy_stdin(stack))
        elif word.startswith("@"):
            found += _read_list(word[1:])
        else:
            found += _expand(word)
    for name in lists:
        found += _read_list(name)
    if not found:
        raise ValueError("give a file, a folder, a pattern, @LIST, --list LIST or -")
    return found


def _copy_stdin(stack: ExitStack) -> Recording:
    """Copy standard input to a temporary file: decoders want to look back and ahead."""
    if sys.stdin.isatty():
        raise ValueError("-: standard input is a terminal: pipe a recording into it")
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="asr-"))
    path = Path(folder, "stdin")
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return Recording(path, STDIN, Path(path.name))


def _read_list(name: str) -> Iterator[Recording]:
    """Read a path a line; blank lines are nothing."""
    lines = [line for line in read_text(name).split("\n") if line.strip()]
    if not lines:
        raise ValueError(f"{name}: the list is empty")
    for line in lines:
        yield from _expand(line)


def _expand(word: str) -> list[Recording]:
    path = Path(word)
    if path.is_dir():
        return _search(path)
    if path.exists() or not glob.has_magic(word):
        return [Recording(path, word, Path(path.name))]  # what is not there fails by its name
    root = _fixed_part(path)
    found = [Path(name) for name in sorted(glob.glob(word, recursive=True))]
    files = [file for file in found if file.is_file()]
    if not files:
        raise ValueError(f"{word}: no file is named like that")
    return [Recording(file, str(file), file.relative_to(root)) for file in files]


def _fixed_part(pattern: Path) -> Path:
    """The folder above the first part of a pattern that holds a sign."""
    parts = []
    for part in pattern.parts:
        if glob.has_magic(part):
            break
        parts.append(part)
    return Path(*parts)


def _search(folder: Path) -> list[Recording]:
    """Find all recordings below a folder, hidden ones left out."""
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    audio = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not audio:
        raise ValueError(f"{folder}: no recording below it ({' '.join(sorted(SUFFIXES))})")
    if len(audio) < len(files):
        logger.info("%s: passed over what is no recording: %d", folder, len(files) - len(audio))
    return [Recording(path, str(path), path.relative_to(folder)) for path in audio]
