"""A loaded model with its decoder: audio in, text and words with times out.

model = asr.load("runs/digits/ckpt/best.ckpt")
model.transcribe("speech.wav").text
"""

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol, overload

import numpy as np
import torch
from torch import Tensor

from asr.acoustic.checkpoint import load_checkpoint
from asr.acoustic.model import AcousticModel
from asr.acoustic.posteriors import batch_by_frames, pad_log_probs, recordings_log_probs
from asr.audio import MAX_PEAK, AudioError, read_audio, resample
from asr.decoding import BeamSearchDecoder, GreedyDecoder, Hypothesis, NGramLM
from asr.recognition.transcripts import Transcript, time_words

# Audio that is read before any of it is decoded, so that similar lengths meet in a batch.
WINDOW_S = 600.0
# More rows than that are samples: somebody passed (L, channels).
MAX_CHANNELS = 64

AudioInput = str | os.PathLike[str] | np.ndarray | Tensor

logger = logging.getLogger(__name__)


class Decoder(Protocol):
    """Any decoder of `asr.decoding`."""

    def __call__(self, log_probs: Tensor, lengths: Tensor) -> list[list[Hypothesis]]:
        """Decode (N, T, C) log-probabilities of (N,) frames: n-best lists, best first."""
        ...


class _Speech(NamedTuple):
    """One recording ready for the model."""

    name: str
    waveform: np.ndarray  # (L,) float32 at the model's rate
    notes: list[str]


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
        return self._transcribe([self._read(audio, sample_rate)])[0]

    def transcribe_each(
        self, recordings: Iterable[AudioInput], sample_rate: int | None = None
    ) -> Iterator[Transcript]:
        """Like `transcribe` of a list, but results come as they are done, in order.

        Some minutes of audio are in memory at a time, however many recordings there are.
        """
        window: list[_Speech | Transcript] = []
        seconds = 0.0
        for recording in recordings:
            _check_input(recording, sample_rate)
            try:
                speech = self._read(recording, sample_rate)
                seconds += len(speech.waveform) / self.sample_rate
                window.append(speech)
            except AudioError as error:
                logger.warning("not transcribed: %s", error)
                window.append(Transcript("", audio=_name(recording), error=str(error)))
            if seconds >= WINDOW_S:
                yield from self._finish(window)
                window, seconds = [], 0.0
        yield from self._finish(window)

    def _finish(self, window: list["_Speech | Transcript"]) -> Iterator[Transcript]:
        """Transcribe what could be read and put the failures where they were."""
        done = iter(self._transcribe([item for item in window if isinstance(item, _Speech)]))
        for item in window:
            yield next(done) if isinstance(item, _Speech) else item

    def _read(self, recording: AudioInput, sample_rate: int | None) -> _Speech:
        """Bring a recording to mono at the model's rate and note what that took."""
        name = _name(recording)
        if isinstance(recording, np.ndarray | Tensor):
            waveform, channels = _mix_down(_as_array(recording))
            assert sample_rate is not None  # `_check_input`
            source_rate = sample_rate
            waveform = resample(waveform, source_rate, self.sample_rate).clip(-1.0, 1.0)
        else:
            waveform, _, source_rate, channels = read_audio(Path(recording), self.sample_rate)
        notes = []
        if channels > 1:
            notes.append(f"{channels} channels averaged to one")
        if source_rate != self.sample_rate:
            notes.append(f"resampled from {source_rate} Hz to {self.sample_rate} Hz")
        self._check_length(name, len(waveform))
        return _Speech(name, waveform, notes)

    def _check_length(self, name: str, num_samples: int) -> None:
        features, model = self.model.features, self.model.network
        frames = model.output_lengths(features.num_frames(torch.tensor([num_samples])))
        if int(frames) < 1:
            raise AudioError(
                f"{name or 'waveform'}: {num_samples} samples at {self.sample_rate} Hz are too "
                "short for one frame of the model"
            )

    def _transcribe(self, speeches: list[_Speech]) -> list[Transcript]:
        log_probs = recordings_log_probs(self.model, [speech.waveform for speech in speeches])
        best: dict[int, Hypothesis] = {}
        for group in batch_by_frames(self.model, log_probs):
            n_best = self.decoder(*pad_log_probs([log_probs[i] for i in group]))
            best |= {i: hypotheses[0] for i, hypotheses in zip(group, n_best, strict=True)}
        return [self._transcript(speech, best[i]) for i, speech in enumerate(speeches)]

    def _transcript(self, speech: _Speech, hypothesis: Hypothesis) -> Transcript:
        duration_s = len(speech.waveform) / self.sample_rate
        words = time_words(hypothesis.words, self.model.seconds_per_frame, duration_s)
        return Transcript(
            hypothesis.text, words, duration_s, hypothesis.score, speech.name, speech.notes
        )


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


def _name(recording: AudioInput) -> str:
    return "" if isinstance(recording, np.ndarray | Tensor) else os.fspath(recording)
