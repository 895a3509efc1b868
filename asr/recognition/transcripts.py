"""Transcripts: what was said, word by word, with times."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from asr.decoding import Hypothesis


class TimedWord(NamedTuple):
    """A word with its place in the recording.

    `start_s` and `end_s` are where the model emitted its first and last token, which lags the sound
    by some frames; `confidence` is in [0, 1].
    """

    word: str
    start_s: float
    end_s: float
    confidence: float


class Alternative(NamedTuple):
    """A reading of a segment; `score` is what the decoder ranked by, in nats."""

    text: str
    score: float


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording that was decoded by itself.

    Attributes:
        text: the words.
        words: the words of `text` with times and confidences.
        start_s: seconds, where the first word begins.
        end_s: seconds, where the last word ends.
        score: what the decoder ranked by, in nats.
        alternatives: the n-best list, best first, `text` among them; empty if it has one reading.
    """

    text: str
    words: list[TimedWord]
    start_s: float
    end_s: float
    score: float
    alternatives: list[Alternative] = field(default_factory=list)

    @property
    def says_something(self) -> bool:
        """Whether any reading has words."""
        return bool(self.text) or any(other.text for other in self.alternatives)


@dataclass(frozen=True)
class Transcript:
    """What was said in one recording.

    Attributes:
        text: the words; "" where nothing was recognised, or where there is an `error`.
        words: the words of `text` with times and confidences.
        duration_s: seconds of audio; 0 where there is an `error`.
        score: what the decoder ranked by, in nats, of all segments; -inf where it found nothing
            possible.
        audio: the file's name as it was given, or "" for a waveform.
        notes: what was converted on the way in (channels mixed down, sample rate changed).
        error: why there is no transcript; only in the results of a list.
        joint: what stands between two words; "" where every token is one, as in Chinese.
        segments: what was decoded together, in order, without stretches of silence; recordings of
            at most 30 s are one.
        channel: the one that was transcribed, from 1; None where all were averaged.
    """

    text: str
    words: list[TimedWord] = field(default_factory=list)
    duration_s: float = 0.0
    score: float = -math.inf
    audio: str = ""
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    joint: str = " "
    segments: list[Segment] = field(default_factory=list)
    channel: int | None = None


class PartialTranscript(NamedTuple):
    """What is known of an utterance that is being said.

    Attributes:
        text: the best text so far; its last word may be incomplete.
        stable_text: its first words, as far as nothing to come can change them. Within an utterance
            it only grows.
        words: the words of `text`, in seconds of the stream.
    """

    text: str
    stable_text: str
    words: list[TimedWord]


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


def make_segment(
    n_best: Sequence[Hypothesis],
    first_frame: int,
    num_frames: int,
    seconds_per_frame: float,
    duration_s: float,
) -> Segment:
    """Describe what was decoded together.

    Args:
        n_best: hypotheses, best first.
        first_frame: of the recording.
        num_frames: that were decoded.
        seconds_per_frame: of the decoder.
        duration_s: seconds of the recording that were read; no time is later.
    """
    best = n_best[0]
    words = time_words(best.words, seconds_per_frame, duration_s, first_frame)
    end_frame = first_frame + num_frames
    start_s, end_s = _cover(first_frame, end_frame, seconds_per_frame, duration_s)
    if words:
        start_s, end_s = words[0].start_s, words[-1].end_s
    others = [Alternative(h.text, h.score) for h in n_best] if len(n_best) > 1 else []
    return Segment(best.text, words, start_s, end_s, best.score, others)


def join_segments(
    segments: Sequence[Segment],
    joint: str,
    duration_s: float,
    audio: str,
    notes: list[str],
    channel: int | None,
) -> Transcript:
    """Make the transcript of a recording of all its segments, in order; see `Transcript`."""
    return Transcript(
        joint.join(segment.text for segment in segments if segment.text),
        [word for segment in segments for word in segment.words],
        duration_s,
        sum(segment.score for segment in segments),
        audio,
        notes,
        joint=joint,
        segments=[segment for segment in segments if segment.says_something],
        channel=channel,
    )


def time_words(
    words: Iterable[FramedWord],
    seconds_per_frame: float,
    duration_s: float,
    first_frame: int = 0,
) -> list[TimedWord]:
    """Turn frames, counted from `first_frame`, into seconds.

    Frame t covers [t, t + 1) * seconds_per_frame, cut at the recording's end; with infinite seconds
    every frame covers all of it.
    """
    return [
        TimedWord(
            w.word,
            *_cover(
                first_frame + w.start_frame,
                first_frame + w.end_frame,
                seconds_per_frame,
                duration_s,
            ),
            w.confidence,
        )
        for w in words
    ]


def _cover(
    start_frame: int, end_frame: int, seconds_per_frame: float, duration_s: float
) -> tuple[float, float]:
    """Say from when to when frames [start_frame, end_frame) last; see `time_words`."""
    if seconds_per_frame == math.inf:
        return 0.0, duration_s
    start_s, end_s = start_frame * seconds_per_frame, end_frame * seconds_per_frame
    return min(start_s, duration_s), min(end_s, duration_s)


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
