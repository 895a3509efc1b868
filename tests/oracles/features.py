"""Kaldi's filterbank one frame at a time, in float64, from the text of its sources."""

import math

import numpy as np


def window_at(samples, center_start, win_length):
    """The window that begins at `center_start` (may be negative), without its mean."""
    size = len(samples)
    window = np.empty(win_length)
    for k in range(win_length):
        position = center_start + k
        while position < 0 or position >= size:  # mirror, edge sample included
            position = -position - 1 if position < 0 else 2 * size - 1 - position
        window[k] = samples[position]
    return window - window.mean()


def power_frame(samples, center_start, *, win_length, n_fft):
    """Power of that window at n_fft / 2 + 1 frequencies."""
    window = window_at(samples, center_start, win_length)
    emphasised = np.array([window[k] - 0.97 * window[max(k - 1, 0)] for k in range(win_length)])
    povey = [
        (0.5 - 0.5 * math.cos(2 * math.pi * k / (win_length - 1))) ** 0.85
        for k in range(win_length)
    ]
    return np.abs(np.fft.rfft(emphasised * povey, n_fft)) ** 2


def log_mel_frame(samples, center_start, *, sample_rate, n_mels, win_length, n_fft, f_min, f_max):
    """Log mel energies of that window."""
    power = power_frame(samples, center_start, win_length=win_length, n_fft=n_fft)

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


def cepstra(bands, num_ceps, lifter):
    """Liftered orthonormal DCT-II of log energies of bands, term by term."""
    size = len(bands)
    result = []
    for i in range(num_ceps):
        total = sum(x * math.cos(math.pi * i * (m + 0.5) / size) for m, x in enumerate(bands))
        total *= math.sqrt((1 if i == 0 else 2) / size)
        result.append(total * (1 + lifter / 2 * math.sin(math.pi * i / lifter)))
    return np.array(result)


def kaldi_deltas(features, order, window=2):
    """Features (T, F) and their deltas: a filter for each order, on frames held at the ends.

    As in Kaldi, the filter of an order is the one before it, convolved with n / (2 sum n^2),
    n = -2..2.
    """
    slope = np.arange(-window, window + 1) / (2 * sum(n * n for n in range(1, window + 1)))
    filters = [np.array([1.0])]
    for _ in range(order):
        filters.append(np.convolve(filters[-1], slope))
    rows = []
    for t in range(len(features)):
        row = []
        for taps in filters:
            half = len(taps) // 2
            held = [min(max(t + j, 0), len(features) - 1) for j in range(-half, half + 1)]
            row.append(sum(tap * features[frame] for tap, frame in zip(taps, held, strict=True)))
        rows.append(np.concatenate(row))
    return np.array(rows)
