"""Features of frames by themselves in numpy, as `asr.features` computes them in PyTorch.

Deltas, normalisation and context are in the graph. Kaldi's definitions with `snip_edges=False`:
frames are centred, and samples outside a recording are its own mirror image.
"""

import inspect
import math
from typing import Literal

import numpy as np

Array = np.ndarray

PREEMPHASIS = 0.97
ENERGY_FLOOR = np.finfo(np.float32).eps
MAX_N_FFT = 2**16
MAX_N_MELS = 1024


class Statics:
    """Waveforms (L,) float32 in [-1, 1] to statics (T, S) float32.

    Args:
        kind: "log_mel", "mfcc" or "spectrogram".
        sample_rate: Hz.
        win_length: samples of a window.
        hop_length: samples between frames.
        n_fft: points of the transform.
        n_mels: bands, but for "spectrogram".
        f_min: Hz, lower edge of the first band.
        f_max: Hz, upper edge of the last band.
        num_ceps: cepstra of "mfcc".
        lifter: of "mfcc".
        use_energy: of "mfcc": whether the log energy takes the place of the first cepstrum.

    Raises:
        ValueError: names the option, the rule and the value.
    """

    def __init__(
        self,
        *,
        kind: Literal["log_mel", "mfcc", "spectrogram"],
        sample_rate: int,
        win_length: int,
        hop_length: int,
        n_fft: int,
        n_mels: int = 0,
        f_min: float = 0.0,
        f_max: float = 0.0,
        num_ceps: int = 0,
        lifter: float = 0.0,
        use_energy: bool = False,
    ) -> None:
        if kind not in ("log_mel", "mfcc", "spectrogram"):
            raise ValueError(f"kind must be log_mel, mfcc or spectrogram, got {kind!r}")
        if not 1 <= hop_length <= win_length <= n_fft <= MAX_N_FFT:
            raise ValueError(
                f"1 <= hop_length <= win_length <= n_fft <= {MAX_N_FFT} must hold, got "
                f"{hop_length}, {win_length}, {n_fft}"
            )
        self.kind = kind
        self.win_length, self.hop_length, self.n_fft = win_length, hop_length, n_fft
        self.use_energy = use_energy or kind == "spectrogram"
        hann = np.hanning(win_length)
        self._window = (hann**0.85).astype(np.float32)
        if kind == "spectrogram":
            self.size = n_fft // 2 + 1
            return
        if not 1 <= n_mels <= MAX_N_MELS or not 0 <= f_min < f_max <= sample_rate / 2:
            raise ValueError(
                f"1 <= n_mels <= {MAX_N_MELS} and 0 <= f_min < f_max <= sample_rate / 2 must hold, "
                f"got {n_mels}, {f_min}, {f_max}, {sample_rate}"
            )
        self._bank = mel_filterbank(n_mels, n_fft, sample_rate, f_min, f_max).astype(np.float32)
        self.size = n_mels
        if kind == "mfcc":
            if not 1 <= num_ceps <= n_mels:
                raise ValueError(f"num_ceps must be 1..n_mels={n_mels}, got {num_ceps}")
            self._cosines = cosine_transform(n_mels, num_ceps, lifter).astype(np.float32)
            self.size = num_ceps

    def num_frames(self, num_samples: int) -> int:
        """Count frames of that many samples."""
        return (num_samples + self.hop_length // 2) // self.hop_length

    def __call__(self, waveform: Array) -> Array:
        """Compute statics (T, S) of a waveform (L,)."""
        num_frames = self.num_frames(len(waveform))
        if num_frames == 0:
            return np.zeros((0, self.size), np.float32)
        windows = self._cut(np.asarray(waveform, np.float32), num_frames)
        previous = np.concatenate([windows[:, :1], windows[:, :-1]], axis=1)
        weighted = (windows - np.float32(PREEMPHASIS) * previous) * self._window
        spectrum = np.fft.rfft(weighted, n=self.n_fft)  # float32 in, complex64 out
        values = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        if self.kind != "spectrogram":
            values = values @ self._bank
        values = np.log(np.maximum(values, ENERGY_FLOOR))
        if self.kind == "mfcc":
            values = values @ self._cosines
        if self.use_energy:
            energy = np.square(windows).sum(axis=1)
            values[:, 0] = np.log(np.maximum(energy, ENERGY_FLOOR))
        return values

    def _cut(self, waveform: Array, num_frames: int) -> Array:
        """Windows without their mean, (T, win_length)."""
        span = (num_frames - 1) * self.hop_length + self.win_length
        start = self.hop_length // 2 - self.win_length // 2
        position = np.arange(start, start + span) % (2 * len(waveform))
        position = np.minimum(position, 2 * len(waveform) - 1 - position)
        samples = waveform[position]
        windows = np.lib.stride_tricks.sliding_window_view(samples, self.win_length)
        windows = windows[:: self.hop_length]
        return windows - windows.mean(axis=1, keepdims=True)


def make_statics(options: dict) -> Statics:
    """Build from what a file says.

    Raises:
        ValueError: options are missing, unknown or out of range.
    """
    known = set(inspect.signature(Statics).parameters)
    if unknown := sorted(set(options) - known):
        raise ValueError(f"statics have no option {unknown[0]!r}")
    try:
        return Statics(**options)
    except TypeError as error:
        raise ValueError(f"statics: {error}") from error


def mel_filterbank(n_mels: int, n_fft: int, sample_rate: int, f_min: float, f_max: float) -> Array:
    """Build Kaldi's triangular filters, (n_fft / 2 + 1, n_mels) float64.

    Source: Kaldi, src/feat/mel-computations.cc.
    """
    mel = _to_mel(np.arange(n_fft // 2) * sample_rate / n_fft)[:, None]
    edges = np.linspace(_to_mel(f_min), _to_mel(f_max), n_mels + 2)
    rising = (mel - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mel) / (edges[2:] - edges[1:-1])
    bank = np.maximum(np.minimum(rising, falling), 0.0)
    return np.concatenate([bank, np.zeros((1, n_mels))])  # the Nyquist bin has no weight


def cosine_transform(n_mels: int, num_ceps: int, lifter: float) -> Array:
    """Orthonormal DCT-II, liftered, (n_mels, num_ceps) float64.

    Source: Kaldi, src/feat/feature-mfcc.cc.
    """
    band = np.arange(n_mels)[:, None] + 0.5
    order = np.arange(num_ceps)
    scale = np.sqrt(np.where(order == 0, 1.0, 2.0) / n_mels)
    factors = 1.0 + 0.5 * lifter * np.sin(math.pi * order / lifter) if lifter else 1.0
    return scale * np.cos(math.pi / n_mels * band * order) * factors


def _to_mel(frequency: Array | float) -> Array:
    return 1127.0 * np.log1p(np.asarray(frequency) / 700.0)
