"""The mel scale and Kaldi's bands on it.

Source: Kaldi, src/feat/mel-computations.cc.
"""

import torch
from torch import Tensor

from asr.features.framing import ENERGY_FLOOR

# More bands than anybody uses: tables grow with them.
MAX_N_MELS = 1024


def mel_points(count: int, f_min: float, f_max: float) -> Tensor:
    """Frequencies from `f_min` to `f_max` at equal distances on the mel scale, (count,) Hz."""
    return 700.0 * torch.expm1(_mel_points(count, f_min, f_max) / 1127.0)


def mel_filterbank(n_mels: int, n_fft: int, sample_rate: int, f_min: float, f_max: float) -> Tensor:
    """Build Kaldi's triangular filters, (n_fft / 2 + 1, n_mels) float64.

    Triangles are linear on the mel scale 1127 ln(1 + f / 700); the Nyquist bin has no weight.
    """
    bins = torch.arange(n_fft // 2, dtype=torch.float64) * sample_rate / n_fft
    mel = _to_mel(bins)[:, None]  # (n_fft / 2, 1)
    edges = _mel_points(n_mels + 2, f_min, f_max)
    rising = (mel - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mel) / (edges[2:] - edges[1:-1])
    bank = torch.minimum(rising, falling).clamp_min(0.0)
    return torch.cat([bank, bank.new_zeros(1, n_mels)])


def log_bands(power: Tensor, filterbank: Tensor) -> Tensor:
    """Logarithms of the energies in bands, (N, T, n_fft / 2 + 1) to (N, T, n_mels)."""
    return (power @ filterbank).clamp_min(ENERGY_FLOOR).log()


def check_mel(n_mels: int, sample_rate: int, f_min: float, f_max: float) -> None:
    """Refuse bands that are out of range.

    Raises:
        ValueError: names the parameter, the rule and the value.
    """
    if n_mels < 1:
        raise ValueError(f"n_mels must be >= 1, got {n_mels}")
    if n_mels > MAX_N_MELS:
        raise ValueError(f"n_mels must be <= {MAX_N_MELS}, got {n_mels}")
    if not 0 <= f_min < f_max <= sample_rate / 2:
        raise ValueError(
            f"0 <= f_min < f_max <= sample_rate / 2 must hold, got {f_min}, {f_max}, {sample_rate}"
        )


def _mel_points(count: int, f_min: float, f_max: float) -> Tensor:
    low, high = _to_mel(torch.tensor([f_min, f_max], dtype=torch.float64))
    return low + (high - low) * torch.arange(count, dtype=torch.float64) / (count - 1)


def _to_mel(frequency: Tensor) -> Tensor:
    return 1127.0 * torch.log1p(frequency / 700.0)
