"""Silence around speech: where it is, put there, and cut off."""

import numpy as np

# Speech is where a stretch of this length is at most so much quieter than the loudest one.
ACTIVE_S = 0.02
ACTIVE_DB = 30.0


def find_active(waveform: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Find the stretches of 20 ms that are at most 30 dB below the loudest.

    Args:
        waveform: (L,) with at least one sample; what is left over after the last whole stretch is
            not looked at.
        sample_rate: Hz.

    Returns:
        The mean power of each stretch, whether it is one of these, and samples of a stretch.
    """
    size = min(len(waveform), round(ACTIVE_S * sample_rate))
    stretches = waveform[: len(waveform) // size * size].reshape(-1, size)
    powers = np.square(stretches, dtype=np.float64).mean(axis=1)
    return powers, powers >= powers.max() * 10 ** (-ACTIVE_DB / 10), size


def add_silence(
    waveform: np.ndarray, lead: int, trail: int, level_db: float, rng: np.random.Generator
) -> np.ndarray:
    """Put white noise of `level_db` (full scale 0, -inf for zeros) around (L,) float32."""
    padded = np.zeros(lead + len(waveform) + trail, np.float32)
    for side in (padded[:lead], padded[lead + len(waveform) :]):
        if np.isfinite(level_db):
            side += np.float32(10 ** (level_db / 20)) * rng.standard_normal(len(side), np.float32)
    padded[lead : lead + len(waveform)] = waveform
    return padded


def cut_silence(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Cut off what of (L,) is quiet before the first active stretch and after the last one."""
    if not len(waveform):
        return waveform
    _, is_active, size = find_active(waveform, sample_rate)
    active = np.flatnonzero(is_active)
    # What is left over after the last whole stretch belongs to it.
    end = len(waveform) if active[-1] == len(is_active) - 1 else (active[-1] + 1) * size
    return waveform[active[0] * size : end]
