"""Audio files to waveforms and back.

Any file libsndfile reads (WAV, FLAC, Ogg Vorbis and Opus, MP3, AIFF, NIST SPHERE, ...) becomes a
mono float32 waveform (L,) in [-1, 1]. Whatever is wrong with a file is said in one line by an
`AudioError` that names the file.

Why block by block: memory then follows what a file holds, never what its header promises.
"""

import io
import logging
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import soundfile

from asr.files import printable, replacing
from asr.resampling import (
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    ResampleStream,
    check_rate,
    resample,
)

# By which a folder's audio is told from what lies beside it.
AUDIO_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".opus", ".mp3", ".sph", ".aif", ".aiff", ".au", ".w64", ".caf"}
)
MAX_DURATION_S = 24 * 3600.0
# Lossy decoders overshoot full scale a little; beyond this a float file was never scaled to 1.
MAX_PEAK = 8.0
# More than those overshoot: the recording is too loud for its scale.
LOUD_PEAK = 2.0
# Decoders of MP3 may give a few frames fewer than they announced; this is more than those.
TRUNCATION_TOLERANCE_S = 0.1

logger = logging.getLogger(__name__)

_BLOCK_SAMPLES = 2**20
# Sizes from here on are written by programs that stream and do not know the length.
UNKNOWN_LENGTH = 0x7FFF0000
_CUT_CHUNK = re.compile(r"^\s*(?:data|SSND) : (\d+) \(should be (\d+)\)", re.MULTILINE)
_CUT_OGG = re.compile(r"^Ogg ?: (?:Junk after the last page|File ended unexpectedly)", re.MULTILINE)


class AudioError(ValueError):
    """An audio file that cannot be used; the message, printable, names file, rule and value."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class AudioContent(NamedTuple):
    """An audio file in memory, by a name for what is said of it; taken wherever a path is."""

    name: str
    content: bytes

    def __str__(self) -> str:
        return self.name


class Audio(NamedTuple):
    """A waveform (L,) float32 in [-1, 1] at `sample_rate`, and what its file held."""

    waveform: np.ndarray
    sample_rate: int
    source_rate: int
    channels: int


class AudioInfo(NamedTuple):
    """What the header of an audio file says; `num_samples` counts per channel."""

    num_samples: int
    sample_rate: int
    channels: int
    duration_s: float


def audio_info(path: str | Path | AudioContent) -> AudioInfo:
    """Read the header of an audio file.

    Raises:
        AudioError: the file is missing, undecodable, empty, cut short by its own header, or its
            sample rate or duration is out of range.
    """
    with _open(path) as file:
        return _checked_info(path, file)


def read_audio(
    path: str | Path | AudioContent,
    sample_rate: int | None = None,
    max_duration_s: float = MAX_DURATION_S,
) -> Audio:
    """Read an audio file as one mono waveform.

    Channels are averaged. The slight overshoot of lossy decoders is clipped to [-1, 1].

    Args:
        sample_rate: Hz to resample to; None keeps the file's own.
        max_duration_s: seconds; a longer file is refused before its samples are read, since a
            megabyte of FLAC can hold a day.

    Raises:
        AudioError: as `audio_info`, or the samples are broken, fewer than promised, NaN, infinite
            or far out of [-1, 1].
    """
    if sample_rate is not None:
        check_rate(sample_rate)
    with _open(path) as file:
        info = _checked_info(path, file, max_duration_s)
        blocks = [*_mono_blocks(path, file)]
    waveform = blocks[0] if len(blocks) == 1 else np.concatenate([np.empty(0, np.float32), *blocks])
    _check_count(path, len(waveform), info)
    check_samples(path, waveform)
    target_rate = sample_rate or info.sample_rate
    waveform = resample(waveform, info.sample_rate, target_rate)
    np.clip(waveform, -1.0, 1.0, out=waveform)
    return Audio(waveform, target_rate, info.sample_rate, info.channels)


def read_segment(path: str | Path, start_s: float, end_s: float) -> Audio:
    """Read a part of an audio file as one mono waveform, at the file's own rate.

    The samples are those that `read_audio` gives there; those after them are not looked at.

    Args:
        start_s: seconds from the beginning, >= 0.
        end_s: seconds from the beginning, > start_s; beyond the end of the file, its end.

    Raises:
        AudioError: as `read_audio`, of these samples; or there are none.
    """
    with _open(path) as file:
        info = _checked_info(path, file)
        start, stop = (min(round(s * info.sample_rate), info.num_samples) for s in (start_s, end_s))
        if file.format == "MP3":  # a frame's samples depend on the frames before it
            blocks = _mono_blocks(path, file, stop)
        else:
            file.seek(start)
            blocks = _mono_blocks(path, file, stop - start)
        waveform = np.concatenate([np.empty(0, np.float32), *blocks])
    waveform = waveform[start:] if file.format == "MP3" else waveform
    _check_count(path, len(waveform), info._replace(num_samples=stop - start))
    check_samples(path, waveform, start)
    return Audio(waveform.clip(-1.0, 1.0), info.sample_rate, info.sample_rate, info.channels)


def read_blocks(
    path: str | Path, sample_rate: int, channel: int | None = None
) -> Iterator[np.ndarray]:
    """Read an audio file piece by piece: what `read_audio` gives, in memory that does not grow.

    Args:
        sample_rate: Hz to resample to.
        channel: the one to read, from 0; None averages all.

    Yields:
        Consecutive pieces (L,), some seconds or minutes long.

    Raises:
        AudioError: as `read_audio`, with the piece that is broken; pieces before it were good.
    """
    check_rate(sample_rate)
    with _open(path) as file:
        info = _checked_info(path, file)
        blocks = _good_blocks(path, file, info, channel)
        for block in resample_blocks(blocks, info.sample_rate, sample_rate):
            yield block.clip(-1.0, 1.0)


def _good_blocks(
    path: str | Path, file: soundfile.SoundFile, info: AudioInfo, channel: int | None
) -> Iterator[np.ndarray]:
    num_samples = 0
    for block in _mono_blocks(path, file, channel=channel):
        check_samples(path, block, num_samples)
        num_samples += len(block)
        yield block
    _check_count(path, num_samples, info)


def resample_blocks(
    blocks: Iterator[np.ndarray], source_rate: int, sample_rate: int
) -> Iterator[np.ndarray]:
    """Resample consecutive pieces (L,) to pieces of what `resample` makes of the whole."""
    stream = ResampleStream(source_rate, sample_rate)
    for block in blocks:
        if len(ready := stream.push(block)):
            yield ready
    if source_rate != sample_rate:
        yield stream.finish()


def write_wav(path: str | Path, waveform: np.ndarray, sample_rate: int) -> None:
    """Write a mono waveform as 16-bit PCM WAV, under a temporary name that is then renamed.

    Args:
        waveform: (L,) float, finite; values beyond [-1, 1) saturate.

    Raises:
        ValueError: the waveform is not one-dimensional, is empty or not finite.
    """
    check_rate(sample_rate)
    waveform = np.asarray(waveform)
    if waveform.ndim != 1 or waveform.size == 0:
        raise ValueError(f"waveform must be (L,) with L >= 1, got shape {waveform.shape}")
    if not np.isfinite(waveform).all():
        raise ValueError("waveform must be finite, got NaN or infinity")
    with replacing(path) as temporary:
        soundfile.write(temporary, to_pcm16(waveform), sample_rate, subtype="PCM_16", format="WAV")


def to_pcm16(waveform: np.ndarray) -> np.ndarray:
    """Round samples to int16; what was read from 16-bit audio survives unchanged."""
    # The inverse of libsndfile's reading (value / 32768).
    return np.clip(np.rint(waveform * 32768.0), -32768, 32767).astype(np.int16)


def _open(path: str | Path | AudioContent) -> soundfile.SoundFile:
    """Open a file after the checks that libsndfile words badly."""
    if isinstance(path, AudioContent):
        try:
            return soundfile.SoundFile(io.BytesIO(path.content))
        except soundfile.LibsndfileError as error:
            raise AudioError(f"{path}: cannot be decoded: {_reason(error)}") from error
    path = Path(path)
    if path.is_dir():
        raise AudioError(f"{path}: is a folder, not an audio file")
    if not path.exists():
        raise AudioError(f"{path}: no such audio file")
    if not path.is_file():
        raise AudioError(f"{path}: is not a regular file")
    if path.suffix.lower() == ".raw":
        raise AudioError(f"{path}: headerless audio has no sample rate; convert it to WAV first")
    try:
        if path.stat().st_size == 0:
            raise AudioError(f"{path}: the file is empty (0 bytes)")
        # As bytes, since soundfile would refuse a name that is not UTF-8; Windows has none.
        name = os.fsencode(path) if os.name == "posix" else path
        return soundfile.SoundFile(cast(Path, name))  # its signature has forgotten bytes
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(f"{path}: cannot be decoded: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Give the library's reason without the path, which the message names already."""
    text = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
    return text.removeprefix("Error : ").rstrip(".")


def _checked_info(
    path: object, file: soundfile.SoundFile, max_duration_s: float = MAX_DURATION_S
) -> AudioInfo:
    _check_not_cut(path, file)
    if file.frames == 0:
        raise AudioError(f"{path}: holds no samples")
    if not MIN_SAMPLE_RATE <= file.samplerate <= MAX_SAMPLE_RATE:
        raise AudioError(
            f"{path}: sample rate must be {MIN_SAMPLE_RATE}..{MAX_SAMPLE_RATE} Hz, "
            f"got {file.samplerate}"
        )
    duration_s = file.frames / file.samplerate
    if duration_s > MAX_DURATION_S:
        raise AudioError(
            f"{path}: the header promises {file.frames} samples, {duration_s / 3600:.1f} h, "
            f"more than {MAX_DURATION_S / 3600:.0f} h"
        )
    if duration_s > max_duration_s:
        raise AudioError(f"{path}: lasts {duration_s:.3f} s, maximum {max_duration_s:.6g} s")
    return AudioInfo(file.frames, file.samplerate, file.channels, duration_s)


def _check_not_cut(path: object, file: soundfile.SoundFile) -> None:
    """Refuse a file shorter than its header says: libsndfile only notes that in its log."""
    log = file.extra_info
    cut = _CUT_CHUNK.search(log)
    if cut and int(cut[2]) < int(cut[1]) < UNKNOWN_LENGTH:
        raise AudioError(f"{path}: truncated, {cut[2]} bytes of audio instead of {cut[1]}")
    # An end at a page's border without the end-of-stream mark is how some recorders stop: accepted.
    if _CUT_OGG.search(log):
        raise AudioError(f"{path}: truncated, the last Ogg page is incomplete")


def _mono_blocks(
    path: object,
    file: soundfile.SoundFile,
    most: int | None = None,
    channel: int | None = None,
) -> Iterator[np.ndarray]:
    """Mix down all samples that the file really holds, or the first `most`."""
    frames = max(1, _BLOCK_SAMPLES // file.channels)
    left = file.frames if most is None else most
    try:
        while len(block := file.read(min(frames, left), "float32", always_2d=True)):
            yield mix_down(block, channel)
            left -= 0 if most is None else len(block)
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: cannot be decoded: {_reason(error)}") from error


def mix_down(block: np.ndarray, channel: int | None = None) -> np.ndarray:
    """Average the channels of samples (L, channels), or take one of them, from 0: (L,)."""
    return block.mean(axis=1) if channel is None and block.shape[1] > 1 else block[:, channel or 0]


def _check_count(path: object, num_samples: int, info: AudioInfo) -> None:
    if info.num_samples - num_samples > TRUNCATION_TOLERANCE_S * info.sample_rate:
        raise AudioError(f"{path}: truncated, {num_samples} samples instead of {info.num_samples}")
    if num_samples == 0:
        raise AudioError(f"{path}: holds no samples")


def check_samples(path: object, waveform: np.ndarray, first: int = 0) -> None:
    """Check samples (L,) of a file, of which they are those from `first` on."""
    if not np.isfinite(waveform).all():
        index = int(np.argmin(np.isfinite(waveform)))
        raise AudioError(
            f"{path}: samples must be finite, sample {first + index} is {waveform[index]}"
        )
    check_peak(str(path), float(np.abs(waveform).max()))


def check_peak(name: str, peak: float) -> None:
    """Refuse samples that were never scaled to [-1, 1]; say once of loud ones that they are cut.

    Raises:
        AudioError: `peak` is over MAX_PEAK.
    """
    if peak > MAX_PEAK:
        raise AudioError(f"{name}: float samples must lie in [-1, 1], the peak is {peak:.6g}")
    if peak > LOUD_PEAK:
        _announce_cut(name)


@lru_cache(maxsize=1024)
def _announce_cut(name: str) -> None:
    logger.warning("%s: float samples above 1 are cut to it: save the recording less loud", name)
