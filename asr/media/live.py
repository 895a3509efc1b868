"""Sound while it is made: 16-bit samples from a pipe, or a microphone.

Pieces come as soon as they are there, whatever their length, as (channels, L) in [-1, 1].
"""

import logging
import queue
import wave
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import BinaryIO, NamedTuple

import numpy as np

from asr.audio import UNKNOWN_LENGTH, AudioError
from asr.resampling import check_rate

# What is read from a pipe at a time, at most.
_READ_BYTES = 2**16
# Seconds after which one who waits for a microphone looks whether to stop.
_PATIENCE_S = 0.2
# Seconds of a microphone's sound that wait to be recognised, from which it is said.
_LATE_S = 3.0

logger = logging.getLogger(__name__)


class Sound(NamedTuple):
    """Sound that is being made.

    Attributes:
        sample_rate: Hz.
        channels: of each piece.
        blocks: pieces (channels, L) float32, L >= 0.
    """

    sample_rate: int
    channels: int
    blocks: Iterator[np.ndarray]


def open_raw(file: BinaryIO, sample_rate: int) -> Sound:
    """Read 16-bit little-endian samples of one channel, without a header.

    Args:
        file: buffered, as standard input is.
        sample_rate: Hz.

    Raises:
        ValueError: the rate is out of range.
        AudioError: from `blocks`: there is a header after all, or there are no samples.
    """
    check_rate(sample_rate)
    return Sound(sample_rate, 1, _pcm_blocks(file, channels=1, most=None))


def open_wav(file: BinaryIO) -> Sound:
    """Read a WAV stream of 16-bit samples.

    Args:
        file: buffered, as standard input is; it need not be seekable.

    Raises:
        AudioError: it is none, or of other samples; from `blocks`: there are none.
    """
    try:
        with wave.open(file) as stream:  # which leaves the file open, where the samples begin
            header = stream.getparams()
    except (wave.Error, EOFError) as error:
        reason = str(error) or "it ends before its samples"
        raise AudioError(
            f"standard input: is no WAV stream of integers ({reason}); --rate says the rate of raw "
            "16-bit samples"
        ) from error
    if header.sampwidth != 2:
        raise AudioError(f"standard input: samples must have 16 bits, got {8 * header.sampwidth}")
    check_rate(header.framerate)
    size = 2 * header.nchannels * header.nframes
    most = size if 0 < size < UNKNOWN_LENGTH else None
    return Sound(header.framerate, header.nchannels, _pcm_blocks(file, header.nchannels, most))


def _pcm_blocks(file: BinaryIO, channels: int, most: int | None) -> Iterator[np.ndarray]:
    """Read `most` bytes, or all, of 16-bit samples of channels side by side."""
    left = b""
    num_read = 0
    while most is None or num_read < most:
        size = _READ_BYTES if most is None else min(_READ_BYTES, most - num_read)
        # `read` would wait for all of it.
        content = file.read1(size)  # pyright: ignore[reportAttributeAccessIssue]
        if not content:
            break
        if not num_read and most is None and content.startswith(b"RIFF"):
            raise AudioError("standard input: is a WAV stream, which knows its rate: omit --rate")
        num_read += len(content)
        content = left + content
        whole = len(content) - len(content) % (2 * channels)
        left = content[whole:]
        samples = np.frombuffer(content[:whole], "<i2").reshape(-1, channels).T
        yield samples.astype(np.float32) / 32768
    if not num_read:
        raise AudioError("standard input: holds no samples")
    if left:
        logger.warning("standard input: ends within a sample, after %d bytes", num_read)
    if most is not None and num_read < most:
        logger.warning("standard input: ends after %d bytes of the %d announced", num_read, most)


def open_microphone(name: str | None) -> Sound:
    """Listen to a microphone, at its own rate.

    Args:
        name: its number, or a part of its name; None: the system's choice.

    Raises:
        ImportError: sounddevice, or the library that it needs, is not there; says what to install.
        ValueError: there is no such microphone; from `blocks`: it cannot be used.
    """
    try:
        sounddevice = import_module("sounddevice")
    except (ImportError, OSError) as error:
        raise ImportError(
            "a microphone needs sounddevice: pip install 'ctc-asr[listen]', and on Linux the "
            "system's PortAudio (libportaudio2); - reads standard input"
        ) from error
    device = int(name) if name is not None and name.isdecimal() else name
    try:
        sample_rate = int(sounddevice.query_devices(device, "input")["default_samplerate"])
    except (ValueError, sounddevice.PortAudioError) as error:
        raise ValueError(f"microphone {name or 'of the system'}: {error}") from error
    return Sound(sample_rate, 1, _microphone_blocks(sounddevice, device, sample_rate))


def _microphone_blocks(
    sounddevice: ModuleType, device: int | str | None, sample_rate: int
) -> Iterator[np.ndarray]:
    heard: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()

    def take(samples: np.ndarray, _count: int, _time: object, status: object) -> None:
        if status:  # samples were lost
            logger.warning("microphone: %s", status)
        heard.put(samples.T.copy())

    try:
        with sounddevice.InputStream(
            sample_rate, device=device, channels=1, dtype="float32", callback=take
        ):
            yield from _joined(heard, sample_rate)
    except sounddevice.PortAudioError as error:
        raise ValueError(f"microphone: {error}") from error


def _joined(heard: "queue.SimpleQueue[np.ndarray]", sample_rate: int) -> Iterator[np.ndarray]:
    """Give all that has been heard since the last time, without end."""
    is_late = False
    while True:
        try:
            blocks = [heard.get(timeout=_PATIENCE_S)]
        except queue.Empty:  # on Windows, Ctrl-C waits for that
            continue
        while not heard.empty():
            blocks.append(heard.get())
        samples = np.concatenate(blocks, axis=1)
        late_s = samples.shape[1] / sample_rate
        if late_s > _LATE_S and not is_late:
            is_late = True
            logger.warning("microphone: recognition is slower than speech, %.1f s late", late_s)
        yield samples
