"""Folders that a command fills: who may use one, what it was made from, and by whom.

    with claim(folder, config, resume=None, overwrite=False, free_keys=(), owned=("wer.txt",)):
        ...write into the folder...

`claim` refuses a folder that is not empty (unless told to go on or to overwrite, which removes
only the files that match `owned`), locks it against other processes while the block runs, and
leaves config.yaml and env.json in it. A folder that is resumed must have been made from the same
configuration, except for `free_keys`.
"""

import fcntl
import json
import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from asr.cli.environment import environment
from asr.evaluation.options import flatten
from asr.files import remove_abandoned, write_atomically

LOCK = ".lock"

logger = logging.getLogger(__name__)


class RunFolderError(ValueError):
    """A folder that cannot be used as asked."""


@contextmanager
def claim(
    folder: Path,
    config: Mapping[str, object],
    *,
    resume: str | None,
    overwrite: bool,
    free_keys: Sequence[str],
    owned: Sequence[str],
    state: str = "config.yaml",
) -> Iterator[None]:
    """Make or reopen a folder, describe it, and hold it for the length of the block.

    Args:
        folder: the folder; it is made where it is missing.
        config: resolved configuration, written as config.yaml.
        resume: "auto" goes on with what the folder holds; None starts afresh.
        overwrite: whether a folder that is not empty may be started afresh.
        free_keys: beginnings of keys in which a resumed configuration may differ.
        owned: patterns of files, below the folder, that starting afresh removes.
        state: the file that is resumed from; without it, resuming starts afresh.

    Raises:
        RunFolderError: the folder is not empty and neither option was given, another process uses
            it, or the configuration differs from the one that is resumed.
    """
    if resume not in (None, "auto"):
        raise RunFolderError(f"resume must be auto or null, got {resume!r}")
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        for place in (folder, *(path for path in folder.iterdir() if path.is_dir())):
            remove_abandoned(place)
        if any(path.name != LOCK for path in folder.iterdir()):
            if resume:
                _check_resumable(folder, state, config, free_keys)
            elif overwrite:
                _remove(folder, owned)
            else:
                raise RunFolderError(f"{folder} is not empty: add resume=auto or overwrite=true")
        write_atomically(folder / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False))
        write_atomically(folder / "env.json", json.dumps(environment(), indent=2))
        yield


def holder(folder: Path) -> str | None:
    """Say who holds a folder, as seen from here; None where nobody does."""
    path = folder / LOCK
    return path.read_text() if path.is_file() else None


def is_held(folder: Path) -> bool:
    """Whether a process of this machine fills a folder; a lock that a kill left counts for none."""
    try:
        file = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def check_same_config(
    path: Path, config: Mapping[str, object], free_keys: Sequence[str] = ()
) -> None:
    """Refuse to go on with what was made from a config.yaml that differs in more than `free_keys`.

    Raises:
        RunFolderError: names the key and both values.
    """
    for key, change in config_changes(path, config).items():
        if not key.startswith(tuple(free_keys)):
            raise RunFolderError(f"cannot resume {path.parent} with another {key}: {change}")
        logger.info("resuming with another %s: %s", key, change)


def config_changes(path: Path, config: Mapping[str, object]) -> dict[str, str]:
    """Say, for each key in which a configuration differs from a config.yaml, old and new value."""
    old, new = flatten(yaml.safe_load(path.read_text())), flatten(config)
    return {
        key: f"{old.get(key)!r} -> {new.get(key)!r}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    }


def _check_resumable(
    folder: Path, state: str, config: Mapping[str, object], free_keys: Sequence[str]
) -> None:
    if not (folder / state).is_file():
        logger.info("resume=auto: %s holds no %s yet, starting afresh", folder, state)
    elif (folder / "config.yaml").is_file():
        check_same_config(folder / "config.yaml", config, free_keys)


def _remove(folder: Path, owned: Sequence[str]) -> None:
    """Remove files that would be mistaken for the new run's."""
    for pattern in owned:
        for file in folder.glob(pattern):
            file.unlink(missing_ok=True)


@contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Hold a file's lock for a moment, after whoever holds it now."""
    with path.open("a") as file:
        with suppress(OSError):  # a file system without locks: `locked` warns of it
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; it goes with the process, so that a kill leaves nothing to clean.

    Raises:
        RunFolderError: another process holds it; names that process.
    """
    path = folder / LOCK
    file = _lock(path)
    try:
        yield
    finally:
        if file is not None:
            path.unlink(missing_ok=True)
            os.close(file)


def _lock(path: Path) -> int | None:
    """Lock a file and write into it who did; None where the file system knows no locks."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(file, 1000).decode("utf-8", "replace") or "another process"
            os.close(file)
            raise RunFolderError(f"{path.parent} is in use by {owner}") from error
        except OSError as error:
            os.close(file)
            path.unlink(missing_ok=True)
            logger.warning("%s cannot be locked (%s): run nothing else in it", path.parent, error)
            return None
        # Whoever held it before may have removed the file between our two calls.
        if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
            _sign(file, path)
            return file
        os.close(file)


def _sign(file: int, path: Path) -> None:
    """Write into a lock who holds it; where the disk is full, let go of it."""
    try:
        os.truncate(file, 0)
        os.write(file, f"process {os.getpid()} on {socket.gethostname()}".encode())
    except OSError as error:
        path.unlink(missing_ok=True)
        os.close(file)
        raise OSError(f"{path}: cannot write ({error.strerror})") from error
