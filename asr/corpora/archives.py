"""Corpora in tar archives: unpacked below --out, whole or not at all."""

import os
import shutil
import tarfile
from pathlib import Path
from typing import NamedTuple

from asr.corpora.layouts import AUDIO_SUFFIXES, UNPACKED, find_manifests, walk
from asr.corpora.nemo import find_nemo_manifests
from asr.files import temporary_name

_ARCHIVES = ("*.tar", "*.tar.gz", "*.tgz")


class Place(NamedTuple):
    """Where a corpus lies: its lists and, where that is elsewhere, its audio."""

    root: Path
    audio_root: Path
    notes: list[str]


def locate(source: Path, out: Path) -> Place:
    """Find a corpus in a folder or archive; archives are unpacked where no audio lies beside them.

    Raises:
        ValueError: an archive cannot be unpacked, or leads outside.
    """
    if source.is_file():
        if not tarfile.is_tarfile(source):
            return Place(source, source, [])
        audio_root = _unpack([source], out / UNPACKED)
        return Place(audio_root, audio_root, [f"unpacked {source.name} to {audio_root}"])
    archives = sorted(path for pattern in _ARCHIVES for path in source.glob(pattern))
    if not archives:
        return Place(source, source, [])
    names = ", ".join(path.name for path in archives)
    if _has_audio(source, out):
        return Place(source, source, [f"passed over {names}: audio lies unpacked beside it"])
    audio_root = _unpack(archives, out / UNPACKED)
    has_lists = find_manifests(source) or find_nemo_manifests(source)
    notes = [f"unpacked {path.name} to {audio_root}" for path in archives]
    return Place(source if has_lists else audio_root, audio_root, notes)


def _has_audio(source: Path, out: Path) -> bool:
    return any(path.suffix.lower() in AUDIO_SUFFIXES for path in walk(source, out))


def _unpack(archives: list[Path], folder: Path) -> Path:
    """Unpack archives into one new folder, whole or not at all; a folder that is there is kept."""
    stamp = "".join(f"{path.name} {path.stat().st_size}\n" for path in archives)
    marker = folder / ".unpacked"
    if marker.is_file() and marker.read_text(encoding="utf-8") == stamp:
        return folder
    temporary = temporary_name(folder)
    try:
        for archive in archives:
            with tarfile.open(archive) as tar:
                # "data" refuses paths and links that lead outside, and device files.
                tar.extractall(temporary, filter="data")
        (temporary / marker.name).write_text(stamp, encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"{archives[0].parent}: cannot unpack: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
