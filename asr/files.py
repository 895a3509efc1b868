"""The one way a file reaches the disk: whole, or not at all.

Content goes to a temporary name beside the file, is flushed to the disk and renamed. A kill at any
moment leaves the old file or the new one; a temporary file that a killed process left behind is
removed by the next writer of the same file.
"""

import json
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path


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
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
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


def write_json_lines(path: str | Path, records: Iterable[Mapping[str, object]]) -> None:
    """Write one JSON object a line."""
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    write_atomically(path, "".join(lines))


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
