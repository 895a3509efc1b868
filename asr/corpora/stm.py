"""NIST's STM, as TED-LIUM has it: who says what from when to when in a long recording."""

import os
import re
from collections.abc import Callable
from pathlib import Path

from asr.audio import AudioError, audio_info
from asr.corpora.cutting import Segment, add_segment
from asr.corpora.layouts import (
    AUDIO_SUFFIXES,
    OUTSIDE,
    Imported,
    UnusableError,
    split_of_folder,
)
from asr.corpora.places import BadLine, read_good_lines, resolve_inside
from asr.corpora.recordings import find_beside

# Texts that stand for speech nobody scores.
_NO_TEXT = frozenset({"ignore_time_segment_in_scoring", "inter_segment_gap", "<unk>"})
# Conditions and sex of the speaker, between the times and the text; TED-LIUM's dev set has <F0_M>.
_LABEL = re.compile(r"<(?:[^<>]*,[^<>]*|F\d+_[MF])>")
# TED-LIUM keeps audio in sph/ beside stm/.
_FOLDERS = (".", "../sph", "../wav", "../audio")


def import_stm(source: Path, out: Path) -> Imported:
    """Import .stm files; folders train, dev and test are the splits.

    A recording is an audio file of that name beside the .stm, or in sph/, wav/ or audio/ beside
    its folder.
    """
    imported = Imported(source, out)
    files = find_beside(imported, frozenset({".stm"}))
    if not files:
        raise ValueError(f"{source}: holds no .stm file")
    for path in files:
        add_stm(imported, split_of_folder(path.parent, source), path)
    return imported


def add_stm(
    imported: Imported, split: str, path: Path, tidy: Callable[[str], str] = str.strip
) -> None:
    """Add the utterances of one .stm file, and list the lines that cannot be used.

    Args:
        tidy: makes of a line's text what was said; raises UnusableError where that is not known.
    """
    for number, line in enumerate(read_good_lines(path), start=1):
        try:
            segment = _read_line(imported, path, number, line, tidy)
        except UnusableError as error:
            detail = f"{path}:{number}: {error}"
            imported.reject(split, path, error.reason, detail, f"{path.stem}-{number}")
            continue
        if segment is not None:
            add_segment(imported, split, segment)


def _read_line(
    imported: Imported, path: Path, number: int, line: str | BadLine, tidy: Callable[[str], str]
) -> Segment | None:
    """Read `recording channel speaker begin end [<labels>] text`; comments begin with ;;."""
    if isinstance(line, BadLine):
        raise UnusableError("row cannot be read", line.problem)
    if not line.strip() or line.startswith(";;"):
        return None
    name, *rest = line.split(maxsplit=5)
    try:
        channel, speaker, begin, end = rest[:4]
        start_s, end_s = float(begin), float(end)
    except ValueError as error:
        detail = f"must be 'recording channel speaker begin end <labels> text', got {line[:60]!r}"
        raise UnusableError("broken transcript line", detail) from error
    text = rest[4] if len(rest) > 4 else ""
    if label := _LABEL.match(text):
        text = text[label.end() :]
    text = text.strip()
    if text in _NO_TEXT:
        raise UnusableError("no speech to learn", f"the text is {text!r}")
    text = tidy(text)
    recording = _find_recording(imported, path, name)
    _check_channel(recording, channel)
    identity = f"{name}-{round(start_s * 100):07d}-{round(end_s * 100):07d}-{channel}"
    return Segment(identity, f"{path}:{number}", recording, start_s, end_s, text, speaker)


def _find_recording(imported: Imported, path: Path, name: str) -> Path:
    outside = None
    for folder in _FOLDERS:
        for suffix in ("", *sorted(AUDIO_SUFFIXES)):
            place = Path(os.path.abspath(path.parent / folder / f"{name}{suffix}"))
            try:
                found = resolve_inside(place, [imported.root])
            except ValueError as error:  # nearly always there is nothing
                outside = str(error) if place.is_file() else outside
                continue
            if found.suffix.lower() in AUDIO_SUFFIXES and found.is_file():
                return found
    if outside:
        raise UnusableError(OUTSIDE, outside)
    raise UnusableError("no audio", f"no audio '{name}' beside it, nor in sph/, wav/ or audio/")


def _check_channel(recording: Path, channel: str) -> None:
    """Refuse one side of a conversation: channels would be mixed."""
    try:
        channels = audio_info(recording).channels
    except AudioError:  # cutting says what is wrong
        return
    if channels > 1 and channel in ("2", "A", "B"):
        detail = f"channel {channel} of {recording} ({channels} channels): write each to a file"
        raise UnusableError("one of several channels", detail)
