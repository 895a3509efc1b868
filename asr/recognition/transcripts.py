"""Transcripts with times, and the text formats they are written in: text, json, srt, vtt, ctm."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import zip_longest
from typing import NamedTuple, Protocol

# Subtitles: Netflix's English style guide allows 2 lines of 42 characters for at most 7 seconds.
MAX_LINE_CHARACTERS = 42
MAX_CUE_LINES = 2
MAX_CUE_S = 7.0
# Readers need 5/6 s for the shortest cue (same guide); it may not run into the next one.
MIN_CUE_S = 0.833
# A pause this long ends a cue: what comes after is the next thing said.
CUE_PAUSE_S = 0.8


class TimedWord(NamedTuple):
    """A word with its place in the recording.

    `start_s` and `end_s` are where the model emitted its first and last token, which lags the sound
    by some frames; `confidence` is in [0, 1].
    """

    word: str
    start_s: float
    end_s: float
    confidence: float


@dataclass(frozen=True)
class Transcript:
    """What was said in one recording.

    Attributes:
        text: the words; "" where nothing was recognised, or where there is an `error`.
        words: the words of `text` with times and confidences.
        duration_s: seconds of audio; 0 where there is an `error`.
        score: what the decoder ranked by, in nats; -inf where it found nothing possible.
        audio: the file's name as it was given, or "" for a waveform.
        notes: what was converted on the way in (channels mixed down, sample rate changed).
        error: why there is no transcript; only in the results of a list.
        joint: what stands between two words; "" where every token is one, as in Chinese.
    """

    text: str
    words: list[TimedWord] = field(default_factory=list)
    duration_s: float = 0.0
    score: float = -math.inf
    audio: str = ""
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    joint: str = " "


class FramedWord(Protocol):
    """A word as decoders give it, timed in frames."""

    @property
    def word(self) -> str:
        """The word."""
        ...

    @property
    def start_frame(self) -> int:
        """Frame of the first token."""
        ...

    @property
    def end_frame(self) -> int:
        """One past the frame of the last token."""
        ...

    @property
    def confidence(self) -> float:
        """In [0, 1]."""
        ...


class Cue(NamedTuple):
    """One subtitle."""

    start_s: float
    end_s: float
    lines: list[str]


def time_words(
    words: Iterable[FramedWord], seconds_per_frame: float, duration_s: float
) -> list[TimedWord]:
    """Turn frames into seconds: frame t covers [t, t + 1) * seconds_per_frame, cut at the end."""
    return [
        TimedWord(
            w.word,
            min(w.start_frame * seconds_per_frame, duration_s),
            min(w.end_frame * seconds_per_frame, duration_s),
            w.confidence,
        )
        for w in words
    ]


def format_transcripts(transcripts: Sequence[Transcript], style: str) -> str:
    """Write transcripts as one text.

    Several recordings can share a text file (each line then begins with the file's name), a JSON
    Lines file or a CTM; subtitles belong to one recording.

    Args:
        style: "text", "json", "srt", "vtt" or "ctm".

    Raises:
        ValueError: `style` is none of these, or several recordings are asked for as subtitles.
    """
    if style not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {style!r}")
    if style in ("srt", "vtt") and len(transcripts) != 1:
        raise ValueError(f"{style} holds one recording, got {len(transcripts)}")
    if style == "text" and len(transcripts) > 1:
        return "".join(f"{t.audio}: {t.text}\n" for t in transcripts if t.error is None)
    return "".join(FORMATS[style](transcript) for transcript in transcripts)


def _format_text(transcript: Transcript) -> str:
    return transcript.text + "\n"


def _format_json(transcript: Transcript) -> str:
    """One JSON object on one line; an impossible score is null, as JSON has no infinity."""
    if transcript.error is not None:
        record: dict[str, object] = {"audio": transcript.audio, "error": transcript.error}
    else:
        record = {
            "audio": transcript.audio,
            "text": transcript.text,
            "duration": round(transcript.duration_s, 3),
            "score": finite(transcript.score),
            "words": [word_record(word) for word in transcript.words],
            "notes": transcript.notes,
        }
    return json.dumps(record, ensure_ascii=False) + "\n"


def word_record(word: TimedWord) -> dict[str, object]:
    """JSON object of a word: milliseconds are finer than any frame."""
    return {
        "word": word.word,
        "start": round(word.start_s, 3),
        "end": round(word.end_s, 3),
        "confidence": round(word.confidence, 4),
    }


def finite(score: float, digits: int = 4) -> float | None:
    """Round a score for JSON, which has no infinities."""
    return round(score, digits) if math.isfinite(score) else None


def _format_ctm(transcript: Transcript) -> str:
    """NIST's `file channel start duration word confidence`, one word a line."""
    name = "_".join(transcript.audio.split()) or "audio"
    lines = [
        f"{name} 1 {w.start_s:.3f} {w.end_s - w.start_s:.3f} {w.word} {w.confidence:.4f}\n"
        for w in transcript.words
    ]
    return "".join(lines)


def _format_srt(transcript: Transcript) -> str:
    blocks = []
    for number, cue in enumerate(_cues_of(transcript), start=1):
        times = f"{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}"
        text = "\n".join(line.replace("-->", "->") for line in cue.lines)
        blocks.append(f"{number}\n{times}\n{text}\n")
    return "\n".join(blocks)


def _format_vtt(transcript: Transcript) -> str:
    blocks = ["WEBVTT\n"]
    for cue in _cues_of(transcript):
        times = f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}"
        text = "\n".join(escape(line, quote=False) for line in cue.lines)
        blocks.append(f"{times}\n{text}\n")
    return "\n".join(blocks)


FORMATS: dict[str, Callable[[Transcript], str]] = {
    "text": _format_text,
    "json": _format_json,
    "srt": _format_srt,
    "vtt": _format_vtt,
    "ctm": _format_ctm,
}


def _cues_of(transcript: Transcript) -> list[Cue]:
    return make_cues(transcript.words, transcript.duration_s, transcript.joint)


def make_cues(words: Sequence[TimedWord], duration_s: float, joint: str = " ") -> list[Cue]:
    """Group words into subtitles that can be read: short lines, no longer than what was said.

    A cue ends before a pause, and before it would overflow its lines or its seconds. Short cues
    stay up a little longer, never into the next one or past the end of the recording.
    """
    groups: list[list[TimedWord]] = []
    for word in words:
        if groups and _fits(groups[-1], word, joint):
            groups[-1].append(word)
        else:
            groups.append([word])
    cues = []
    for group, following in zip_longest(groups, groups[1:]):
        latest = following[0].start_s if following else max(duration_s, group[-1].end_s)
        end_s = min(max(group[-1].end_s, group[0].start_s + MIN_CUE_S), latest)
        cues.append(Cue(group[0].start_s, end_s, _wrap([w.word for w in group], joint)))
    return cues


def _fits(group: list[TimedWord], word: TimedWord, joint: str) -> bool:
    """Whether a cue can take one more word."""
    return (
        word.start_s - group[-1].end_s < CUE_PAUSE_S
        and word.end_s - group[0].start_s <= MAX_CUE_S
        and len(_wrap([w.word for w in [*group, word]], joint)) <= MAX_CUE_LINES
    )


def _wrap(words: Sequence[str], joint: str) -> list[str]:
    """Fill lines with words; a word longer than a line has one to itself."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(joint) + len(word) <= MAX_LINE_CHARACTERS:
            lines[-1] += joint + word
        else:
            lines.append(word)
    return lines


def _clock(seconds: float, separator: str) -> str:
    """Format as HH:MM:SS.mmm with the format's own separator."""
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}{separator}{milliseconds % 1000:03d}"
    )
