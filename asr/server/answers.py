"""Transcripts as the answers of OpenAI's interface."""

import math
import zlib
from collections.abc import Sequence

from starlette.responses import JSONResponse, PlainTextResponse, Response

from asr.decoding.alternatives import word_alternatives
from asr.decoding.hypothesis import Hypothesis, Word
from asr.recognition.formats import format_transcript
from asr.recognition.transcripts import Segment, TimedWord, Transcript, finite, word_record
from asr.server.parameters import Parameters

_MEDIA_TYPES = {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}
# Readings of a word that are shown.
_SHOWN = 5


def make_answer(transcript: Transcript, asked: Parameters) -> Response:
    """Write a transcript in the form that was asked for."""
    style = asked.response_format
    if style in _MEDIA_TYPES:
        return PlainTextResponse(
            format_transcript(transcript, style), media_type=_MEDIA_TYPES[style]
        )
    usage = {"type": "duration", "seconds": math.ceil(transcript.duration_s)}
    if style == "json":
        return JSONResponse({"text": transcript.text, "usage": usage})
    return JSONResponse(verbose_record(transcript, asked) | {"usage": usage})


def verbose_record(transcript: Transcript, asked: Parameters) -> dict[str, object]:
    """JSON object with times, words' confidences, and what else was asked for."""
    record: dict[str, object] = {
        "task": "transcribe",
        "language": asked.language,
        "duration": round(transcript.duration_s, 3),
        "text": transcript.text,
    }
    if "segment" in asked.granularities:
        record["segments"] = [
            segment_record(segment, number) for number, segment in enumerate(transcript.segments)
        ]
    if "word" in asked.granularities:
        with_others = "alternatives" in asked.include
        record["words"] = [
            entry
            for segment in transcript.segments
            for entry in words_record(segment, transcript.joint, with_others=with_others)
        ]
    for style in ("srt", "vtt"):
        if style in asked.include:
            record[style] = format_transcript(transcript, style)
    return record


def segment_record(segment: Segment, number: int) -> dict[str, object]:
    """JSON object of a segment with every key of Whisper's.

    `avg_logprob` is the mean ln confidence of the words; `tokens`, `seek`, `temperature` and
    `no_speech_prob`, which have no counterpart here, are empty and zero.
    """
    text = segment.text.encode()
    return {
        "id": number,
        "seek": 0,
        "start": round(segment.start_s, 3),
        "end": round(segment.end_s, 3),
        "text": segment.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": _mean_log(segment.words),
        "compression_ratio": round(len(text) / len(zlib.compress(text)), 4),
        "no_speech_prob": 0.0,
        "score": finite(segment.score),
    }


def words_record(segment: Segment, joint: str, *, with_others: bool) -> list[dict[str, object]]:
    """JSON objects of a segment's words, with what else each may have been."""
    records = [word_record(word) for word in segment.words]
    if with_others and segment.words:
        for record, others in zip(records, _alternatives(segment, joint), strict=True):
            record["alternatives"] = others
    return records


def _alternatives(segment: Segment, joint: str) -> list[list[dict[str, object]]]:
    readings = [_as_hypothesis([word.word for word in segment.words], segment.score)]
    readings += [
        _as_hypothesis(other.text.split() if joint else list(other.text), other.score)
        for other in segment.alternatives[1:]
    ]
    return [
        [{"word": other.word, "probability": round(other.probability, 4)} for other in place]
        for place in word_alternatives(readings, _SHOWN)
    ]


def _as_hypothesis(words: Sequence[str], score: float) -> Hypothesis:
    """What `word_alternatives` looks at: words and scores."""
    bare = tuple(Word(word, 0, 0, 0.0) for word in words)
    return Hypothesis(" ".join(words), (), score, 0.0, 0.0, bare, (), ())


def _mean_log(words: Sequence[TimedWord]) -> float:
    logs = [math.log(max(word.confidence, 1e-10)) for word in words]
    return round(math.fsum(logs) / len(logs), 4) if logs else 0.0
