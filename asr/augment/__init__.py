"""Augmentation of waveforms and of features; drawn anew for every utterance of every epoch."""

from asr.augment.augment import SpecAugment, WaveformAugment

__all__ = ["SpecAugment", "WaveformAugment"]
