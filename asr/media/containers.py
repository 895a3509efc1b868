"""Audio in MP4 and Matroska containers (m4a, mp4, mov, webm, mkv), read by PyAV: FFmpeg in a wheel.

Which files these are is told by their first bytes, and the demuxer is chosen by us: FFmpeg's own
choice would take a text for a playlist and open what it names.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asr.audio import (
    MAX_DURATION_S,
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    TRUNCATION_TOLERANCE_S,
    AudioError,
    check_samples,
    mix_down,
)

if TYPE_CHECKING:
    from av import AudioStream

# By which a folder's recordings are told from what lies beside them.
CONTAINER_SUFFIXES = frozenset({".m4a", ".m4b", ".mp4", ".mov", ".webm", ".mkv", ".mka"})
# Samples of all channels in a piece.
_BLOCK_SAMPLES = 2**20


def find_demuxer(path: str | Path) -> str | None:
    """Name FFmpeg's reader of a container, by the file's first bytes; None for other files."""
    try:
        if not Path(path).is_file():  # a pipe would lose them
            return None
        with open(path, "rb") as file:
            head = file.read(8)
    except OSError:
        return None  # whoever opens it says why
    if head[4:] == b"ftyp":
        return "mov"
    return "matroska" if head[:4] == b"\x1aE\xdf\xa3" else None


class ContainerFile:
    """The first track of audio of a file.

    Args:
        path: the file.
        demuxer: as `find_demuxer` says.

    Raises:
        AudioError: PyAV is not installed, or the file cannot be used; names it.
    """

    def __init__(self, path: str | Path, demuxer: str) -> None:
        try:
            import av
            from av.error import FFmpegError
        except ModuleNotFoundError as error:
            raise AudioError(f"{path}: needs PyAV: pip install 'ctc-asr[av]'") from error
        self._path = path
        self._errors = (FFmpegError, OSError, ValueError)
        self._file = open(path, "rb")  # noqa: SIM115
        try:
            # From an open file, so that no name is taken for an address of a network.
            self._container = av.open(self._file, "r", format=demuxer, metadata_errors="ignore")
        except self._errors as error:
            self._file.close()
            raise AudioError(f"{path}: cannot be decoded: {_reason(error)}") from error
        try:
            self._stream = self._find_stream()
        except AudioError:
            self.close()
            raise
        self.sample_rate = self._stream.codec_context.sample_rate
        self.channels = self._stream.codec_context.layout.nb_channels

    def __enter__(self) -> "ContainerFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()
        self._file.close()

    def blocks(self, channel: int | None = None) -> Iterator[np.ndarray]:
        """Consecutive pieces (L,), checked, at the file's own rate.

        Args:
            channel: which one to read, from 0; None averages all.

        Raises:
            AudioError: a piece is broken, or the file ends before its header says; pieces before
                were good.
        """
        num_samples = 0
        for block in _join(self._decode(), _BLOCK_SAMPLES // self.channels):
            mono = mix_down(block.T, channel)
            check_samples(self._path, mono, num_samples)
            num_samples += len(mono)
            if num_samples > MAX_DURATION_S * self.sample_rate:
                raise AudioError(f"{self._path}: holds more than {MAX_DURATION_S / 3600:.0f} h")
            yield mono
        if num_samples == 0:
            raise AudioError(f"{self._path}: holds no samples")
        promised_s = self._promised_s()
        if promised_s - num_samples / self.sample_rate > TRUNCATION_TOLERANCE_S:
            found_s = num_samples / self.sample_rate
            raise AudioError(
                f"{self._path}: truncated, {found_s:.3f} s instead of {promised_s:.3f}"
            )

    def _find_stream(self) -> "AudioStream":
        if not self._container.streams.audio:
            raise AudioError(f"{self._path}: holds no audio")
        stream = self._container.streams.audio[0]
        if stream.codec_context is None:  # whatever PyAV's types say
            raise AudioError(f"{self._path}: cannot be decoded: its codec is not known")
        if stream.codec_context.layout.nb_channels == 0:
            raise AudioError(f"{self._path}: must have a channel, its header has 0")
        rate = stream.codec_context.sample_rate
        if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
            raise AudioError(
                f"{self._path}: sample rate must be {MIN_SAMPLE_RATE}..{MAX_SAMPLE_RATE} Hz, "
                f"got {rate}"
            )
        return stream

    def _decode(self) -> Iterator[np.ndarray]:
        """Samples (channels, L) float32 of each packet."""
        from av import AudioResampler

        to_float = AudioResampler(format="fltp")
        try:
            for frame in self._container.decode(self._stream):
                for converted in to_float.resample(frame):
                    yield self._samples(converted.to_ndarray())
        except self._errors as error:
            if isinstance(error, AudioError):
                raise
            raise AudioError(f"{self._path}: cannot be decoded: {_reason(error)}") from error

    def _samples(self, samples: np.ndarray) -> np.ndarray:
        if len(samples) != self.channels:
            raise AudioError(
                f"{self._path}: changes from {self.channels} to {len(samples)} channels midway"
            )
        return samples

    def _promised_s(self) -> float:
        """Seconds that the header promises; 0 where it does not say."""
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base)
        only = len(self._container.streams) == 1
        return (self._container.duration or 0) / 1e6 if only else 0.0


def _join(packets: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Join packets (channels, L) to pieces of at least `size` samples, but for the last."""
    held: list[np.ndarray] = []
    count = 0
    for packet in packets:
        held.append(packet)
        count += packet.shape[1]
        if count >= size:
            yield np.concatenate(held, axis=1)
            held, count = [], 0
    if count:
        yield np.concatenate(held, axis=1)


def _reason(error: Exception) -> str:
    """FFmpeg's reason without number and path."""
    text = getattr(error, "strerror", None) or str(error)
    return text.rstrip(".")
