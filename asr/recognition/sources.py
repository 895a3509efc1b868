"""What can be transcribed -> consecutive pieces of one channel at the model's rate."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Union

import numpy as np

from asr.audio import AudioError, check_peak, check_rate, resample_blocks
from asr.media.streams import audio_format, stream_audio

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import TypeIs

# More rows than that are samples: somebody passed (L, channels).
MAX_CHANNELS = 64
# Samples of a waveform that are looked at together.
_BLOCK_SAMPLES = 2**20


@dataclass(frozen=True)
class AudioFile:
    """A file, or one channel of it.

    Attributes:
        path: where it is.
        name: what its transcript calls it; its path by default.
        channel: the one to transcribe, from 1; None averages all.
    """

    path: Path
    name: str = ""
    channel: int | None = None


Waveform = Union[np.ndarray, "Tensor"]
AudioInput = str | os.PathLike[str] | AudioFile | Waveform | Iterator[Waveform]


class Listener(Protocol):
    """What a recording is made ready for: a model, of PyTorch or of another runtime."""

    @property
    def sample_rate(self) -> int:
        """Hz that waveforms must have."""
        ...

    def check_length(self, num_samples: int) -> None:
        """Raise ValueError where so many samples are too few, or too many."""
        ...


class Source:
    """A recording that becomes mono at the model's rate and notes what that took.

    Args:
        audio: a file, a waveform, or an iterator over consecutive pieces of one.
        sample_rate: Hz of waveforms.
        model: the model that it is for.

    Raises:
        TypeError: `audio` is none of these.
        ValueError: a waveform came without `sample_rate`.
    """

    def __init__(self, audio: AudioInput, sample_rate: int | None, model: Listener) -> None:
        if isinstance(audio, str | os.PathLike):
            audio = AudioFile(Path(audio), os.fspath(audio))
        elif not isinstance(audio, AudioFile | np.ndarray | Iterator) and not _is_tensor(audio):
            kind = type(audio).__name__
            raise TypeError(
                "audio must be a path, a waveform (numpy or torch) or an iterator over pieces of "
                f"one, got {kind}"
            )
        elif sample_rate is None and not isinstance(audio, AudioFile):
            raise ValueError("sample_rate must be given with a waveform, got None")
        if sample_rate is not None:
            check_rate(sample_rate)
        self.is_file = isinstance(audio, AudioFile)
        self.channel = audio.channel if isinstance(audio, AudioFile) else None
        self.name = (audio.name or str(audio.path)) if isinstance(audio, AudioFile) else ""
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
        if isinstance(self._audio, AudioFile):
            try:
                yield from self._read_file(self._audio)
            except AudioError as error:  # the path may be one that nobody has given
                raise AudioError(str(error).replace(str(self._audio.path), self.name)) from error
            return
        assert self._source_rate is not None  # `__init__`
        target = self._model.sample_rate
        for block in resample_blocks(self._mono_blocks(), self._source_rate, target):
            yield block.clip(-1.0, 1.0)

    def _read_file(self, file: AudioFile) -> Iterator[np.ndarray]:
        source_rate, channels = audio_format(file.path)
        if file.channel is not None and not 1 <= file.channel <= channels:
            raise AudioError(f"{self.name}: channel must be 1..{channels}, got {file.channel}")
        self._note(channels if file.channel is None else 1, source_rate)
        index = None if file.channel is None else file.channel - 1
        yield from stream_audio(file.path, self._model.sample_rate, index)

    def _mono_blocks(self) -> Iterator[np.ndarray]:
        """Check the pieces of a waveform, and average their channels."""
        channels = 0
        pieces = self._audio if isinstance(self._audio, Iterator) else [self._audio]
        for piece in pieces:
            mono, found = as_mono(piece)
            if not found:
                continue
            if not channels:
                assert self._source_rate is not None
                self._note(found, self._source_rate)
            elif found != channels:
                raise AudioError(f"waveform: changes from {channels} to {found} channels midway")
            channels = found
            for start in range(0, len(mono), _BLOCK_SAMPLES):
                yield mono[start : start + _BLOCK_SAMPLES]
        if not channels:
            raise AudioError("waveform: holds no samples")

    def _note(self, channels: int, source_rate: int) -> None:
        if channels > 1:
            self.notes.append(f"{channels} channels averaged to one")
        if source_rate != self._model.sample_rate:
            rates = f"{source_rate} Hz to {self._model.sample_rate} Hz"
            self.notes.append(f"resampled from {rates}")


def as_mono(piece: object) -> tuple[np.ndarray, int]:
    """Check a piece of a waveform and average its channels.

    Args:
        piece: (L,) or (channels, L) floating point in [-1, 1], numpy or torch.

    Returns:
        (L,) float32, and the number of channels; 0 where there are no samples.

    Raises:
        TypeError: it is not floating point.
        ValueError: it has another shape, or samples are not finite or out of range.
    """
    waveform = _as_array(piece)
    if waveform.size == 0 and waveform.ndim < 3:
        return np.empty(0, np.float32), 0
    return _mix_down(waveform)


def _is_tensor(value: object) -> "TypeIs[Tensor]":
    """Whether a value is a tensor, of which there is none before torch is imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _as_array(waveform: object) -> np.ndarray:
    """Copy a tensor from any device; refuse what is not floating point."""
    if _is_tensor(waveform):
        waveform = waveform.detach().cpu()
        # numpy has no bfloat16.
        waveform = (waveform.float() if waveform.is_floating_point() else waveform).numpy()
    if not isinstance(waveform, np.ndarray):
        raise TypeError(f"a waveform must be numpy or torch, got {type(waveform).__name__}")
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
    check_peak("waveform", float(np.abs(waveform).max()))
    mono = waveform.mean(axis=0) if waveform.ndim == 2 else waveform
    return mono.astype(np.float32), channels
