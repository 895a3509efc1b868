"""The one way a file reaches the disk: whole, or not at all; and how a stranger's file is read.

Content goes to a temporary name beside the file, is flushed to the disk and renamed. A kill at any
moment leaves the old file or the new one; a temporary file that a killed process left behind is
removed by the next writer of the same file.
"""

import json
import os
import re
import socket
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from unicodedata import category


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary name; the file that is written there replaces `path` at the end.

    An error inside the block leaves `path` as it was and no temporary file.

    Raises:
        OSError: the file cannot be written; the message names it.
    """
    path = Path(path)
    remove_abandoned(path.parent, path.name)
    temporary = temporary_name(path)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.filename in (None, str(temporary), os.fspath(temporary)):
            raise OSError(f"{path}: cannot write ({error.strerror or error})") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: str | Path, content: bytes | str) -> None:
    """Write a file; text as UTF-8 with line feeds.

    What UTF-8 cannot hold (a lone surrogate, from a file name or a damaged text) is written as its
    escape, which in JSON means the same.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "backslashreplace")
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def append_text(path: str | Path, text: str) -> None:
    """Add to the end of a file, of which a full disk may leave a part.

    Raises:
        OSError: the file cannot be written; the message names it.
    """
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise OSError(f"{path}: cannot write ({error.strerror or error})") from error


def write_json_lines(path: str | Path, records: Iterable[Mapping[str, object]]) -> None:
    """Write one JSON object a line."""
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    write_atomically(path, "".join(lines))


def read_bytes(path: str | Path, most: int = 2**31) -> bytes:
    """Read a file that anybody may have made.

    Raises:
        ValueError: it is no regular file (a pipe would wait for ever, a device never end), holds
            more than `most` bytes, or cannot be read; the message names it.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError(f"{path}: is not a regular file")
            content = file.read(most + 1)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > most:
        raise ValueError(f"{path}: must hold at most {most} bytes")
    return content


def read_text(path: str | Path, most: int = 2**31) -> str:
    """Read UTF-8, without the byte order mark where there is one; line ends become line feeds.

    Raises:
        ValueError: as `read_bytes`, or it is not UTF-8.
    """
    content = read_bytes(path, most)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not UTF-8 at byte {error.start}") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_json(text: str | bytes) -> object:
    """Parse JSON that anybody may have written.

    Raises:
        ValueError: it is not JSON, not UTF-8, or nested too deep.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("is nested too deep") from error


def printable(text: str) -> str:
    r"""Escape what a terminal would obey and what UTF-8 cannot hold; the rest stays.

    Control characters (an escape sequence in a file's name can rewrite a screen), marks that turn
    the direction of writing, and lone surrogates become \x1b, \u202e, \udcff.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or category(c) == "Zs" else c.encode("unicode_escape").decode()
        for c in text
    )


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for who writes into a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def temporary_name(path: Path) -> Path:
    """Name a hidden file or folder beside `path` that says which process of which host owns it."""
    return path.with_name(f".{path.name}.{_host()}.{os.getpid()}.tmp")


def remove_abandoned(folder: Path, name: str | None = None) -> None:
    """Remove temporary files, of `name` or of any, whose process, on this host, is no more."""
    stem = ".+" if name is None else re.escape(name)
    pattern = re.compile(rf"\.{stem}\.{re.escape(_host())}\.(\d+)\.tmp")
    try:
        names = os.listdir(folder)
    except OSError:  # writing will say what is wrong
        return
    for entry in names:
        found = pattern.fullmatch(entry)
        if found and not _is_running(int(found[1])):
            with suppress(OSError):  # a folder of that name is left alone
                (folder / entry).unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _host() -> str:
    return re.sub(r"\W+", "-", socket.gethostname())
