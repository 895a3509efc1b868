"""Windows of a waveform and their power, as Kaldi has them.

Frames are centred with mirrored edges (`snip_edges=False`): there are as many as steps of
`hop_length` in the utterance, however short it is.

Source: Kaldi, src/feat/feature-window.cc.
"""

import torch
from torch import Tensor

PREEMPHASIS = 0.97
# Kaldi floors energies at float32's epsilon before the logarithm.
ENERGY_FLOOR = torch.finfo(torch.float32).eps
# A second at the highest rates: tables grow with it.
MAX_N_FFT = 2**16


def povey_window(win_length: int) -> Tensor:
    """Kaldi's window, a Hann window to the power of 0.85: (win_length,) float32."""
    hann = torch.hann_window(win_length, periodic=False, dtype=torch.float64)
    return (hann**0.85).float()


def cut_windows(
    waveforms: Tensor, lengths: Tensor, num_frames: int, win_length: int, hop_length: int
) -> Tensor:
    """Cut windows around the middles of frames, without their mean.

    Samples outside an utterance mirror its own ends; what stands beyond a length is ignored.

    Args:
        waveforms: (N, L).
        lengths: (N,) samples, on the device of the waveforms.
        num_frames: T, frames of the longest.
        win_length: samples of a window.
        hop_length: samples between frames.

    Returns:
        (N, T, win_length).
    """
    if num_frames == 0:
        return waveforms.new_zeros(len(waveforms), 0, win_length)
    span = (num_frames - 1) * hop_length + win_length
    samples = mirror_ends(waveforms, lengths, span, hop_length // 2 - win_length // 2)
    return slide_windows(samples, win_length, hop_length)


def mirror_ends(waveforms: Tensor, lengths: Tensor, size: int, start: int) -> Tensor:
    """Read (N, L) from sample `start` on, (N, size): outside (N,) lengths its own mirror image."""
    position = torch.arange(start, start + size, device=waveforms.device)  # (P,)
    period = 2 * lengths.clamp_min(1)[:, None]
    position = torch.remainder(position[None], period)  # (N, P)
    position = torch.minimum(position, period - 1 - position)
    return waveforms.gather(1, position)


def slide_windows(samples: Tensor, win_length: int, hop_length: int) -> Tensor:
    """Cut all whole windows of (N, L), L >= win_length, without their mean: (N, T, win_length)."""
    windows = samples.unfold(1, win_length, hop_length)
    return windows - windows.mean(dim=-1, keepdim=True)


def power_spectra(windows: Tensor, window: Tensor, n_fft: int) -> Tensor:
    """Emphasise, weight and transform (N, T, win_length) to power (N, T, n_fft / 2 + 1)."""
    if windows.numel() == 0:  # which not every FFT takes
        return windows.new_zeros(*windows.shape[:2], n_fft // 2 + 1)
    previous = torch.cat([windows[..., :1], windows[..., :-1]], dim=-1)
    weighted = (windows - PREEMPHASIS * previous) * window
    return torch.fft.rfft(weighted, n=n_fft).abs().square()


def log_energy(windows: Tensor) -> Tensor:
    """Logarithm of each window's energy before emphasis, (N, T, win_length) to (N, T)."""
    return windows.square().sum(-1).clamp_min(ENERGY_FLOOR).log()


def check_analysis(sample_rate: int, win_length: int, hop_length: int, n_fft: int) -> None:
    """Refuse sizes that are out of range.

    Raises:
        ValueError: names the parameter, the rule and the value.
    """
    for name, value in (("sample_rate", sample_rate), ("hop_length", hop_length)):
        if value < 1:
            raise ValueError(f"{name} must be >= 1, got {value}")
    if not hop_length <= win_length <= n_fft:
        raise ValueError(
            f"hop_length <= win_length <= n_fft must hold, got {hop_length}, {win_length}, {n_fft}"
        )
    if n_fft > MAX_N_FFT:
        raise ValueError(f"n_fft must be <= {MAX_N_FFT}, got {n_fft}")
