"""Front ends: waveforms (N, L) and lengths in, features (N, T, F) and lengths out."""

from asr.features.front_end import FrontEnd, TorchModule, length_mask
from asr.features.log_mel import LogMel
from asr.features.mfcc import Mfcc
from asr.features.raw import Raw
from asr.features.samples import Samples
from asr.features.spectrogram import Spectrogram

# The classes that a model file may name.
FRONT_ENDS: dict[str, type[FrontEnd]] = {
    "asr.features.LogMel": LogMel,
    "asr.features.Mfcc": Mfcc,
    "asr.features.Raw": Raw,
    "asr.features.Samples": Samples,
    "asr.features.Spectrogram": Spectrogram,
}

__all__ = [
    "FRONT_ENDS",
    "FrontEnd",
    "LogMel",
    "Mfcc",
    "Raw",
    "Samples",
    "Spectrogram",
    "TorchModule",
    "length_mask",
]
