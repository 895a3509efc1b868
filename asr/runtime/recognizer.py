"""Audio to text with an exported model; the results are those of `asr.load`."""

import os
from collections.abc import Iterator

import numpy as np

from asr.acoustic.chunks import MAX_CHUNK_S, cut_chunks
from asr.decoding import BeamSearchDecoder, Decoder, GreedyDecoder, NGramLM
from asr.decoding.hypothesis import split_by_token
from asr.recognition.segments import Segmenter
from asr.recognition.sources import AudioInput, Source
from asr.recognition.transcripts import Segment, Transcript, join_segments, make_segment
from asr.runtime.model import OnnxModel


def load(
    path: str | os.PathLike[str],
    decoder: Decoder | None = None,
    *,
    lm: str | os.PathLike[str] | None = None,
    num_threads: int = 0,
) -> "OnnxRecognizer":
    """Read an exported model and make it ready to transcribe.

    Args:
        path: a file of `asr export format=onnx`.
        decoder: made with the model's `tokens`; greedy by default, beam search with an `lm`.
        lm: an n-gram model in ARPA format, for beam search with default weights.
        num_threads: of onnxruntime; 0 for one a core.

    Raises:
        ModelFileError: the file cannot be used.
        ValueError: both `decoder` and `lm` were given, or the language model is broken.
    """
    if decoder is not None and lm is not None:
        raise ValueError("lm must not be given beside a decoder: give it to the decoder")
    model = OnnxModel(path, num_threads)
    if lm is not None:
        decoder = BeamSearchDecoder(model.tokens, lm=NGramLM(lm))
    return OnnxRecognizer(model, decoder)


class OnnxRecognizer:
    """Transcribes recordings of any length, piece by piece.

    Args:
        model: the model.
        decoder: greedy by default.
    """

    def __init__(self, model: OnnxModel, decoder: Decoder | None = None) -> None:
        self.model = model
        self.decoder: Decoder = decoder or GreedyDecoder(model.tokens)

    @property
    def tokens(self) -> list[str]:
        """What a decoder for this model is made with."""
        return self.model.tokens

    @property
    def sample_rate(self) -> int:
        """Hz that the model works at; other rates are converted."""
        return self.model.sample_rate

    def transcribe(self, audio: AudioInput, sample_rate: int | None = None) -> Transcript:
        """Transcribe one recording.

        Args:
            audio: a file's path, a floating-point waveform in [-1, 1], (L,) or (channels, L), or an
                iterator over consecutive pieces of one.
            sample_rate: Hz of a waveform; files know their own.

        Raises:
            asr.audio.AudioError: the recording cannot be used; the message says why.
            TypeError: `audio` is none of these.
            ValueError: a waveform came without `sample_rate`, or a file with one.
        """
        source = Source(audio, sample_rate, self.model)
        if sample_rate is not None and source.is_file:
            raise ValueError(f"sample_rate is for waveforms, files know theirs; got {sample_rate}")
        counted = _Counted(source.blocks())
        first_frame, segments = 0, []
        for rows in self._split(counted):
            read_s = counted.num_samples / self.sample_rate
            segments.append(self._decode(rows, first_frame, read_s))
            first_frame += len(rows)
        duration_s = counted.num_samples / self.sample_rate
        joint = self._joint
        return join_segments(segments, joint, duration_s, source.name, source.notes, source.channel)

    def _split(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """Give the log-probabilities (T, C) of a recording, in segments that are decoded alone."""
        facts = self.model.facts
        longest = facts.num_frames(int(MAX_CHUNK_S * self.sample_rate))
        segmenter = Segmenter(self.tokens, longest, spaced=facts.separates_words)
        for chunk in cut_chunks(blocks, self.sample_rate, facts.samples_per_frame):
            rows = self.model.chunk_log_probs(chunk)
            yield from segmenter.push(rows, chunk.ends_in_silence, chunk.is_last)

    def _decode(self, rows: np.ndarray, first_frame: int, read_s: float) -> Segment:
        n_best = self.decoder(rows[None], np.array([len(rows)]))[0]
        if not self._joint:
            n_best[0] = split_by_token(n_best[0], rows)
        return make_segment(n_best, first_frame, len(rows), self.model.seconds_per_frame, read_s)

    @property
    def _joint(self) -> str:
        return " " if self.model.facts.separates_words else ""


class _Counted(Iterator[np.ndarray]):
    """Blocks (L,), and how many samples they were so far."""

    def __init__(self, blocks: Iterator[np.ndarray]) -> None:
        self._blocks = blocks
        self.num_samples = 0

    def __next__(self) -> np.ndarray:
        block = next(self._blocks)
        self.num_samples += len(block)
        return block
