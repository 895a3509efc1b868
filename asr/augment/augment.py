"""Augmentation: of waveforms, utterance by utterance, and of feature batches.

All randomness comes from the generator that is handed in, so that an epoch is a pure function
of its seed.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
import torchaudio
from torch import Tensor


class Change(NamedTuple):
    """What is drawn for one utterance before its samples are known."""

    speed: float
    lead_s: float  # silence before and after
    trail_s: float


class WaveformAugment:
    """Change speed, loudness and noise floor of a waveform, and put silence around it.

    Args:
        speeds: factors to draw from, each in [0.5, 2]; speech is resampled, so pitch moves too.
        gain_db: loudness changes by a value drawn from -gain_db..gain_db, >= 0.
        noise_snr_db: (low, high) dB of white noise below the speech, or None for none.
        noise_probability: how often noise is added, in [0, 1].
        pad_s: longest silence put before and after the speech, seconds, >= 0.
        pad_probability: how often, for each side by itself, in [0, 1]. Half of the silences are
            digital zeros, half are faint white noise.
        pad_noise_db: (low, high) dB of that noise, full scale 0.

    Source: Ko et al. 2015, "Audio augmentation for speech recognition" (speed).
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        speeds: Sequence[float],
        gain_db: float,
        noise_snr_db: tuple[float, float] | None,
        noise_probability: float,
        pad_s: float,
        pad_probability: float,
        pad_noise_db: tuple[float, float],
    ) -> None:
        if not speeds or not all(0.5 <= speed <= 2 for speed in speeds):
            raise ValueError(f"speeds must be one or more factors in [0.5, 2], got {list(speeds)}")
        if sample_rate < 1:
            raise ValueError(f"sample_rate must be >= 1, got {sample_rate}")
        for name, value in (("gain_db", gain_db), ("pad_s", pad_s)):
            if value < 0:
                raise ValueError(f"{name} must be >= 0, got {value}")
        for name, pair in (("noise_snr_db", noise_snr_db), ("pad_noise_db", pad_noise_db)):
            if pair is not None and not pair[0] <= pair[1]:
                raise ValueError(f"{name} must be low <= high, got {tuple(pair)}")
        for name, value in (
            ("noise_probability", noise_probability),
            ("pad_probability", pad_probability),
        ):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {value}")
        self.sample_rate = sample_rate
        self.speeds = [float(speed) for speed in speeds]
        self.gain_db = gain_db
        self.noise_snr_db = noise_snr_db
        self.noise_probability = noise_probability
        self.pad_s = pad_s
        self.pad_probability = pad_probability
        self.pad_noise_db = pad_noise_db

    @property
    def max_speed(self) -> float:
        """The factor that shortens an utterance most."""
        return max(self.speeds)

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return an augmented copy of (L,) float32; speed and silence change L."""
        change = self.draw(rng)
        waveform = change_speed(waveform, change.speed)
        if self.noise_snr_db is not None and rng.random() < self.noise_probability:
            waveform = add_noise(waveform, rng.uniform(*self.noise_snr_db), rng)
        if self.gain_db:
            waveform = waveform * np.float32(10 ** (rng.uniform(-self.gain_db, self.gain_db) / 20))
        lead, trail = (round(s * self.sample_rate) for s in (change.lead_s, change.trail_s))
        if lead or trail:
            level_db = rng.uniform(*self.pad_noise_db) if rng.random() < 0.5 else -np.inf
            waveform = add_silence(waveform, lead, trail, level_db, rng)
        return waveform

    def draw(self, rng: np.random.Generator) -> Change:
        """Draw what changes the length; the first that `__call__` takes from a generator."""
        speed = self.speeds[rng.integers(len(self.speeds))]
        sides = rng.random(2) < self.pad_probability
        lead_s, trail_s = np.where(sides, rng.uniform(0.0, self.pad_s, 2), 0.0).tolist()
        return Change(speed, lead_s, trail_s)

    def duration(self, seconds: float, rng: np.random.Generator) -> float:
        """Seconds that an utterance will have after `__call__` with a generator in this state."""
        change = self.draw(rng)
        return seconds / change.speed + change.lead_s + change.trail_s


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


class SpecAugment:
    """Mask bands and stretches of time of a feature batch with zeros, their mean.

    Args:
        freq_masks: masks over bands, >= 0.
        freq_width: widest, in bands.
        time_masks: masks over time for each utterance, >= 0.
        time_width: widest, in frames.
        time_fraction: widest, as a fraction of the utterance, in [0, 1].
        freq_warp: furthest that the middle band moves, up or down, the outermost staying; in
            bands, in [0, F / 4]. Other voices have their formants elsewhere.

    Source: Park et al. 2019 (arXiv:1904.08779), without time warping; Jaitly and Hinton 2013,
    "Vocal tract length perturbation" (why frequencies are warped).
    """

    def __init__(
        self,
        *,
        freq_masks: int,
        freq_width: int,
        time_masks: int,
        time_width: int,
        time_fraction: float,
        freq_warp: float,
    ) -> None:
        for name, value in (
            ("freq_warp", freq_warp),
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
        self.freq_warp = freq_warp

    @property
    def needs_bands(self) -> bool:
        """Whether masks or warping go over bands."""
        return self.freq_masks > 0 or self.freq_warp > 0

    def __call__(
        self,
        features: Tensor,
        lengths: Tensor,
        generator: torch.Generator,
        num_bands: int | None = None,
    ) -> Tensor:
        """Warp bands and set masked cells to zero.

        Args:
            features: (N, T, F).
            lengths: (N,) frames.
            generator: lives on the CPU.
            num_bands: how many of the F are bands; what follows repeats these (their deltas) and is
                treated as they are. None: all; 0: none, and only time is masked.

        Returns:
            (N, T, F).
        """
        num, frames, bins = features.shape
        bands = bins if num_bands is None else num_bands
        if self.freq_warp and bands:
            moves = (2 * torch.rand(num, generator=generator) - 1) * self.freq_warp  # (N,)
            grouped = features.reshape(num, -1, bands)  # (N, T F / bands, bands)
            features = warp_bands(grouped, moves.to(features.device)).view(num, frames, bins)
        over_bins = torch.zeros(num, bins, dtype=torch.bool)
        if bands:
            sizes = torch.full((num,), bands)
            widest = torch.full((num,), min(self.freq_width, bands))
            over_bands = _stripes(self.freq_masks, widest, sizes, bands, generator)
            over_bins = over_bands.repeat(1, bins // bands)  # (N, F)
        lengths = lengths.cpu()
        widest = (lengths * self.time_fraction).long().clamp_max(self.time_width)
        over_time = _stripes(self.time_masks, widest, lengths, frames, generator)  # (N, T)
        mask = over_time[:, :, None] | over_bins[:, None, :]  # (N, T, F)
        return features.masked_fill(mask.to(features.device), 0.0)


def warp_bands(features: Tensor, moves: Tensor) -> Tensor:
    """Stretch and squeeze the band axis of (N, T, F): the middle band moves by (N,) bands.

    The outermost bands stay; between, values are interpolated linearly.
    """
    last = features.shape[-1] - 1
    if last < 1:
        return features
    middle = last / 2
    band = torch.arange(last + 1, device=features.device)  # (F,)
    moved = middle + moves[:, None]  # (N, 1): where the middle band's values will be
    above = last - (last - band) * middle / (last - moved)
    source = torch.where(band < moved, band * middle / moved, above)  # (N, F)
    lower = source.long().clamp(0, last - 1)  # (N, F)
    part = (source - lower)[:, None]  # (N, 1, F)
    lower = lower[:, None].expand(features.shape)  # (N, T, F)
    return torch.lerp(features.gather(2, lower), features.gather(2, lower + 1), part)


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
