"""Front ends: waveforms (N, L) and lengths in, features (N, T, F) and lengths out."""

from asr.features.log_mel import LogMel

__all__ = ["LogMel"]
