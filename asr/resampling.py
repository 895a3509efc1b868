"""Waveforms from one sample rate to another."""

import math
from functools import lru_cache
from math import gcd
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torchaudio.transforms import Resample

MIN_SAMPLE_RATE = 1_000
MAX_SAMPLE_RATE = 768_000
# Of a kernel of torchaudio's, elements: 160 x 475 (44.1 kHz to 16 kHz) and all usual rates fit.
_MAX_KERNEL = 2**19
# Zero crossings of the interpolating sinc on each side, and where it cuts off: torchaudio's.
_SINC_WIDTH = 6
_ROLLOFF = 0.99
# Samples, at the lower of the two rates, that the filter reaches to either side: 6 zero crossings
# and a little.
_SUPPORT = 8
# PyTorch convolves less by a matrix product, which rounds otherwise with another number of threads.
_FEWEST_SAMPLES = 20_481
# Samples whose weights are held at once.
_BLOCK_SAMPLES = 2**20


def resample(waveform: np.ndarray, source_rate: int, sample_rate: int) -> np.ndarray:
    """Resample a waveform by band-limited (windowed sinc) interpolation.

    The same bits whatever the number of PyTorch's threads.

    Args:
        waveform: (L,) or (N, L) float.
        source_rate: Hz of `waveform`.
        sample_rate: Hz to give.

    Returns:
        (ceil(L * sample_rate / source_rate),) or (N, same) float32.

    Raises:
        ValueError: a rate is out of range.
    """
    check_rate(source_rate)
    check_rate(sample_rate)
    waveform = np.asarray(waveform, dtype=np.float32)
    if source_rate == sample_rate:
        return waveform
    return _interpolate(waveform, source_rate, sample_rate, _FEWEST_SAMPLES)


def _interpolate(
    waveform: np.ndarray, source_rate: int, sample_rate: int, fewest_samples: int = 0
) -> np.ndarray:
    """Resample (..., L) float32; PyTorch is given zeros up to the fewest samples."""
    if waveform.size == 0:
        return waveform
    divisor = gcd(source_rate, sample_rate)
    ratio = source_rate // divisor, sample_rate // divisor
    if ratio[0] * ratio[1] > _MAX_KERNEL:
        return _resample_odd(waveform, *ratio)
    # torch costs a second of import, and only resampling needs it.
    try:
        import torch
    except ModuleNotFoundError:  # an install that runs exported models: the same, slower
        return _resample_odd(waveform, *ratio)
    missing = max(0, fewest_samples - waveform.shape[-1])
    padded = torch.nn.functional.pad(torch.from_numpy(np.ascontiguousarray(waveform)), (0, missing))
    num_outputs = -(-waveform.shape[-1] * ratio[1] // ratio[0])
    return _resampler(source_rate, sample_rate)(padded)[..., :num_outputs].numpy()


def _resample_odd(waveform: np.ndarray, source: int, target: int) -> np.ndarray:
    """Resample by a ratio of large numbers: each output from the samples near it.

    torchaudio convolves with target x source weights, nearly all of them zero: 11 million from
    44,056 Hz to 16 kHz. The weights here are the same, without the zeros.

        y[j] = sum_i x[i] h((i / source - j / target) b)
        h(t) = b / source sinc(t) cos^2(pi t / 12) for |t| < 6, otherwise 0

    Args:
        waveform: (..., L) float32.
        source: rate of `waveform` and
        target: rate to give, both without their common divisor.
    """
    cutoff = min(source, target) * _ROLLOFF
    width = math.ceil(_SINC_WIDTH * source / cutoff)
    taps = np.arange(-width, width + 2)
    padded = np.pad(waveform, [(0, 0)] * (waveform.ndim - 1) + [(width, width + 2)])
    num_outputs = -(-waveform.shape[-1] * target // source)
    resampled = np.empty((*waveform.shape[:-1], num_outputs), np.float32)
    block = max(1, _BLOCK_SAMPLES // len(taps) // max(1, waveform.size // waveform.shape[-1]))
    for start in range(0, num_outputs, block):
        places = np.arange(start, min(start + block, num_outputs)) * source  # in 1 / target samples
        t = (taps - (places % target)[:, None] / target) * (cutoff / source)  # (outputs, taps)
        t = t.clip(-_SINC_WIDTH, _SINC_WIDTH)
        weights = np.sinc(t) * np.cos(t * (np.pi / 2 / _SINC_WIDTH)) ** 2 * (cutoff / source)
        near = padded[..., (places // target)[:, None] + taps + width]  # (..., outputs, taps)
        resampled[..., start : start + block] = (near * weights).sum(axis=-1)
    return resampled


class ResampleStream:
    """Resamples a waveform that arrives in pieces, to pieces of what `resample` makes of the whole.

    Every sample is computed where its filter's whole support is at hand.

    Args:
        source_rate: Hz of what is pushed.
        sample_rate: Hz to give.

    Raises:
        ValueError: a rate is out of range.
    """

    def __init__(self, source_rate: int, sample_rate: int) -> None:
        check_rate(source_rate)
        check_rate(sample_rate)
        self._rates = source_rate, sample_rate
        divisor = gcd(source_rate, sample_rate)
        # Samples in and samples out of a period.
        self._period, self._made = source_rate // divisor, sample_rate // divisor
        # Periods on each side; of samples there are fewer at the lower rate.
        support = _SUPPORT * max(1, -(-self._period // self._made))
        self._context = -(-support // self._period)
        self._held = np.empty(0, np.float32)
        self._before = 0  # periods held that have been given already

    @property
    def samples_ahead(self) -> int:
        """Samples of the source that must follow a sample before it is given, at most."""
        return 0 if self._period == self._made else (self._context + 1) * self._period

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take the next (L,) and return what is ready, (L',) float32."""
        if self._period == self._made:
            return samples
        self._held = np.concatenate([self._held, samples])
        ready = len(self._held) // self._period - self._context
        if ready <= self._before:
            return self._held[:0]
        given = _interpolate(self._held, *self._rates)[
            self._before * self._made : ready * self._made
        ]
        kept = max(0, ready - self._context)
        self._held, self._before = self._held[kept * self._period :], ready - kept
        return given

    def finish(self) -> np.ndarray:
        """Return what is left, (L',) float32; nothing may follow."""
        return _interpolate(self._held, *self._rates)[self._before * self._made :]


@lru_cache(maxsize=16)
def _resampler(source_rate: int, sample_rate: int) -> "Resample":
    from torchaudio.transforms import Resample

    return Resample(source_rate, sample_rate)


def check_rate(sample_rate: int) -> None:
    """Refuse a sample rate that is out of range.

    Raises:
        ValueError: says the range and the value.
    """
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        raise ValueError(
            f"sample_rate must be {MIN_SAMPLE_RATE}..{MAX_SAMPLE_RATE} Hz, got {sample_rate}"
        )
