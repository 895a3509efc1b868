"""Acoustic models: features (N, T, F) and lengths in, logits (T', N, C) and lengths out."""

from asr.models.deepspeech2 import DeepSpeech2

__all__ = ["DeepSpeech2"]
