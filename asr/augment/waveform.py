"""Augmentation of waveforms, utterance by utterance: one change after another.

All randomness comes from the generator that is handed in, so that an epoch is a pure function
of its seed.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from asr.augment.codec import TelephoneLine
from asr.augment.draws import check_interval, check_probability
from asr.augment.noise import RecordedNoise, add_white_noise
from asr.augment.rooms import RecordedRooms, SimulatedRooms
from asr.augment.silence import add_silence, cut_silence
from asr.augment.sounds import SoundFolder
from asr.augment.speed import change_speed, change_tempo

LateChange = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Change(NamedTuple):
    """What is drawn for one utterance before its samples are known."""

    speed: float
    tempo: float
    lead_s: float  # silence before and after
    trail_s: float


class WaveformAugment:
    """Change speed, loudness and surroundings of a waveform, and put silence around it.

    In this order: quiet ends cut off, speed, tempo, white noise, loudness, silence around, room,
    recorded noise, telephone line.

    Args:
        sample_rate: Hz of the waveforms.
        speeds: factors to draw from, each in [0.5, 2]; speech is resampled, so pitch moves too.
        gain_db: loudness changes by a value drawn from -gain_db..gain_db, >= 0.
        noise_snr_db: (low, high) dB of white noise below the speech, or None for none.
        noise_probability: how often white noise is added, in [0, 1].
        pad_s: longest silence put before and after the speech, seconds, >= 0.
        pad_probability: how often, for each side by itself, in [0, 1]. Half of the silences are
            digital zeros, half are faint white noise.
        pad_noise_db: (low, high) dB of that noise, full scale 0.
        tempos: factors to draw from, each in [0.5, 2]; as speeds, but pitch stays.
        shift_s: speech begins later by up to this, in silence as above, seconds, >= 0: files may
            all begin at the same part of an output frame, and what a stream hears does not.
        cut_probability: how often what is quiet at both ends is cut off (`cut_silence`), in [0, 1]:
            recordings differ in how close to the speech they begin and end.
        room: puts a room around the speech, or None.
        noise: adds recorded noise, or None.
        line: sends it through a telephone line, or None.

    Source: Ko et al. 2015, "Audio augmentation for speech recognition" (speed, tempo).
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        speeds: Sequence[float],
        gain_db: float,
        noise_snr_db: tuple[float, float] | None,
        noise_probability: float,
        pad_s: float,
        pad_probability: float,
        pad_noise_db: tuple[float, float],
        tempos: Sequence[float] = (1.0,),  # these as before they were options
        shift_s: float = 0.0,
        cut_probability: float = 0.0,
        room: RecordedRooms | SimulatedRooms | None = None,
        noise: RecordedNoise | None = None,
        line: TelephoneLine | None = None,
    ) -> None:
        for name, factors in (("speeds", speeds), ("tempos", tempos)):
            if not factors or not all(0.5 <= factor <= 2 for factor in factors):
                raise ValueError(
                    f"{name} must be one or more factors in [0.5, 2], got {list(factors)}"
                )
        if sample_rate < 1:
            raise ValueError(f"sample_rate must be >= 1, got {sample_rate}")
        for name, value in (("gain_db", gain_db), ("pad_s", pad_s), ("shift_s", shift_s)):
            if value < 0:
                raise ValueError(f"{name} must be >= 0, got {value}")
        if noise_snr_db is not None:
            check_interval("noise_snr_db", noise_snr_db)
        check_interval("pad_noise_db", pad_noise_db)
        check_probability("noise_probability", noise_probability)
        check_probability("pad_probability", pad_probability)
        check_probability("cut_probability", cut_probability)
        self.sample_rate = sample_rate
        self.speeds = [float(speed) for speed in speeds]
        self.tempos = [float(tempo) for tempo in tempos]
        self.gain_db = gain_db
        self.noise_snr_db = noise_snr_db
        self.noise_probability = noise_probability
        self.pad_s = pad_s
        self.pad_probability = pad_probability
        self.shift_s = shift_s
        self.pad_noise_db = pad_noise_db
        self.cut_probability = cut_probability
        self.late_changes: list[LateChange] = [c for c in (room, noise, line) if c is not None]

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return an augmented copy of (L,) float32; speed, tempo and silence change L."""
        change = self.draw(rng)
        if self.cut_probability and rng.random() < self.cut_probability:
            waveform = cut_silence(waveform, self.sample_rate)
        waveform = change_speed(waveform, change.speed)
        waveform = change_tempo(waveform, change.tempo, self.sample_rate)
        if self.noise_snr_db is not None and rng.random() < self.noise_probability:
            waveform = add_white_noise(waveform, rng.uniform(*self.noise_snr_db), rng)
        if self.gain_db:
            waveform = waveform * np.float32(10 ** (rng.uniform(-self.gain_db, self.gain_db) / 20))
        lead, trail = (round(s * self.sample_rate) for s in (change.lead_s, change.trail_s))
        if lead or trail:
            level_db = rng.uniform(*self.pad_noise_db) if rng.random() < 0.5 else -np.inf
            waveform = add_silence(waveform, lead, trail, level_db, rng)
        for late_change in self.late_changes:
            waveform = late_change(waveform, rng)
        return waveform

    def draw(self, rng: np.random.Generator) -> Change:
        """Draw what changes the length; the first that `__call__` takes from a generator."""
        speed = self.speeds[rng.integers(len(self.speeds)) if len(self.speeds) > 1 else 0]
        before, after, lead, trail = rng.random(4).tolist()
        lead_s = self.pad_s * lead if before < self.pad_probability else 0.0
        trail_s = self.pad_s * trail if after < self.pad_probability else 0.0
        # Drawn only where there is a choice: without one, other draws are as they always were.
        tempo = self.tempos[rng.integers(len(self.tempos)) if len(self.tempos) > 1 else 0]
        lead_s += rng.uniform(0.0, self.shift_s) if self.shift_s else 0.0
        return Change(speed, tempo, lead_s, trail_s)

    def duration(self, seconds: float, rng: np.random.Generator) -> float:
        """Seconds that an utterance will have after `__call__` with a generator in this state.

        As many at most, where quiet ends may be cut off.
        """
        change = self.draw(rng)
        return seconds / change.speed / change.tempo + change.lead_s + change.trail_s

    def sounds(self) -> Iterator[SoundFolder]:
        """Folders that it draws from."""
        for change in self.late_changes:
            if isinstance(change, RecordedNoise | RecordedRooms):
                yield change.sounds
