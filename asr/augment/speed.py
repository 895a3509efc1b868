"""Speech at another pace: with the pitch (speed), or without (tempo)."""

import numpy as np

from asr.resampling import resample

# Of WSOLA: stretches that are laid over each other, two periods of a low voice long, and how far
# one may be moved, a period from end to end.
STRETCH_S = 0.025
SEARCH_S = 0.008


def change_speed(waveform: np.ndarray, factor: float) -> np.ndarray:
    """Play (L,) float32 `factor` times faster: L / factor samples, rounded up."""
    if factor == 1.0:
        return waveform
    return resample(waveform, 1000 * round(100 * factor), 100_000)


def change_tempo(waveform: np.ndarray, factor: float, sample_rate: int) -> np.ndarray:
    """Speak (L,) float32 `factor` times faster at the same pitch: L / factor samples, rounded up.

    Stretches of speech are taken from near where the new pace wants them, each from where it is
    most like what followed the one before it (waveform similarity), and faded into each other.
    torchaudio's phase vocoder loses 4 dB of a tone that it draws out.

    Source: Verhelst and Roelands 1993, "An overlap-add technique based on waveform similarity
    (WSOLA) for high quality time-scale modification of speech".
    """
    if factor == 1.0 or not len(waveform):
        return waveform
    hop, search = round(STRETCH_S * sample_rate / 2), round(SEARCH_S * sample_rate)
    num_samples = -int(-len(waveform) // factor)
    num_stretches = -(-num_samples // hop) + 1
    padded = np.pad(waveform, (hop + search, 6 * hop + search))
    energy = np.concatenate([[0.0], np.cumsum(np.square(padded, dtype=np.float64))])
    window = np.hanning(2 * hop + 1)[:-1].astype(np.float32)  # twice half overlapped, it sums to 1
    stretched = np.zeros((num_stretches + 1) * hop, np.float32)
    place = search
    for number in range(num_stretches):
        first = round(number * hop * factor)  # of the places to choose from
        if number:
            next_one = padded[place + hop : place + 3 * hop]
            likeness = np.correlate(padded[first : first + 2 * (search + hop)], next_one)
            places = slice(first, first + len(likeness))
            norm = energy[2 * hop :][places] - energy[places]
            place = first + int((likeness / np.sqrt(norm + 1e-9)).argmax())
        start = number * hop
        stretched[start : start + 2 * hop] += window * padded[place : place + 2 * hop]
    return stretched[hop : hop + num_samples]
