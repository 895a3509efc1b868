"""Audio files of any kind piece by piece, in memory that does not grow with their length."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asr.audio import audio_info, read_blocks, resample_blocks
from asr.media.containers import ContainerFile, find_demuxer


class AudioFormat(NamedTuple):
    """What the samples of a file are."""

    sample_rate: int
    channels: int


def audio_format(path: str | Path) -> AudioFormat:
    """Read the header of a file that libsndfile reads, or PyAV: m4a, mp4, webm and the like.

    Raises:
        AudioError: as `audio_info`; or the file needs PyAV, which is not installed.
    """
    demuxer = find_demuxer(path)
    if demuxer is None:
        info = audio_info(path)
        return AudioFormat(info.sample_rate, info.channels)
    with ContainerFile(path, demuxer) as file:
        return AudioFormat(file.sample_rate, file.channels)


def stream_audio(
    path: str | Path, sample_rate: int, channel: int | None = None
) -> Iterator[np.ndarray]:
    """Read an audio file piece by piece, as one channel.

    Args:
        path: of any kind that `audio_format` reads.
        sample_rate: Hz to resample to.
        channel: the one to read, from 0; None averages all.

    Yields:
        Consecutive pieces (L,) in [-1, 1], some seconds or minutes long.

    Raises:
        AudioError: as `read_blocks`, with the piece that is broken; pieces before it were good.
    """
    demuxer = find_demuxer(path)
    if demuxer is None:
        yield from read_blocks(path, sample_rate, channel)
        return
    with ContainerFile(path, demuxer) as file:
        for block in resample_blocks(file.blocks(channel), file.sample_rate, sample_rate):
            yield block.clip(-1.0, 1.0)
