"""Folders of Hugging Face's `datasets`: Parquet or Arrow files with the audio's bytes in them.

PyArrow reads them; it is the extra [parquet], and loaded here alone.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from asr.audio import AUDIO_SUFFIXES
from asr.corpora.delimited import COLUMNS
from asr.corpora.layouts import (
    OUTSIDE,
    SPLIT_NAMES,
    SPLITS,
    Imported,
    UnusableError,
    split_of_folder,
    walk,
)
from asr.corpora.places import resolve_inside
from asr.data.manifest import Utterance
from asr.files import write_atomically

if TYPE_CHECKING:
    import pyarrow

SUFFIXES = frozenset({".parquet", ".arrow"})
# Rows in memory at a time.
_ROWS = 64
# train-00000-of-00002.parquet; a saved dataset's data-00000-of-00001.arrow says nothing.
_SHARD = re.compile(r"(.+?)(?:-\d+-of-\d+)?")
# First bytes of audio that comes without a name.
_MAGIC = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3", b"\xff\xfb": ".mp3"}


def find_shards(source: Path, out: Path) -> list[Path]:
    """List the Parquet and Arrow files below a folder, the caches of `datasets` aside."""
    return [
        path
        for path in walk(source, out)
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("cache-")
    ]


def import_saved_dataset(source: Path, out: Path) -> Imported:
    """Import Parquet or Arrow files; audio is written, byte for byte, below out/audio.

    The split is the file's name (train-00000-of-00001.parquet) or its folder's. Audio is the
    column of structures with `bytes` and `path`; the text is in a column of COLUMNS["text"].

    Raises:
        ValueError: PyArrow is missing, or a file is none of its own, or lacks a column.
    """
    shards = find_shards(source, out)
    if not shards:
        raise ValueError(f"{source}: holds no .parquet or .arrow file")
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{shards[0]}: Parquet and Arrow need pyarrow: pip install 'ctc-asr[parquet]'"
        ) from error
    imported = Imported(source, out)
    for path in shards:
        split = _split_of(path, source)
        stem = "-".join(path.relative_to(source).with_suffix("").parts)
        try:
            for number, row in enumerate(_read_rows(path)):
                identity = f"{stem}-{number:06d}"
                try:
                    _add_row(imported, split, path, identity, row)
                except UnusableError as error:
                    detail = f"{path}, row {number}: {error}"
                    imported.reject(split, path, error.reason, detail, identity)
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error
    return imported


def _split_of(path: Path, source: Path) -> str:
    match = _SHARD.fullmatch(path.stem)
    name = match[1].lower() if match else path.stem
    name = SPLIT_NAMES.get(name, name)
    if name in SPLITS:
        return name
    return split_of_folder(path.parent, source)


def _read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Give the rows, few at a time."""
    import pyarrow
    from pyarrow import parquet

    if path.suffix.lower() == ".parquet":
        with parquet.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow)
            for batch in file.iter_batches(_ROWS):
                yield from batch.to_pylist()
        return
    with pyarrow.memory_map(str(path)) as mapped, pyarrow.ipc.open_stream(mapped) as stream:
        _check_columns(path, stream.schema)
        for batch in stream:
            for start in range(0, batch.num_rows, _ROWS):
                yield from batch.slice(start, _ROWS).to_pylist()


def _check_columns(path: Path, schema: "pyarrow.Schema") -> None:
    for key in ("audio", "text"):
        names = COLUMNS["path" if key == "audio" else key]
        if not any(name in schema.names for name in names):
            raise ValueError(
                f"{path}: no column holds the {key}: none of {', '.join(names)} among "
                f"{', '.join(schema.names)}"
            )


def _add_row(
    imported: Imported, split: str, shard: Path, identity: str, row: dict[str, Any]
) -> None:
    audio = row.pop(next(name for name in COLUMNS["path"] if name in row))
    text = row.pop(next(name for name in COLUMNS["text"] if name in row))
    speaker = next((row.pop(name) for name in COLUMNS["speaker"] if name in row), None)
    if not isinstance(text, str):
        raise UnusableError("no transcript", f"the text must be a string, got {text!r:.60}")
    extra: dict[str, object] = {
        key: value
        for key, value in row.items()
        if isinstance(value, str | int | float) and key not in ("id", "duration", "offset")
    }
    if speaker is not None:
        extra["speaker"] = str(speaker)
    if row.get("id") is not None:
        extra["source_id"] = str(row["id"])
    path = _find_audio(imported, split, shard, identity, audio)
    extra["id"] = identity
    imported.place(split, Utterance(path, math.nan, text, extra), where=str(shard))


def _find_audio(imported: Imported, split: str, shard: Path, identity: str, audio: object) -> Path:
    """Write the bytes of a row, or find the file that it names."""
    content = audio.get("bytes") if isinstance(audio, dict) else None
    name = audio.get("path") if isinstance(audio, dict) else audio
    if isinstance(content, bytes):
        suffix = Path(str(name or "")).suffix.lower()
        if suffix not in AUDIO_SUFFIXES:
            suffix = next((s for magic, s in _MAGIC.items() if content.startswith(magic)), ".wav")
        folder = imported.out / "audio" / split
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{quote(identity, safe='')}{suffix}"
        write_atomically(path, content)
        return path
    if not isinstance(name, str):
        raise UnusableError("no audio", "the audio has neither bytes nor a path")
    try:
        return resolve_inside(name, [shard.parent, imported.root])
    except ValueError as error:
        raise UnusableError(OUTSIDE, str(error)) from error
