"""Samples one by one, for networks whose frames are cut by their own convolutions."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import Tensor, nn

from asr.features.framing import ENERGY_FLOOR, cut_windows, povey_window, power_spectra
from asr.features.front_end import Augment, length_mask

Size = TypeVar("Size", int, Tensor)
# Added to the variance of an utterance.
VARIANCE_FLOOR = 1e-7
# Samples of a window of what pictures show, and between two.
WINDOW = 64
STEP = 32


class Samples(nn.Module):
    """The waveform itself, a frame a sample, so that lengths are exact.

    Args:
        sample_rate: Hz; waveforms of another rate must be resampled before.
        normalize: whether every utterance gets mean 0 and deviation 1.
    """

    hop_length = 1
    num_features = 1
    num_bands = 0
    needs_fit = False

    def __init__(self, *, sample_rate: int, normalize: bool) -> None:
        super().__init__()
        if sample_rate < 1:
            raise ValueError(f"sample_rate must be >= 1, got {sample_rate}")
        self.sample_rate = sample_rate
        self.normalize = normalize

    def num_frames(self, num_samples: Size) -> Size:
        """As many as samples."""
        return num_samples

    def forward(
        self, waveforms: Tensor, lengths: Tensor, augment: Augment | None = None
    ) -> tuple[Tensor, Tensor]:
        """Normalise a padded batch.

        Args:
            waveforms: (N, L) in [-1, 1]; samples at and beyond a length are ignored.
            lengths: (N,) samples of each utterance, 0..L.
            augment: changes what is normalised.

        Returns:
            samples (N, L, 1), zero beyond each length, and lengths (N,).
        """
        with torch.autocast(waveforms.device.type, enabled=False):
            longest = max(lengths.tolist(), default=0)
            lengths = lengths.to(waveforms.device, non_blocking=True)
            mask = length_mask(lengths, longest)
            samples = waveforms[:, :longest].float().masked_fill(~mask, 0.0)
            if self.normalize:
                samples = normalize_samples(samples, lengths, mask)
            samples = samples[..., None]  # (N, L, 1)
            return samples if augment is None else augment(samples), lengths

    def log_energies(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the log power of short windows, one for some samples in a row."""
        longest = max(lengths.tolist(), default=0)
        lengths = lengths.to(waveforms.device, non_blocking=True)
        windows = cut_windows(waveforms, lengths, -(-longest // STEP), WINDOW, STEP)
        power = power_spectra(windows, povey_window(WINDOW).to(windows), WINDOW)
        energies = power.clamp_min(ENERGY_FLOOR).log().repeat_interleave(STEP, dim=1)
        return energies[:, :longest], lengths

    def fit(
        self,
        batches: Iterable[tuple[Tensor, Tensor]],
        reduce: Callable[[Tensor], Tensor] = lambda sums: sums,
    ) -> None:
        """Nothing is measured of a corpus."""


def normalize_samples(samples: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
    """Give (N, L) mean 0 and deviation 1 over where `mask` is True, zero elsewhere."""
    count = lengths.clamp_min(1)[:, None]
    centred = (samples - samples.sum(1, keepdim=True) / count).masked_fill(~mask, 0.0)
    variance = centred.square().sum(1, keepdim=True) / count
    return centred * (variance + VARIANCE_FLOOR).rsqrt()
