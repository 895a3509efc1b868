"""Augmentation: of waveforms, utterance by utterance, and of feature batches.

All randomness comes from the generator that is handed in, so that an epoch is a pure function
of its seed.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
import torchaudio
from torch import Tensor


class WaveformAugment:
    """Change speed, loudness and noise floor of a waveform.

    Args:
        speeds: factors to draw from, each in [0.5, 2]; speech is resampled, so pitch moves too.
        gain_db: loudness changes by a value drawn from -gain_db..gain_db, >= 0.
        noise_snr_db: (low, high) dB of white noise below the speech, or None for none.
        noise_probability: how often noise is added, in [0, 1].

    Source: Ko et al. 2015, "Audio augmentation for speech recognition" (speed).
    """

    def __init__(
        self,
        *,
        speeds: Sequence[float],
        gain_db: float,
        noise_snr_db: tuple[float, float] | None,
        noise_probability: float,
    ) -> None:
        if not speeds or not all(0.5 <= speed <= 2 for speed in speeds):
            raise ValueError(f"speeds must be one or more factors in [0.5, 2], got {list(speeds)}")
        if gain_db < 0:
            raise ValueError(f"gain_db must be >= 0, got {gain_db}")
        if noise_snr_db is not None and not noise_snr_db[0] <= noise_snr_db[1]:
            raise ValueError(f"noise_snr_db must be low <= high, got {tuple(noise_snr_db)}")
        if not 0 <= noise_probability <= 1:
            raise ValueError(f"noise_probability must be in [0, 1], got {noise_probability}")
        self.speeds = [float(speed) for speed in speeds]
        self.gain_db = gain_db
        self.noise_snr_db = noise_snr_db
        self.noise_probability = noise_probability

    @property
    def max_speed(self) -> float:
        """The factor that shortens an utterance most."""
        return max(self.speeds)

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return an augmented copy of (L,) float32; speed changes L."""
        waveform = change_speed(waveform, self.speeds[rng.integers(len(self.speeds))])
        if self.noise_snr_db is not None and rng.random() < self.noise_probability:
            waveform = add_noise(waveform, rng.uniform(*self.noise_snr_db), rng)
        if self.gain_db:
            waveform = waveform * np.float32(10 ** (rng.uniform(-self.gain_db, self.gain_db) / 20))
        return waveform


def change_speed(waveform: np.ndarray, factor: float) -> np.ndarray:
    """Play (L,) float32 `factor` times faster: L / factor samples, rounded up."""
    if factor == 1.0:
        return waveform
    return _speed_resampler(round(factor * 100))(torch.from_numpy(waveform)).numpy()


@cache
def _speed_resampler(percent: int) -> torchaudio.transforms.Resample:
    return torchaudio.transforms.Resample(percent, 100)


def add_noise(waveform: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """Add white noise so that speech power over noise power is `snr_db`; silence stays."""
    power = float(np.mean(np.square(waveform, dtype=np.float64))) if len(waveform) else 0.0
    scale = np.sqrt(power / 10 ** (snr_db / 10))
    noise = rng.standard_normal(len(waveform), dtype=np.float32)
    return waveform + np.float32(scale) * noise


class SpecAugment:
    """Mask bands and stretches of time of a feature batch with zeros, their mean.

    Args:
        freq_masks: masks over bands, >= 0.
        freq_width: widest, in bands.
        time_masks: masks over time for each utterance, >= 0.
        time_width: widest, in frames.
        time_fraction: widest, as a fraction of the utterance, in [0, 1].

    Source: Park et al. 2019 (arXiv:1904.08779), without time warping.
    """

    def __init__(
        self,
        *,
        freq_masks: int,
        freq_width: int,
        time_masks: int,
        time_width: int,
        time_fraction: float,
    ) -> None:
        for name, value in (
            ("freq_masks", freq_masks),
            ("freq_width", freq_width),
            ("time_masks", time_masks),
            ("time_width", time_width),
        ):
            if value < 0:
                raise ValueError(f"{name} must be >= 0, got {value}")
        if not 0 <= time_fraction <= 1:
            raise ValueError(f"time_fraction must be in [0, 1], got {time_fraction}")
        self.freq_masks = freq_masks
        self.freq_width = freq_width
        self.time_masks = time_masks
        self.time_width = time_width
        self.time_fraction = time_fraction

    def __call__(self, features: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """Return (N, T, F) with masked cells zero; `generator` lives on the CPU."""
        num, frames, bins = features.shape
        sizes = torch.full((num,), bins)
        widest = torch.full((num,), min(self.freq_width, bins))
        over_bins = _stripes(self.freq_masks, widest, sizes, bins, generator)  # (N, F)
        lengths = lengths.cpu()
        widest = (lengths * self.time_fraction).long().clamp_max(self.time_width)
        over_time = _stripes(self.time_masks, widest, lengths, frames, generator)  # (N, T)
        mask = over_time[:, :, None] | over_bins[:, None, :]  # (N, T, F)
        return features.masked_fill(mask.to(features.device), 0.0)


def _stripes(
    count: int, widest: Tensor, sizes: Tensor, axis: int, generator: torch.Generator
) -> Tensor:
    """Union of `count` random intervals within each size, (N, axis) bool."""
    num = len(sizes)
    width = torch.rand(num, count, generator=generator) * (widest[:, None] + 1)
    width = width.long()  # (N, count), 0..widest
    start = torch.rand(num, count, generator=generator) * (sizes[:, None] - width + 1)
    start = start.long()  # (N, count), 0..size - width
    index = torch.arange(axis)[None, None]  # (1, 1, axis)
    inside = (index >= start[..., None]) & (index < (start + width)[..., None])
    return inside.any(dim=1)
