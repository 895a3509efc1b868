"""Front ends: waveforms (N, L) and lengths in, features (N, T, F) and lengths out."""

from asr.features.front_end import FrontEnd, TorchModule, length_mask
from asr.features.log_mel import LogMel

# The classes that a model file may name.
FRONT_ENDS: dict[str, type[FrontEnd]] = {"asr.features.LogMel": LogMel}

__all__ = ["FRONT_ENDS", "FrontEnd", "LogMel", "TorchModule", "length_mask"]
