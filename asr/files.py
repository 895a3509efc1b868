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
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary name; the file that is written there replaces `path` at the end.

    An error inside the block leaves `path` as it was and no temporary file.

    Raises:
        OSError: the file cannot be written; the message names it.
    """
    path = Path(path)
    _remove_abandoned(path)
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


def _remove_abandoned(path: Path) -> None:
    """Remove temporary files of `path` whose process, on this host, is no more."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.{re.escape(_host())}\.(\d+)\.tmp")
    try:
        names = os.listdir(path.parent)
    except OSError:  # writing will say what is wrong
        return
    for name in names:
        found = pattern.fullmatch(name)
        if found and not _is_running(int(found[1])):
            (path.parent / name).unlink(missing_ok=True)


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
