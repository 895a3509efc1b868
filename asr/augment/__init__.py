"""Augmentation of waveforms and of features; drawn anew for every utterance of every epoch."""

from asr.augment.codec import TelephoneLine
from asr.augment.noise import RecordedNoise
from asr.augment.rooms import RecordedRooms, SimulatedRooms
from asr.augment.spec import SpecAugment
from asr.augment.waveform import WaveformAugment

__all__ = [
    "RecordedNoise",
    "RecordedRooms",
    "SimulatedRooms",
    "SpecAugment",
    "TelephoneLine",
    "WaveformAugment",
]
