"""Filter banks that are learnt: samples in, log magnitudes of K filters a frame out.

Letters: N batch, T frames, L samples, K filters, W samples of a filter.

Why the logarithm: loudness spans 60 dB, of which a network behind plain magnitudes hears the top.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from asr.features.front_end import length_mask
from asr.features.mel import mel_points
from asr.models.blocks import MaskedBatchNorm
from asr.models.receptive_field import ceil_div

# 60 dB below samples of deviation 1: what is fainter counts as silence.
FLOOR = 1e-3
# A second at 16 kHz. A file's filters are made from few numbers, whose shapes do not bound it.
MAX_SIZE = 2**14
# About what a filter of 251 samples at 16 kHz tells apart.
MIN_BAND_HZ = 50.0


class FilterBank(nn.Module):
    """Filter, rectify, keep the largest value of each frame, take logarithms, normalise.

    y[t, k] = BN(ln(max_n |sum_m h_k[m] x[n - m]| + 0.001)),   n: each `stride`th sample of frame t

    Args:
        sample_rate: Hz.
        hop_length: samples of a frame.
        num_filters: K.
        size: W, samples of a filter, odd.
        stride: samples between two outputs of a filter; divides `hop_length`, at most `size`.
        init: "mel": bands side by side from `f_min` to `f_max`, equally wide on the mel scale;
            "random": what the kind of filter draws.
        f_min: Hz, >= 0.
        f_max: Hz, <= sample_rate / 2.

    Source: Palaz et al. 2013 (arXiv:1304.1018): filters over samples and max pooling; Sainath et
    al. 2015, "Learning the speech front-end with raw waveform CLDNNs": the logarithm.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        hop_length: int,
        num_filters: int,
        size: int,
        stride: int,
        init: Literal["mel", "random"],
        f_min: float,
        f_max: float,
    ) -> None:
        super().__init__()
        if num_filters < 1:
            raise ValueError(f"num_filters must be >= 1, got {num_filters}")
        if not 1 <= size <= MAX_SIZE or size % 2 == 0:
            raise ValueError(f"size must be odd, 1..{MAX_SIZE} samples, got {size}")
        if not 1 <= stride <= size or hop_length % stride:
            raise ValueError(
                f"stride must divide hop_length={hop_length} and be <= size={size}, got {stride}"
            )
        if init not in ("mel", "random"):
            raise ValueError(f"init must be mel or random, got {init!r}")
        if not 0 <= f_min < f_max <= sample_rate / 2:
            raise ValueError(
                f"0 <= f_min < f_max <= sample_rate / 2 must hold, got {f_min}, {f_max}, "
                f"{sample_rate}"
            )
        self.sample_rate = sample_rate
        self.hop_length = hop_length
        self.num_features = num_filters
        self.size = size
        self.stride = stride
        edges = mel_points(num_filters + 1, f_min, f_max).float()
        self.create(init, torch.stack([edges[:-1], edges[1:]], dim=1))
        self.norm = MaskedBatchNorm(num_filters, feature_dim=-1)

    @property
    def receptive_field(self) -> int:
        """Frames of samples that a frame out depends on."""
        before, after = self._reach
        return 1 + ceil_div(before, self.hop_length) + ceil_div(after, self.hop_length)

    @property
    def _reach(self) -> tuple[int, int]:
        """Samples before and after a frame that its outputs, centred in their strides, see."""
        before = (self.size - self.stride) // 2
        return before, self.size - self.stride - before

    def create(self, init: str, bands: Tensor) -> None:
        """Make parameters: from `bands` (K, 2) Hz for "mel"."""
        raise NotImplementedError

    def impulse_responses(self) -> Tensor:
        """Filters h as they are now, (K, W)."""
        raise NotImplementedError

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Map frames of samples (N, T, hop_length), of which (N,) are speech, to (N, T, K)."""
        mask = length_mask(lengths, frames.shape[1])[..., None]  # (N, T, 1)
        # Samples have more digits than bfloat16.
        with torch.autocast(frames.device.type, enabled=False):
            samples = frames.float().masked_fill(~mask, 0.0).flatten(1)[:, None]  # (N, 1, L)
            samples = nn.functional.pad(samples, self._reach)
            filters = self.impulse_responses().flip(-1)[:, None]  # (K, 1, W)
            filtered = nn.functional.conv1d(samples, filters, stride=self.stride)
            peaks = nn.functional.max_pool1d(filtered.abs(), self.hop_length // self.stride)
            levels = torch.log(peaks + FLOOR).transpose(1, 2)  # (N, T, K)
            return self.norm(levels.masked_fill(~mask, 0.0), mask)


class ConvFilters(FilterBank):
    """Filters whose every sample is learnt; "random" draws them as PyTorch does convolutions.

    Source: Palaz et al. 2013 (arXiv:1304.1018).
    """

    def create(self, init: str, bands: Tensor) -> None:
        """Make the samples of the filters."""
        if init == "mel":
            weight = sinc_filters(bands / self.sample_rate, self.size)
        else:
            bound = self.size**-0.5
            weight = torch.empty(self.num_features, self.size).uniform_(-bound, bound)
        self.weight = nn.Parameter(weight)

    def impulse_responses(self) -> Tensor:
        """Filters h as they are now, (K, W)."""
        return self.weight


class SincFilters(FilterBank):
    """Band-pass filters of which two numbers each are learnt: where they begin, how wide they are.

    "random" draws both ends of every band, uniformly up to half the sample rate. Parameters are in
    kHz: a step at the usual learning rates then moves an edge by about a Hz.

    Source: Ravanelli and Bengio 2018 (arXiv:1808.00158), section 2.
    """

    def create(self, init: str, bands: Tensor) -> None:
        """Make the edges of the bands."""
        if init == "random":
            bands = torch.rand(bands.shape).sort(dim=1).values * (self.sample_rate / 2)
        low, high = bands.unbind(1)
        self.low_khz = nn.Parameter(low / 1000)
        self.width_khz = nn.Parameter((high - low) / 1000)

    def bands(self) -> Tensor:
        """Both ends of the bands as they are now, (K, 2) Hz.

        |low| and |low| + |width|, at least `MIN_BAND_HZ` apart and at most half the sample rate:
        whatever numbers are learnt, they are bands.
        """
        nyquist = self.sample_rate / 2
        low = (1000 * self.low_khz.abs()).clamp_max(nyquist - MIN_BAND_HZ)
        width = (1000 * self.width_khz.abs()).clamp_min(MIN_BAND_HZ)
        return torch.stack([low, (low + width).clamp_max(nyquist)], dim=1)

    def impulse_responses(self) -> Tensor:
        """Filters h as they are now, (K, W)."""
        return sinc_filters(self.bands() / self.sample_rate, self.size)


def sinc_filters(bands: Tensor, size: int) -> Tensor:
    """Ideal band-pass filters under a Hamming window.

    h[n] = (2 f2 sinc(2 pi f2 n) - 2 f1 sinc(2 pi f1 n)) w[n],   n = -(W - 1) / 2..(W - 1) / 2
    sinc(x) = sin(x) / x,   w[n] = 0.54 + 0.46 cos(2 pi n / (W - 1))

    Args:
        bands: f1 and f2 of each filter, (K, 2), in cycles a sample, 0..1/2.
        size: W, odd.

    Returns:
        h, (K, W), symmetrical; its gain is 1 within the band.

    Source: Ravanelli and Bengio 2018 (arXiv:1808.00158), section 2.
    """
    half = size // 2
    n = torch.arange(-half, half + 1, device=bands.device, dtype=bands.dtype)  # (W,)
    window = 0.54 + 0.46 * torch.cos(math.pi * n / max(half, 1))
    # torch.sinc(x) is sin(pi x) / (pi x).
    low, high = (2 * edge * torch.sinc(2 * edge * n) for edge in bands.split(1, dim=1))  # (K, W)
    return (high - low) * window
