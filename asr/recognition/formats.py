"""The text formats that transcripts are written in."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from asr.files import printable
from asr.recognition.subtitles import READABLE, SubtitleLayout, format_srt, format_vtt
from asr.recognition.textgrid import format_textgrid
from asr.recognition.transcripts import Segment, Transcript, finite, word_record

# Each with the ending of its files.
FORMATS = {
    "text": ".txt",
    "json": ".json",
    "srt": ".srt",
    "vtt": ".vtt",
    "ctm": ".ctm",
    "trn": ".trn",
    "textgrid": ".TextGrid",
    "tsv": ".tsv",
}
# These have no place for a recording's name.
OF_ONE_RECORDING = ("srt", "vtt", "textgrid", "tsv")
# What is empty in time, in the last frame of a recording, lasts that long in a TextGrid.
_SHORTEST_S = 0.001


def format_transcripts(transcripts: Sequence[Transcript], style: str) -> str:
    """Write transcripts as one text; several recordings are named in it.

    Args:
        style: one of `FORMATS`.

    Raises:
        ValueError: `style` is none of these, or has no place for several recordings.
    """
    check_format(style)
    if style in OF_ONE_RECORDING and len(transcripts) != 1:
        raise ValueError(f"{style} holds one recording, got {len(transcripts)}")
    named = len(transcripts) > 1
    return "".join(
        format_transcript(transcript, style, named=named)
        for transcript in transcripts
        if transcript.error is None or style == "json"
    )


def check_format(style: str) -> None:
    """Refuse what is no format.

    Raises:
        ValueError: names the formats.
    """
    if style not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {style!r}")


def format_transcript(
    transcript: Transcript,
    style: str,
    layout: SubtitleLayout = READABLE,
    *,
    named: bool = False,
) -> str:
    """Write one transcript.

    Args:
        transcript: without an error, unless the style is JSON.
        style: one of `FORMATS`.
        layout: of subtitles.
        named: whether plain text begins with the recording's name, as beside others.
    """
    if style == "text":
        return f"{show_name(transcript)}: {transcript.text}\n" if named else transcript.text + "\n"
    if style in ("srt", "vtt"):
        return {"srt": format_srt, "vtt": format_vtt}[style](transcript, layout)
    write = {
        "json": _format_json,
        "ctm": _format_ctm,
        "trn": _format_trn,
        "textgrid": _format_textgrid,
        "tsv": _format_tsv,
    }
    return write[style](transcript)


def show_name(transcript: Transcript) -> str:
    """Name a recording, or its channel, on one line."""
    channel = "" if transcript.channel is None else f" [{transcript.channel}]"
    return printable(transcript.audio) + channel


def name_utterance(audio: str, channel: int | None) -> str:
    """Return what a trn file calls a recording, or its channel: its file's name without ending."""
    name = re.sub(r"[\s()]+", "_", Path(audio).stem) or "audio"
    return name if channel is None else f"{name}_{channel}"


def _format_json(transcript: Transcript) -> str:
    """One JSON object on one line; an impossible score is null, as JSON has no infinity."""
    record: dict[str, object] = {"audio": transcript.audio}
    if transcript.channel is not None:
        record["channel"] = transcript.channel
    if transcript.error is not None:
        record["error"] = transcript.error
    else:
        record |= {
            "text": transcript.text,
            "duration": round(transcript.duration_s, 3),
            "score": finite(transcript.score),
            "segments": [segment_record(segment) for segment in transcript.segments],
            "words": [word_record(word) for word in transcript.words],
            "notes": transcript.notes,
        }
    return json.dumps(record, ensure_ascii=False) + "\n"


def segment_record(segment: Segment) -> dict[str, object]:
    """JSON object of a segment, without its words."""
    record: dict[str, object] = {
        "start": round(segment.start_s, 3),
        "end": round(segment.end_s, 3),
        "text": segment.text,
        "score": finite(segment.score),
    }
    if segment.alternatives:
        record["alternatives"] = [
            {"text": other.text, "score": finite(other.score)} for other in segment.alternatives
        ]
    return record


def _format_ctm(transcript: Transcript) -> str:
    """NIST's `file channel start duration word confidence`, one word a line."""
    name = "_".join(transcript.audio.split()) or "audio"
    lines = [
        f"{name} {transcript.channel or 1} {w.start_s:.3f} {w.end_s - w.start_s:.3f} {w.word} "
        f"{w.confidence:.4f}\n"
        for w in transcript.words
    ]
    return "".join(lines)


def _format_trn(transcript: Transcript) -> str:
    """NIST's `text (id)`."""
    return f"{transcript.text} ({name_utterance(transcript.audio, transcript.channel)})\n".lstrip()


def _format_textgrid(transcript: Transcript) -> str:
    words = [
        word._replace(end_s=max(word.end_s, word.start_s + _SHORTEST_S))
        for word in transcript.words
    ]
    end_s = max([transcript.duration_s, *(word.end_s for word in words)])
    return format_textgrid({"words": words}, end_s)


def _format_tsv(transcript: Transcript) -> str:
    """Segments with times in milliseconds, under a row of titles."""
    rows = [
        (str(round(1000 * segment.start_s)), str(round(1000 * segment.end_s)), segment.text)
        for segment in transcript.segments
    ]
    return "".join("\t".join(row) + "\n" for row in [("start", "end", "text"), *rows])
