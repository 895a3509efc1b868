"""Augmentation of feature batches: masks and warped bands."""

import torch
from torch import Tensor


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
