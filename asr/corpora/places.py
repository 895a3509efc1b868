"""Where the names in a corpus lead: to a file inside its folder, or nowhere.

A corpus is a stranger's. A list in it may name "../../.ssh/key", and a file of it may be a symbolic
link, so every name goes through `resolve_inside` before anything is read or written there. Only
tables of the user's own (CSV, Kaldi, manifests) may name a file outside, and only absolutely:
who reads the table sees it there, as they would not see where a link leads.
"""

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from asr.files import read_bytes, read_text

# A table of ten million utterances is smaller; what is larger is no text.
MAX_TEXT_BYTES = 2**31
_LINE_END = re.compile("\r\n?")


def resolve_inside(name: str | Path, folders: Sequence[Path], *, absolute: bool = False) -> Path:
    """Find a file by its name, relative to the first of `folders` that holds it.

    Args:
        name: what a list says, or where a file was found.
        folders: the last of them is the one that a name may not leave, itself or by a link.
        absolute: whether a name may be absolute, and then lie anywhere.

    Returns:
        An absolute path without ".."; nothing need be there.

    Raises:
        ValueError: the name leaves the folder, or can name no file; says the name.
    """
    if not str(name) or "\0" in str(name):
        raise ValueError(f"must name a file, got {str(name)!r}")
    root = folders[-1]
    if Path(name).is_absolute():
        path = Path(os.path.abspath(name))
        if not absolute and not path.is_relative_to(root):
            raise ValueError(f"path leaves the folder: {name}")
        return path if absolute else _follow(path, root)
    paths = [Path(os.path.abspath(folder / name)) for folder in folders]
    if not all(path.is_relative_to(root) for path in paths):
        raise ValueError(f"path leaves the folder: {name}")
    return _follow(next((path for path in paths if path.exists()), paths[-1]), root)


def read_lines(path: Path) -> list[str]:
    """Read a text file's lines.

    Raises:
        ValueError: the file is not a regular one, too large, unreadable or not UTF-8.
    """
    return read_text(path, MAX_TEXT_BYTES).split("\n")


class BadLine(NamedTuple):
    """A line that is no text, and why."""

    problem: str


def read_good_lines(path: Path) -> list[str | BadLine]:
    """Read a text file's lines, each by itself: one that is broken does not spoil the others.

    UTF-8, or UTF-16 where a byte order mark says so (Praat and spreadsheets write it).

    Raises:
        ValueError: the file is not a regular one, too large or unreadable.
    """
    content = read_bytes(path, MAX_TEXT_BYTES)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return [*_LINE_END.sub("\n", content.decode("utf-16")).split("\n")]
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: is not UTF-16 at byte {error.start}") from error
    content = content.removeprefix(b"\xef\xbb\xbf")
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return [_decode(line) for line in lines]


def _decode(line: bytes) -> str | BadLine:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        return BadLine(f"is not UTF-8 at byte {error.start} (convert the file to UTF-8)")
    return BadLine("holds a NUL character") if "\0" in text else text


def _follow(path: Path, root: Path) -> Path:
    """Refuse a path below `root` that a symbolic link leads out of it."""
    real = _real_folder(path.parent) / path.name
    if real.is_symlink():
        real = Path(os.path.realpath(real))
    if not real.is_relative_to(_real_folder(root)):
        raise ValueError(f"path leaves the folder by a symbolic link: {path}")
    return path


@lru_cache(maxsize=1024)
def _real_folder(folder: Path) -> Path:
    """Follow a folder's links once for all of its files."""
    return Path(os.path.realpath(folder))
