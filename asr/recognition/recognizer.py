"""A loaded model with its decoder: audio in, text and words with times out.

model = asr.load("runs/digits/ckpt/best.ckpt")
model.transcribe("speech.wav").text
"""

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import overload

import numpy as np
from torch import Tensor

from asr.acoustic.checkpoint import load_checkpoint
from asr.acoustic.model import AcousticModel, pad_log_probs
from asr.acoustic.recordings import Emitted, process_recordings
from asr.audio import MAX_PEAK, AudioError, audio_info, read_blocks
from asr.decoding import BeamSearchDecoder, Decoder, GreedyDecoder, Hypothesis, NGramLM
from asr.decoding.hypothesis import split_by_token
from asr.recognition.transcripts import Transcript, time_words
from asr.resampling import resample

# More rows than that are samples: somebody passed (L, channels).
MAX_CHANNELS = 64

AudioInput = str | os.PathLike[str] | np.ndarray | Tensor

logger = logging.getLogger(__name__)


def load(
    path: str | os.PathLike[str],
    device: str = "cpu",
    decoder: Decoder | None = None,
    *,
    lm: str | os.PathLike[str] | None = None,
) -> "Recognizer":
    """Read a checkpoint and make it ready to transcribe.

    Args:
        path: the checkpoint.
        device: "cpu", "cuda" or "cuda:N".
        decoder: made with the model's `tokens`; greedy by default, beam search with an `lm`.
        lm: an n-gram model in ARPA format, for beam search with default weights.

    Raises:
        asr.acoustic.checkpoint.ModelFileError: the checkpoint cannot be used.
        ValueError: both `decoder` and `lm` were given, or the language model is broken.
    """
    if decoder is not None and lm is not None:
        raise ValueError("lm must not be given beside a decoder: give it to the decoder")
    model = load_checkpoint(Path(path)).to(device)
    if lm is not None:
        decoder = BeamSearchDecoder(model.tokenizer.tokens, lm=NGramLM(Path(lm)))
    return Recognizer(model, decoder)


class Recognizer:
    """Transcribes recordings.

    Args:
        model: the model.
        decoder: greedy by default.

    Attributes:
        decoder: may be replaced by another one made for `tokens`.
    """

    def __init__(self, model: AcousticModel, decoder: Decoder | None = None) -> None:
        self.model = model
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

        Recordings over 30 s go through the model in overlapping chunks. Channels are averaged and
        sample rates converted; the transcript's `notes` say so.

        Args:
            audio: a file's path, or a floating-point waveform in [-1, 1], (L,) or (channels, L),
                numpy or torch; or a list or tuple of these.
            sample_rate: Hz of waveforms; files know their own.

        Returns:
            A transcript, or as many as were given. In a list, one that cannot be used has an
            `error` and an empty text, and the others are not lost.

        Raises:
            AudioError: a single recording cannot be used; the message says why.
            TypeError: something is neither path nor floating-point waveform.
            ValueError: a waveform came without `sample_rate`, or only paths came with one.
        """
        recordings: list[AudioInput] = [*audio] if isinstance(audio, list | tuple) else [audio]
        for recording in recordings:
            _check_input(recording, sample_rate)
        only_files = all(isinstance(recording, str | os.PathLike) for recording in recordings)
        if sample_rate is not None and recordings and only_files:
            raise ValueError(f"sample_rate is for waveforms, files know theirs; got {sample_rate}")
        if isinstance(audio, list | tuple):
            return list(self.transcribe_each(recordings, sample_rate))
        ((_, result),) = self._process([_Recording(audio, sample_rate, self.model)])
        if isinstance(result, ValueError):
            raise result
        return result

    def transcribe_each(
        self, recordings: Iterable[AudioInput], sample_rate: int | None = None
    ) -> Iterator[Transcript]:
        """Like `transcribe` of a list, but results come as they are done, in order.

        Some minutes of audio are in memory at a time, however many recordings there are.
        """
        for recording, result in self._process(self._open(recordings, sample_rate)):
            if isinstance(result, ValueError):
                logger.warning("not transcribed: %s", result)
                yield Transcript("", audio=recording.name, error=str(result))
            else:
                yield result

    def _open(
        self, recordings: Iterable[AudioInput], sample_rate: int | None
    ) -> Iterator["_Recording"]:
        for recording in recordings:
            _check_input(recording, sample_rate)
            yield _Recording(recording, sample_rate, self.model)

    def _process(
        self, recordings: Iterable["_Recording"]
    ) -> Iterator[tuple["_Recording", Transcript | ValueError]]:
        return process_recordings(self.model, recordings, self._decode)

    def _decode(self, group: list[Emitted["_Recording"]]) -> list[Transcript]:
        n_best = self.decoder(*pad_log_probs([emitted.log_probs for emitted in group]))
        return [
            self._transcript(emitted, hypotheses[0])
            for emitted, hypotheses in zip(group, n_best, strict=True)
        ]

    def _transcript(self, emitted: Emitted["_Recording"], hypothesis: Hypothesis) -> Transcript:
        recording, duration_s = emitted.recording, emitted.num_samples / self.sample_rate
        joint = " " if self.model.separates_words else ""
        if not joint:
            hypothesis = split_by_token(hypothesis, emitted.log_probs.numpy())
        words = time_words(hypothesis.words, self.model.seconds_per_frame, duration_s)
        return Transcript(
            hypothesis.text,
            words,
            duration_s,
            hypothesis.score,
            recording.name,
            recording.notes,
            joint=joint,
        )


class _Recording:
    """A file or a waveform that becomes mono at the model's rate and notes what that took."""

    def __init__(self, audio: AudioInput, sample_rate: int | None, model: AcousticModel) -> None:
        self.name = "" if isinstance(audio, np.ndarray | Tensor) else os.fspath(audio)
        self.notes: list[str] = []
        self._audio = audio
        self._source_rate = sample_rate
        self._model = model

    def blocks(self) -> Iterator[np.ndarray]:
        """Consecutive pieces (L,); raises AudioError where they cannot be had."""
        num_samples = 0
        for block in self._read():
            num_samples += len(block)
            yield block
        try:
            self._model.check_length(num_samples)
        except ValueError as error:
            raise AudioError(f"{self.name or 'waveform'}: {error}") from error

    def _read(self) -> Iterator[np.ndarray]:
        if isinstance(self._audio, np.ndarray | Tensor):
            waveform, channels = _mix_down(_as_array(self._audio))
            assert self._source_rate is not None  # `_check_input`
            self._note(channels, self._source_rate)
            yield resample(waveform, self._source_rate, self._model.sample_rate).clip(-1.0, 1.0)
            return
        path = Path(self._audio)
        info = audio_info(path)
        self._note(info.channels, info.sample_rate)
        yield from read_blocks(path, self._model.sample_rate)

    def _note(self, channels: int, source_rate: int) -> None:
        if channels > 1:
            self.notes.append(f"{channels} channels averaged to one")
        if source_rate != self._model.sample_rate:
            rates = f"{source_rate} Hz to {self._model.sample_rate} Hz"
            self.notes.append(f"resampled from {rates}")


def _check_input(recording: AudioInput, sample_rate: int | None) -> None:
    """Refuse what no recording can be."""
    if isinstance(recording, np.ndarray | Tensor):
        if sample_rate is None:
            raise ValueError("sample_rate must be given with a waveform, got None")
    elif not isinstance(recording, str | os.PathLike):
        kind = type(recording).__name__
        raise TypeError(f"audio must be a path or a waveform (numpy or torch), got {kind}")


def _as_array(waveform: np.ndarray | Tensor) -> np.ndarray:
    """Copy a tensor from any device; refuse what is not floating point."""
    if isinstance(waveform, Tensor):
        waveform = waveform.detach().cpu()
        # numpy has no bfloat16.
        waveform = (waveform.float() if waveform.is_floating_point() else waveform).numpy()
    if not np.issubdtype(waveform.dtype, np.floating):
        raise TypeError(
            f"a waveform must be floating point in [-1, 1], got {waveform.dtype}; "
            "divide 16-bit samples by 32768"
        )
    return waveform


def _mix_down(waveform: np.ndarray) -> tuple[np.ndarray, int]:
    """Check a waveform, average its channels, and return (L,) float32 and their number."""
    if waveform.ndim not in (1, 2):
        raise ValueError(f"a waveform must be (L,) or (channels, L), got {waveform.shape}")
    channels = waveform.shape[0] if waveform.ndim == 2 else 1
    if waveform.size == 0:
        raise AudioError("waveform: holds no samples")
    if channels > MAX_CHANNELS:
        raise ValueError(f"a waveform must be (channels, L), got {waveform.shape}: transpose it")
    if not np.isfinite(waveform).all():
        raise AudioError("waveform: samples must be finite, got NaN or infinity")
    if (peak := float(np.abs(waveform).max())) > MAX_PEAK:
        raise AudioError(f"waveform: samples must lie in [-1, 1], the peak is {peak:.6g}")
    mono = waveform.mean(axis=0) if waveform.ndim == 2 else waveform
    return mono.astype(np.float32), channels
