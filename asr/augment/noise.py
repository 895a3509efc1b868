"""Noise that is added to speech: white, or recorded."""

import numpy as np

from asr.augment.draws import check_interval, check_probability
from asr.augment.silence import find_active
from asr.augment.sounds import SoundFolder

# Longest piece of a recording; longer utterances hear it again.
PIECE_S = 10.0


class RecordedNoise:
    """Add recordings of a folder, at a drawn ratio of speech to noise.

    The ratio is between the speech's mean power where somebody speaks and the noise's where it
    sounds (`active_power`): pauses make neither louder. Over the whole utterance, a word in a
    second of silence would be drowned at 0 dB.

    Args:
        folder: of audio files.
        sample_rate: Hz of the speech.
        snr_db: (low, high) dB to draw from.
        probability: how often noise is added, in [0, 1].
        memory_mb: of noise that is kept after it was read, megabytes, > 0.

    Raises:
        ValueError: a parameter is out of its range, or the folder holds what is no audio.
    """

    def __init__(
        self,
        *,
        folder: str,
        sample_rate: int,
        snr_db: tuple[float, float],
        probability: float,
        memory_mb: float,
    ) -> None:
        check_interval("snr_db", snr_db)
        check_probability("probability", probability)
        self.sounds = SoundFolder(folder, sample_rate, piece_s=PIECE_S, memory_mb=memory_mb)
        self.sample_rate = sample_rate
        self.snr_db = snr_db
        self.probability = probability

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return (L,) float32 with or without noise.

        Raises:
            AudioError: a file of the folder cannot be read.
        """
        if rng.random() >= self.probability:
            return waveform
        snr_db = rng.uniform(*self.snr_db)
        piece = self.sounds.draw(rng)
        if not len(piece) or not len(waveform):
            return waveform
        # From anywhere in the piece, which begins again where it ends.
        noise = np.resize(np.roll(piece, -int(rng.integers(len(piece)))), len(waveform))
        return mix(waveform, noise, snr_db, self.sample_rate)


def active_power(waveform: np.ndarray, sample_rate: int) -> float:
    """Measure the mean power of the active stretches of (L,), as `find_active` finds them."""
    if not len(waveform):
        return 0.0
    powers, is_active, _ = find_active(waveform, sample_rate)
    return float(powers[is_active].mean())


def mix(waveform: np.ndarray, noise: np.ndarray, snr_db: float, sample_rate: int) -> np.ndarray:
    """Add (L,) noise so that active speech is `snr_db` above it; silence of either adds nothing."""
    speech, sound = active_power(waveform, sample_rate), active_power(noise, sample_rate)
    if not speech or not sound:
        return waveform
    return waveform + np.float32(np.sqrt(speech / sound / 10 ** (snr_db / 10))) * noise


def add_white_noise(waveform: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """Add white noise so that power over the whole is `snr_db` above it; silence stays."""
    power = float(np.mean(np.square(waveform, dtype=np.float64))) if len(waveform) else 0.0
    scale = np.sqrt(power / 10 ** (snr_db / 10))
    noise = rng.standard_normal(len(waveform), dtype=np.float32)
    return waveform + np.float32(scale) * noise
