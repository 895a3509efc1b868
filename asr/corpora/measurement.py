"""What a recording sounds like, in numbers: its level, how much is clipped, how much is nothing."""

import math
from typing import NamedTuple

import numpy as np

# Samples from here on count as full scale: 16-bit converters end at 32767.
FULL_SCALE = 32766 / 32768
# So many samples in a row at full scale are clipped; one alone is just a peak.
CLIPPED_RUN = 3
# So many seconds of zeros in a row are digital silence; no microphone gives them.
SILENT_RUN_S = 0.05
# Level of what is all zeros.
SILENCE_DB = -150.0


class Sound(NamedTuple):
    """Measures of one recording.

    Attributes:
        digest: of the file's bytes.
        sample_rate: Hz, of the file.
        channels: of the file.
        level_db: root mean square, decibels below full scale.
        peak: largest magnitude, 1 is full scale.
        clipped: fraction of samples that are clipped.
        silent: fraction of samples that are digital silence.
    """

    digest: str
    sample_rate: int
    channels: int
    level_db: float
    peak: float
    clipped: float
    silent: float


def measure(digest: str, waveform: np.ndarray, sample_rate: int, channels: int) -> Sound:
    """Measure a recording.

    Args:
        digest: of the file's bytes.
        waveform: (L,) float32, L >= 1, at the file's own rate.
    """
    magnitude = np.abs(waveform)
    power = float(np.mean(np.square(waveform), dtype=np.float64))
    return Sound(
        digest=digest,
        sample_rate=sample_rate,
        channels=channels,
        level_db=max(SILENCE_DB, 10 * math.log10(power)) if power > 0 else SILENCE_DB,
        peak=float(magnitude.max()),
        clipped=_in_runs(magnitude >= FULL_SCALE, CLIPPED_RUN),
        silent=_in_runs(magnitude == 0, max(1, round(SILENT_RUN_S * sample_rate))),
    )


def _in_runs(marked: np.ndarray, shortest: int) -> float:
    """Give the fraction of samples (L,) that are marked in runs of at least `shortest`."""
    if not marked.any():
        return 0.0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]])))
    lengths = edges[1::2] - edges[::2]
    return float(lengths[lengths >= shortest].sum()) / len(marked)
