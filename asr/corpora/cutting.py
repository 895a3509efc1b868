"""Utterances of long recordings, each cut into a file of its own below OUT/segments."""

import math
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from asr.audio import AudioError, audio_info, read_segment, write_wav
from asr.corpora.layouts import Imported, UnusableError
from asr.data.manifest import Utterance

# Times of segments are rounded: the last may end this many seconds after its recording.
END_TOLERANCE_S = 0.05
# `Segment.end_s` of one that lasts to the end of its recording.
TO_THE_END = -1.0


class Segment(NamedTuple):
    """An utterance of a recording.

    Attributes:
        id: its name; becomes that of its file.
        where: file and line that give the times, for messages.
        recording: the audio file it is cut from.
        start_s: seconds.
        end_s: seconds, or TO_THE_END.
        text: what is said.
        speaker: who says it, where that is known.
    """

    id: str
    where: str
    recording: Path
    start_s: float
    end_s: float
    text: str
    speaker: str | None = None


def add_segment(
    imported: Imported, split: str, segment: Segment, *, anywhere: bool = False, **extra: object
) -> None:
    """Cut a segment out and add it, or list why it cannot be used.

    Args:
        anywhere: whether its recording may lie outside the corpus.
        extra: further keys of the manifest; `recording` and `recording_start` are added.
    """
    try:
        if not anywhere:
            imported.check_inside(segment.recording, segment.where)
        path = _cut(segment, imported.out / "segments" / split)
    except UnusableError as error:
        imported.reject(split, segment.recording, error.reason, str(error), segment.id)
        return
    imported.origins[path] = segment.recording
    if segment.speaker:
        extra["speaker"] = segment.speaker
    extra |= {
        "id": segment.id,
        "recording": segment.recording.stem,
        "recording_start": round(segment.start_s, 3),
    }
    utterance = Utterance(path, math.nan, segment.text, extra)
    imported.place(split, utterance, where=segment.where)


def _cut(segment: Segment, folder: Path) -> Path:
    """Write a segment's samples to a file of its own, named after its id."""
    start_s, end_s = segment.start_s, segment.end_s
    try:
        duration_s = audio_info(segment.recording).duration_s
        end_s = duration_s if end_s == TO_THE_END else end_s
        if not 0 <= start_s < end_s <= duration_s + END_TOLERANCE_S:
            raise UnusableError(
                "bad segment",
                f"{segment.where} {start_s} to {end_s} s leaves {segment.recording} "
                f"of {duration_s:.3f} s",
            )
        audio = read_segment(segment.recording, start_s, end_s)
    except AudioError as error:
        detail = f"{segment.where}: {error}"
        raise UnusableError("recording cannot be read", detail) from error
    folder.mkdir(parents=True, exist_ok=True)
    # An utterance's name may hold a slash.
    path = folder / f"{quote(segment.id, safe='')}.wav"
    write_wav(path, audio.waveform, audio.sample_rate)
    return path
