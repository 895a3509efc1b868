"""Kaldi folders: wav.scp, text, and where present segments and utt2spk."""

from pathlib import Path

from asr.corpora.cutting import Segment, add_segment
from asr.corpora.layouts import ALL, OUTSIDE, SPLIT_NAMES, SPLITS, Imported, UnusableError
from asr.corpora.places import read_lines, resolve_inside


def import_kaldi(source: Path, out: Path) -> Imported:
    """Import Kaldi's wav.scp, text, and where present segments and utt2spk.

    Subfolders with a wav.scp are the splits; a single folder is divided. Paths are
    relative to their folder or to `source`. Commands (a trailing "|") are never run. Segments are
    cut out of their recordings into `out`.
    """
    imported = Imported(source, out)
    if (source / "wav.scp").is_file():
        read_kaldi_folder(imported, ALL, source)
        return imported
    folders = sorted(path.parent for path in source.glob("*/wav.scp"))
    if not folders:
        raise ValueError(f"{source}: holds no wav.scp, nor does a folder in it")
    for folder in folders:
        split = SPLIT_NAMES.get(folder.name, folder.name)
        if len(folders) == 1 and split not in SPLITS:
            split = ALL
        read_kaldi_folder(imported, split, folder)
    return imported


def read_kaldi_folder(
    imported: Imported, split: str, folder: Path, *, absolute: bool = True
) -> None:
    """Add the utterances of one Kaldi folder, and list those that cannot be used.

    Args:
        absolute: whether its tables are the user's own, and may name audio outside absolutely.
    """
    tables = _KaldiTables(folder, imported.root, absolute)
    for name in sorted((tables.segments or tables.recordings).keys() - tables.texts.keys()):
        detail = f"{folder / 'text'}: has no line for '{name}'"
        imported.reject(split, Path(name), "no transcript", detail, name)
    for name, (text, number) in tables.texts.items():
        try:
            path = tables.find_recording(name)
            if tables.segments:
                segment = tables.find_segment(name, path)
                add_segment(imported, split, segment, anywhere=absolute)
                continue
        except UnusableError as error:
            imported.reject(split, Path(name), error.reason, str(error), name)
            continue
        speaker = {"speaker": tables.speakers[name][0]} if name in tables.speakers else {}
        where = f"{folder / 'text'}:{number}"
        imported.add(split, path, text, where=where, anywhere=absolute, id=name, **speaker)


class _KaldiTables:
    """The files of one Kaldi folder; each maps a key to (value, line number)."""

    def __init__(self, folder: Path, source: Path, absolute: bool) -> None:
        self.folder = folder
        self.source = source
        self.absolute = absolute
        self.recordings = _read_keyed_lines(folder / "wav.scp")
        self.texts = _read_keyed_lines(folder / "text")
        self.segments = _read_optional(folder / "segments")
        self.speakers = _read_optional(folder / "utt2spk")

    def find_recording(self, name: str) -> Path:
        """Find the audio file of an utterance."""
        recording = name
        if self.segments:
            if name not in self.segments:
                raise UnusableError("no audio", f"{self._line('text', name)} is not in segments")
            recording = self.segments[name][0].split(maxsplit=1)[0]
        if recording not in self.recordings:
            where = self._line("segments" if self.segments else "text", name)
            raise UnusableError("no audio", f"{where} has no audio '{recording}' in wav.scp")
        where = self._line("wav.scp", recording)
        value = self.recordings[recording][0]
        if not value:
            raise UnusableError("no audio", f"{where} names no file")
        if value.endswith("|") or value.startswith("|"):
            raise UnusableError(
                "audio is a command", f"{where} is a command, which is not run: {value}"
            )
        try:
            return resolve_inside(value, [self.folder, self.source], absolute=self.absolute)
        except ValueError as error:
            raise UnusableError(OUTSIDE, f"{where}: {error}") from error

    def find_segment(self, name: str, recording: Path) -> Segment:
        """Find the times of an utterance within its recording."""
        value = self.segments[name][0]
        where = self._line("segments", name)
        text, speaker = self.texts[name][0], self.speakers.get(name, (None, 0))[0]
        try:
            _, start, end = value.split()
            return Segment(name, where, recording, float(start), float(end), text, speaker)
        except ValueError as error:
            detail = f"{where} must be 'utterance recording start end', got '{value}'"
            raise UnusableError("bad segment", detail) from error

    def _line(self, table: str, key: str) -> str:
        lines = {"text": self.texts, "segments": self.segments, "wav.scp": self.recordings}
        return f"{self.folder / table}:{lines[table][key][1]}: '{key}'"


def _read_keyed_lines(path: Path) -> dict[str, tuple[str, int]]:
    """Read Kaldi's `key value` lines: the value and the line's number for each key."""
    values: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        key, *value = line.strip().split(maxsplit=1)
        if key in values:
            raise ValueError(f"{path}:{number}: key '{key}' is on line {values[key][1]} already")
        values[key] = (value[0] if value else "", number)
    return values


def _read_optional(path: Path) -> dict[str, tuple[str, int]]:
    return _read_keyed_lines(path) if path.exists() else {}
