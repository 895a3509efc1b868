"""Subtitles: words to cues that can be read, as SRT and WebVTT."""

from collections.abc import Sequence
from html import escape
from itertools import zip_longest
from typing import NamedTuple

from asr.recognition.transcripts import TimedWord, Transcript

# Subtitles: Netflix's English style guide allows 2 lines of 42 characters for at most 7 seconds.
MAX_LINE_WIDTH = 42
MAX_CUE_LINES = 2
MAX_CUE_S = 7.0
# Readers need 5/6 s for the shortest cue (same guide); it may not run into the next one.
MIN_CUE_S = 0.833
# A pause this long ends a cue: what comes after is the next thing said.
CUE_PAUSE_S = 0.8


class SubtitleLayout(NamedTuple):
    """How much a subtitle holds; the defaults are those of the guide above.

    Attributes:
        max_line_width: characters of a line; a longer word has a line to itself.
        words_per_line: words of a line at most, and then a subtitle is one line; None: as many as
            fit, on two lines.
    """

    max_line_width: int = MAX_LINE_WIDTH
    words_per_line: int | None = None


READABLE = SubtitleLayout()


class Cue(NamedTuple):
    """One subtitle."""

    start_s: float
    end_s: float
    lines: list[str]


def format_srt(transcript: Transcript, layout: SubtitleLayout) -> str:
    """Write SubRip."""
    blocks = []
    for number, cue in enumerate(_cues_of(transcript, layout), start=1):
        times = f"{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}"
        text = "\n".join(line.replace("-->", "->") for line in cue.lines)
        blocks.append(f"{number}\n{times}\n{text}\n")
    return "\n".join(blocks)


def format_vtt(transcript: Transcript, layout: SubtitleLayout) -> str:
    """Write WebVTT."""
    blocks = ["WEBVTT\n"]
    for cue in _cues_of(transcript, layout):
        times = f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}"
        text = "\n".join(escape(line, quote=False) for line in cue.lines)
        blocks.append(f"{times}\n{text}\n")
    return "\n".join(blocks)


def _cues_of(transcript: Transcript, layout: SubtitleLayout) -> list[Cue]:
    return make_cues(transcript.words, transcript.duration_s, transcript.joint, layout)


def make_cues(
    words: Sequence[TimedWord],
    duration_s: float,
    joint: str = " ",
    layout: SubtitleLayout = READABLE,
) -> list[Cue]:
    """Group words into subtitles that can be read: short lines, no longer than what was said.

    A cue ends before a pause, and before it would overflow its lines or its seconds. Short cues
    stay up a little longer, never into the next one or past the end of the recording.
    """
    groups: list[list[TimedWord]] = []
    for word in words:
        if groups and _fits(groups[-1], word, joint, layout):
            groups[-1].append(word)
        else:
            groups.append([word])
    cues = []
    for group, following in zip_longest(groups, groups[1:]):
        latest = following[0].start_s if following else max(duration_s, group[-1].end_s)
        end_s = min(max(group[-1].end_s, group[0].start_s + MIN_CUE_S), latest)
        cues.append(Cue(group[0].start_s, end_s, _wrap([w.word for w in group], joint, layout)))
    return cues


def _fits(group: list[TimedWord], word: TimedWord, joint: str, layout: SubtitleLayout) -> bool:
    """Whether a cue can take one more word."""
    most_lines = MAX_CUE_LINES if layout.words_per_line is None else 1
    return (
        word.start_s - group[-1].end_s < CUE_PAUSE_S
        and word.end_s - group[0].start_s <= MAX_CUE_S
        and len(_wrap([w.word for w in [*group, word]], joint, layout)) <= most_lines
    )


def _wrap(words: Sequence[str], joint: str, layout: SubtitleLayout) -> list[str]:
    """Fill lines with words; a word longer than a line has one to itself."""
    most = layout.words_per_line or len(words)
    lines: list[list[str]] = []
    for word in words:
        if (
            lines
            and len(lines[-1]) < most
            and len(joint.join([*lines[-1], word])) <= layout.max_line_width
        ):
            lines[-1].append(word)
        else:
            lines.append([word])
    return [joint.join(line) for line in lines]


def _clock(seconds: float, separator: str) -> str:
    """Format as HH:MM:SS.mmm with the format's own separator."""
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}{separator}{milliseconds % 1000:03d}"
    )
