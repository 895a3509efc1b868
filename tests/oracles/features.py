"""Kaldi's filterbank one frame at a time, in float64, from the text of its sources."""

import math

import numpy as np


def log_mel_frame(samples, center_start, *, sample_rate, n_mels, win_length, n_fft, f_min, f_max):
    """Log mel energies of the window that begins at `center_start` (may be negative)."""
    size = len(samples)
    window = np.empty(win_length)
    for k in range(win_length):
        position = center_start + k
        while position < 0 or position >= size:  # mirror, edge sample included
            position = -position - 1 if position < 0 else 2 * size - 1 - position
        window[k] = samples[position]
    window -= window.mean()
    emphasised = np.array([window[k] - 0.97 * window[max(k - 1, 0)] for k in range(win_length)])
    povey = [
        (0.5 - 0.5 * math.cos(2 * math.pi * k / (win_length - 1))) ** 0.85
        for k in range(win_length)
    ]
    power = np.abs(np.fft.rfft(emphasised * povey, n_fft)) ** 2

    def mel(frequency):
        return 1127.0 * math.log(1.0 + frequency / 700.0)

    low, high = mel(f_min), mel(f_max)
    step = (high - low) / (n_mels + 1)
    energies = []
    for band in range(n_mels):
        left, center, right = (low + (band + i) * step for i in range(3))
        energy = 0.0
        for i in range(n_fft // 2):
            m = mel(i * sample_rate / n_fft)
            if left < m < right:
                up, down = (m - left) / (center - left), (right - m) / (right - center)
                energy += min(up, down) * power[i]
        energies.append(math.log(max(energy, np.finfo(np.float32).eps)))
    return np.array(energies)
