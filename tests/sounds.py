"""Waveforms whose loudness and pitch are known, and folders of them."""

import numpy as np
import soundfile


def tone(num_samples, sample_rate=16000, frequency=440.0):
    return np.sin(2 * np.pi * frequency * np.arange(num_samples) / sample_rate).astype(np.float32)


def pitch(waveform, sample_rate=16000):
    """Frequency of the loudest bin of the spectrum, Hz."""
    return np.abs(np.fft.rfft(waveform)).argmax() * sample_rate / len(waveform)


def level_db(waveform):
    return 10 * np.log10(np.mean(np.square(waveform, dtype=np.float64)))


def write_sounds(folder, sounds, sample_rate=16000):
    """Write waveforms by name."""
    for name, waveform in sounds.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, waveform, sample_rate, subtype="FLOAT")
    return folder
