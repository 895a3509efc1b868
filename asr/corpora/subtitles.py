"""Subtitles beside long recordings: SubRip (.srt) and WebVTT (.vtt), an utterance a cue."""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from asr.corpora.cutting import Segment, add_segment
from asr.corpora.layouts import Imported, UnusableError, split_of_folder
from asr.corpora.places import BadLine, read_good_lines
from asr.corpora.recordings import find_beside, recording_of

SUFFIXES = frozenset({".srt", ".vtt"})
_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_MARKUP = re.compile(r"<[^>]*>|\{\\[^}]*\}")
# What is heard, but not said: [music], (applause), ♪ ... ♪.
_SOUND = re.compile(r"(?:\s*(?:\[[^\]]*\]|\([^)]*\)|♪[^♪]*♪?)\s*)+")


class Cue(NamedTuple):
    """Seconds, and what is said between them; `line` is that of the times."""

    line: int
    start_s: float
    end_s: float
    text: str
    speaker: str | None


def import_subtitles(source: Path, out: Path) -> Imported:
    """Import .srt and .vtt files beside the recordings of their name.

    Folders train, dev and test are the splits. Cues without speech ([music]) are listed.
    """
    imported = Imported(source, out)
    files = find_beside(imported, SUFFIXES)
    if not files:
        raise ValueError(f"{source}: holds no .srt or .vtt file")
    for path in files:
        split = split_of_folder(path.parent, source)
        try:
            recording = recording_of(path)
        except UnusableError as error:
            imported.reject(split, path, error.reason, str(error))
            continue
        stem = "-".join(path.relative_to(source).with_suffix("").parts)
        for number, cue in enumerate(_read_cues(path), start=1):
            _add_cue(imported, split, path, recording, f"{stem}-{number:05d}", cue)
    imported.notes.append(
        "subtitles' times are made for reading: look at the fastest and slowest in prepare.html"
    )
    return imported


def _add_cue(
    imported: Imported,
    split: str,
    path: Path,
    recording: Path,
    identity: str,
    cue: Cue | UnusableError,
) -> None:
    if isinstance(cue, UnusableError):
        imported.reject(split, path, cue.reason, str(cue), identity)
        return
    where = f"{path}:{cue.line}"
    if not cue.text or _SOUND.fullmatch(cue.text):
        detail = f"{where}: {cue.text!r} is no speech"
        imported.reject(split, path, "cue without speech", detail, identity)
        return
    segment = Segment(identity, where, recording, cue.start_s, cue.end_s, cue.text, cue.speaker)
    add_segment(imported, split, segment)


def _read_cues(path: Path) -> Iterator[Cue | UnusableError]:
    """Give the cues of a file: a line of times, and the lines after it up to a blank one."""
    lines = read_good_lines(path)
    position = 0
    while position < len(lines):
        number, line = position + 1, lines[position]
        position += 1
        if isinstance(line, BadLine):
            yield UnusableError("row cannot be read", f"{path}:{number}: {line.problem}")
            continue
        if "-->" not in line:
            continue
        texts = []
        while position < len(lines) and (text := lines[position]):
            texts.append(text)
            position += 1
        yield _parse_cue(path, number, line, texts)


def _parse_cue(
    path: Path, number: int, times: str, lines: list[str | BadLine]
) -> Cue | UnusableError:
    found = _TIMES.fullmatch(times)
    if found is None:
        detail = f"{path}:{number}: must be 'start --> end', got {times[:60]!r}"
        return UnusableError("broken times", detail)
    for offset, line in enumerate(lines, start=1):
        if isinstance(line, BadLine):
            detail = f"{path}:{number + offset}: {line.problem}"
            return UnusableError("row cannot be read", detail)
    text = " ".join(map(str, lines))
    voice = _VOICE.search(text)
    start_s, end_s = (_seconds(*found.groups()[first : first + 4]) for first in (0, 4))
    spoken = " ".join(html.unescape(_MARKUP.sub("", text)).split())
    return Cue(number, start_s, end_s, spoken, voice[1].strip() if voice else None)


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    whole = 3600 * int(hours or 0) + 60 * int(minutes) + int(seconds)
    return whole + int(fraction) / 10 ** len(fraction)
