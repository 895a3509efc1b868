"""Every kind of front end, small, and speech-like noise for it."""

import numpy as np
import torch

from asr.features import LogMel, Mfcc, Raw, Spectrogram

ANALYSIS = {"sample_rate": 16000, "win_length": 400, "hop_length": 160, "n_fft": 512}
MEL = {"n_mels": 23, "f_min": 20.0, "f_max": 7600.0}
CEPSTRA = {"num_ceps": 13, "lifter": 22.0, "use_energy": False}
FRAMES = {"running_s": 0.5, "deltas": 0, "context": 0}


def log_mel(normalize="none", **changes):
    return LogMel(**(ANALYSIS | MEL | FRAMES | changes), normalize=normalize)


def mfcc(normalize="none", **changes):
    return Mfcc(**(ANALYSIS | MEL | CEPSTRA | FRAMES | changes), normalize=normalize)


def spectrogram(normalize="none", **changes):
    return Spectrogram(**(ANALYSIS | FRAMES | changes), normalize=normalize)


def raw(normalize="none", **changes):
    return Raw(**({"sample_rate": 16000, "hop_length": 160} | changes), normalize=normalize)


ALL = {
    "log_mel": log_mel,
    "mfcc": mfcc,
    "spectrogram": spectrogram,
    "energy": lambda normalize="none", **changes: mfcc(normalize, use_energy=True, **changes),
    "deltas": lambda normalize="none", **changes: log_mel(normalize, deltas=2, **changes),
    "context": lambda normalize="none", **changes: mfcc(normalize, deltas=1, context=3, **changes),
    "raw": raw,
}


def speech_like(rng, num_samples):
    return torch.from_numpy(rng.normal(0, 0.1, num_samples).astype(np.float32))


def batch(rng, sizes, garbage=99.0):
    """Waveforms of these sizes, and `garbage` in the padding."""
    waveforms = torch.full((len(sizes), max(sizes)), garbage)
    for row, size in enumerate(sizes):
        waveforms[row, :size] = speech_like(rng, size)
    return waveforms, torch.tensor(sizes)
