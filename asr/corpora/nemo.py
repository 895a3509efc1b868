"""NeMo's manifests: JSON Lines, parts of recordings by offset and duration, audio in tars."""

import math
import re
from pathlib import Path

from asr.audio import AudioError, audio_info
from asr.corpora.cutting import END_TOLERANCE_S, Segment, add_segment
from asr.corpora.layouts import ALL, OUTSIDE, UNPACKED, Imported, UnusableError
from asr.corpora.places import resolve_inside
from asr.corpora.records import Record, first_keys, read_records, take, take_number
from asr.data.manifest import Utterance
from asr.files import printable

# Words of a manifest's name that say nothing about its split.
_NOISE = frozenset({"manifest", "tarred", "audio", "sharded", "filtered", ""})
# What NeMo appends where an entry of a tar is another part of a recording that is there already.
_PART = re.compile(r"-sub\d+$")


def find_nemo_manifests(source: Path) -> list[Path]:
    """List the manifests of a folder: files whose first line is an object with audio_filepath.

    What `prepare` left out (rejected.jsonl) has a reason too, and is none.
    """
    patterns = ("*.json", "*.jsonl", "sharded_manifests/*.json")
    paths = sorted(path for pattern in patterns for path in source.glob(pattern))
    keys = {path: first_keys(path) for path in paths}
    return [path for path in paths if "audio_filepath" in keys[path] and "reason" not in keys[path]]


def import_nemo(source: Path, out: Path) -> Imported:
    """Import manifests, named after their split: train_manifest.json, dev.jsonl, ...

    Audio is relative to its manifest, or absolute, or in the tars beside it. An entry with
    `offset` is cut out.
    """
    imported = Imported(source if source.is_dir() else source.parent, out)
    manifests = [source] if source.is_file() else find_nemo_manifests(source)
    if not manifests:
        raise ValueError(f"{source}: holds no .json or .jsonl whose lines have 'audio_filepath'")
    for manifest in manifests:
        split = split_of_manifest(manifest.stem)
        for record in read_records(manifest):
            try:
                _add_record(imported, split, manifest.parent, record)
            except UnusableError as error:
                imported.reject(split, manifest, error.reason, str(error))
    imported.name_by_path(imported.root)
    return imported


def split_of_manifest(stem: str) -> str:
    """Tell the split: train_manifest is train, tarred_audio_manifest and manifest_0 are in none."""
    words = [word for word in re.split(r"[_.-]", stem) if word.lower() not in _NOISE]
    name = "_".join(word for word in words if not word.isdigit())
    return name or ALL


def _add_record(imported: Imported, split: str, folder: Path, record: Record) -> None:
    name, text = take(record, "path"), take(record, "text")
    offset, duration = take_number(record, "offset"), take_number(record, "duration")
    path = _find(imported, folder, name, record.where)
    extra = {key: value for key, value in record.values.items() if value is not None}
    if offset is None or (offset == 0 and _is_whole(path, duration)):
        utterance = Utterance(path, math.nan if duration is None else duration, text, extra)
        imported.place(split, utterance, where=record.where, anywhere=True)
        return
    if duration is None:
        raise UnusableError("bad segment", f"{record.where}: has 'offset' but no 'duration'")
    stem = printable(Path(name).with_suffix("").as_posix())
    identity = str(extra.pop("id", f"{stem}-{offset}"))
    speaker = extra.pop("speaker", None)
    segment = Segment(
        identity.lstrip("/"),
        record.where,
        path,
        offset,
        offset + duration,
        text,
        None if speaker is None else str(speaker),
    )
    add_segment(imported, split, segment, anywhere=True, **extra)


def _is_whole(path: Path, duration: float | None) -> bool:
    """Whether a part from the beginning on is all there is, as far as the file can be read."""
    try:
        return duration is None or audio_info(path).duration_s <= duration + END_TOLERANCE_S
    except AudioError:  # verification says what is wrong
        return True


def _find(imported: Imported, folder: Path, name: str, where: str) -> Path:
    """Find an entry's audio beside its manifest, or where the tars were unpacked."""
    unpacked = imported.out / UNPACKED
    whole = Path(name)
    part = whole.with_name(_PART.sub("", whole.stem) + whole.suffix) if whole.name else whole
    try:
        path = resolve_inside(name, [folder, imported.root], absolute=True)
        if path.exists() or whole.is_absolute() or not unpacked.is_dir():
            return path
        tarred = [resolve_inside(n, [unpacked]) for n in (name, str(part))]
    except ValueError as error:
        raise UnusableError(OUTSIDE, f"{where}: {error}") from error
    return next((candidate for candidate in tarred if candidate.exists()), tarred[0])
