"""A loaded model with its decoder: audio in, text and words with times out.

model = asr.load("runs/digits/ckpt/best.ckpt")
model.transcribe("speech.wav").text

asr.load() is the model in the box.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, overload

import torch
from torch import Tensor

from asr.acoustic.checkpoint import load_checkpoint
from asr.acoustic.chunks import MAX_CHUNK_S
from asr.acoustic.model import AcousticModel, pad_log_probs
from asr.acoustic.recordings import Piece, process_recordings
from asr.acoustic.silero import choose_finder
from asr.decoding import BeamSearchDecoder, Decoder, GreedyDecoder, Hypothesis, NGramLM
from asr.decoding.hypothesis import split_by_token
from asr.recognition.box import BOX, own_words
from asr.recognition.endpoints import DEFAULT_ENDPOINTS, Endpoints
from asr.recognition.lexicon import find_lexicon
from asr.recognition.segments import Segmenter
from asr.recognition.sources import AudioInput, Source
from asr.recognition.streaming import SpeechStream, step
from asr.recognition.transcripts import Segment, Transcript, join_segments, make_segment

# Told of every segment as it is done.
OnSegment = Callable[[Segment], None]

logger = logging.getLogger(__name__)


def load(
    path: str | os.PathLike[str] = BOX,
    device: str = "cpu",
    decoder: Decoder | None = None,
    *,
    lm: str | os.PathLike[str] | None = None,
    cut: str = "energy",
) -> "Recognizer":
    """Read a checkpoint and make it ready to transcribe.

    Args:
        path: the checkpoint; without it, the model in the box (docs/box.md), which by default
            searches among its own words.
        device: "cpu", "cuda" or "cuda:N".
        decoder: made with the model's `tokens`; greedy by default, beam search with an `lm`.
        lm: an n-gram model in ARPA format, for beam search with default weights.
        cut: as `Recognizer`.

    Raises:
        asr.acoustic.checkpoint.ModelFileError: the checkpoint cannot be used.
        ValueError: both `decoder` and `lm` were given, the language model is broken, or as
            `Recognizer`.
    """
    if decoder is not None and lm is not None:
        raise ValueError("lm must not be given beside a decoder: give it to the decoder")
    model = load_checkpoint(Path(path)).to(device)
    words = own_words(Path(path), () if lm is None else ("lm",))
    if decoder is None and (lm is not None or words is not None):
        ngrams = None if lm is None else NGramLM(Path(lm))
        lexicon = None if words is None else find_lexicon(words, model.tokenizer)
        decoder = BeamSearchDecoder(model.tokenizer.tokens, lm=ngrams, lexicon=lexicon)
    return Recognizer(model, decoder, cut)


class Recognizer:
    """Transcribes recordings.

    Args:
        model: the model.
        decoder: greedy by default.
        cut: what tells the pauses where long recordings are cut: "energy" or "silero" (silero-vad).

    Attributes:
        decoder: may be replaced by another one made for `tokens`.

    Raises:
        ValueError: `cut` is none of these, or silero-vad is not installed.
    """

    def __init__(
        self, model: AcousticModel, decoder: Decoder | None = None, cut: str = "energy"
    ) -> None:
        self.model = model
        self._make_finder = choose_finder(cut)
        self.decoder: Decoder = decoder or GreedyDecoder(model.tokenizer.tokens)

    @property
    def tokens(self) -> list[str]:
        """What a decoder for this model is made with."""
        return self.model.tokenizer.tokens

    @property
    def sample_rate(self) -> int:
        """Hz that the model works at; other rates are converted."""
        return self.model.sample_rate

    @overload
    def transcribe(self, audio: AudioInput, sample_rate: int | None = None) -> Transcript: ...

    @overload
    def transcribe(
        self, audio: list[AudioInput] | tuple[AudioInput, ...], sample_rate: int | None = None
    ) -> list[Transcript]: ...

    def transcribe(
        self,
        audio: AudioInput | list[AudioInput] | tuple[AudioInput, ...],
        sample_rate: int | None = None,
    ) -> Transcript | list[Transcript]:
        """Transcribe one recording, or a list of them.

        Recordings over 30 s are cut at silences into segments, which are recognised one by one.
        Channels are averaged and sample rates converted; the transcript's `notes` say so.

        Args:
            audio: a file's path (or an `AudioFile`); a floating-point waveform in [-1, 1], (L,) or
                (channels, L), numpy or torch; an iterator over consecutive pieces of a waveform; or
                a list or tuple of these. However it comes, the same audio has the same transcript.
            sample_rate: Hz of waveforms; files know their own.

        Returns:
            A transcript, or as many as were given. In a list, one that cannot be used has an
            `error` and an empty text, and the others are not lost.

        Raises:
            AudioError: a single recording cannot be used; the message says why.
            TypeError: something is none of these.
            ValueError: a waveform came without `sample_rate`, or only files came with one.
        """
        if not isinstance(audio, list | tuple):
            source = self._open(audio, sample_rate)
            return self._join(source, list(self._pieces(source)))
        sources = [Source(recording, sample_rate, self.model) for recording in audio]
        if sample_rate is not None and sources and all(source.is_file for source in sources):
            raise ValueError(f"sample_rate is for waveforms, files know theirs; got {sample_rate}")
        return list(self._transcribe_each(sources))

    def transcribe_each(
        self,
        recordings: Iterable[AudioInput],
        sample_rate: int | None = None,
        on_segment: OnSegment | None = None,
    ) -> Iterator[Transcript]:
        """Like `transcribe` of a list, but results come as they are done, in order.

        Some minutes of audio are in memory at a time, however many and long the recordings are.

        Args:
            recordings: read no further than needed.
            sample_rate: Hz of waveforms.
            on_segment: called with each segment, long before a long recording is done.
        """
        sources = (Source(recording, sample_rate, self.model) for recording in recordings)
        yield from self._transcribe_each(sources, on_segment)

    def segments(self, audio: AudioInput, sample_rate: int | None = None) -> Iterator[Segment]:
        """Transcribe one recording segment by segment, while it is read.

        Args:
            audio: as `transcribe` takes one recording.
            sample_rate: Hz of a waveform.

        Yields:
            What `transcribe` has in `segments`, in order.

        Raises:
            AudioError: the recording cannot be used, from here on; other errors as `transcribe`.
        """
        for piece in self._pieces(self._open(audio, sample_rate)):
            if piece.segment.says_something:
                yield piece.segment

    def stream(
        self, sample_rate: int | None = None, *, endpoints: Endpoints | None = DEFAULT_ENDPOINTS
    ) -> SpeechStream:
        """Begin a stream of speech; any number may be open at a time.

        Args:
            sample_rate: Hz of what will be pushed; the model's by default.
            endpoints: when an utterance has ended; None: with the stream.

        Raises:
            ValueError: the model or the decoder needs whole utterances, or the rate is out of
                range; says what to do.
        """
        return SpeechStream(self.model, self.decoder, sample_rate, endpoints)

    def step(self, streams: Sequence[SpeechStream]) -> list[list[Segment]]:
        """Recognise what several streams have accepted, in one batch where they are alike.

        stream.accept(samples) and stream.close() leave the network to this call; it gives for each
        stream what `push` and `finish` would.

        Args:
            streams: each once; no other thread uses them meanwhile.
        """
        return step(streams)

    def _open(self, audio: AudioInput, sample_rate: int | None) -> Source:
        source = Source(audio, sample_rate, self.model)
        if sample_rate is not None and source.is_file:
            raise ValueError(f"sample_rate is for waveforms, files know theirs; got {sample_rate}")
        return source

    def _pieces(self, source: Source) -> Iterator["_Decoded"]:
        for _, result in self._process([source]):
            if isinstance(result, ValueError):
                raise result
            yield result

    def _transcribe_each(
        self, sources: Iterable[Source], on_segment: OnSegment | None = None
    ) -> Iterator[Transcript]:
        pieces: list[_Decoded] = []
        for source, result in self._process(sources):
            if isinstance(result, ValueError):
                logger.warning("not transcribed: %s", result)
                yield Transcript("", audio=source.name, error=str(result), channel=source.channel)
                pieces = []
                continue
            pieces.append(result)
            if on_segment is not None:
                on_segment(result.segment)
            if result.is_last:
                yield self._join(source, pieces)
                pieces = []

    def _process(
        self, sources: Iterable[Source]
    ) -> Iterator[tuple[Source, "_Decoded | ValueError"]]:
        def make_splitter() -> TensorSegmenter:
            longest = self.model.num_frames(int(MAX_CHUNK_S * self.sample_rate))
            return TensorSegmenter(self.model, longest)

        return process_recordings(
            self.model, sources, self._decode, make_splitter, self._make_finder
        )

    def _decode(self, group: list[Piece[Source]]) -> list["_Decoded"]:
        n_best = self.decoder(*pad_log_probs([piece.log_probs for piece in group]))
        return [
            self._describe(piece, hypotheses)
            for piece, hypotheses in zip(group, n_best, strict=True)
        ]

    def _describe(self, piece: Piece[Source], n_best: list[Hypothesis]) -> "_Decoded":
        """Turn hypotheses of a piece into a segment, in seconds of the recording."""
        if not self._joint:
            n_best[0] = split_by_token(n_best[0], piece.log_probs.numpy())
        read_s = piece.num_samples / self.sample_rate
        frame_s = self.model.seconds_per_frame
        segment = make_segment(n_best, piece.first_frame, len(piece.log_probs), frame_s, read_s)
        return _Decoded(segment, read_s, piece.is_last)

    def _join(self, source: Source, pieces: list["_Decoded"]) -> Transcript:
        segments = [piece.segment for piece in pieces]
        read_s, notes = pieces[-1].read_s, source.notes
        return join_segments(segments, self._joint, read_s, source.name, notes, source.channel)

    @property
    def _joint(self) -> str:
        return " " if self.model.separates_words else ""


class TensorSegmenter:
    """A `Segmenter` of what a model gives.

    Args:
        model: the model.
        max_frames: of a segment.
    """

    def __init__(self, model: AcousticModel, max_frames: int) -> None:
        tokens, spaced = model.tokenizer.tokens, model.separates_words
        self._segmenter = Segmenter(tokens, max_frames, spaced=spaced)

    def push(self, rows: Tensor, ends_in_silence: bool, is_last: bool) -> list[Tensor]:
        """Take the next (T, C) and return the segments that are complete."""
        segments = self._segmenter.push(rows.numpy(), ends_in_silence, is_last)
        return [torch.from_numpy(segment) for segment in segments]


class _Decoded(NamedTuple):
    """A piece of a recording; `read_s` seconds of it were read by then, all with the last."""

    segment: Segment
    read_s: float
    is_last: bool
