"""Rooms that speech is heard in: recorded impulse responses, or simulated ones.

Speech stays where it is in time, so that its length and its alignments hold: the direct sound
comes at once, and what rings on after the end is cut off. Its power stays, too.

Source: Ko et al. 2017, "A study on data augmentation of reverberant speech for robust speech
recognition".
"""

from collections.abc import Sequence

import numpy as np

from asr.augment.convolution import convolve
from asr.augment.draws import check_interval, check_probability
from asr.augment.image_source import impulse_response
from asr.augment.locked import Locked
from asr.augment.sounds import SoundFolder

# Longest impulse response that is used whole.
RESPONSE_S = 10.0
# Nobody speaks, and no microphone hangs, nearer to a wall than that.
MARGIN_M = 0.3
# Of simulated rooms: the images of a longer echo are too many to compute in passing.
MAX_RT60_S = 1.5


class RecordedRooms:
    """Convolve speech with impulse responses of a folder.

    Args:
        folder: of audio files, an impulse response each.
        sample_rate: Hz of the speech.
        probability: how often a room is put around speech, in [0, 1].
        memory_mb: of responses that are kept after they were read, megabytes, > 0.

    Raises:
        ValueError: a parameter is out of its range, or the folder holds what is no audio.
    """

    def __init__(
        self, *, folder: str, sample_rate: int, probability: float, memory_mb: float
    ) -> None:
        check_probability("probability", probability)
        self.sounds = SoundFolder(folder, sample_rate, piece_s=RESPONSE_S, memory_mb=memory_mb)
        self.probability = probability

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return (L,) float32 in a room or as it is.

        Raises:
            AudioError: a file of the folder cannot be read.
        """
        if rng.random() >= self.probability:
            return waveform
        return reverberate(waveform, self.sounds.draw(rng))


class SimulatedRooms(Locked):
    """Convolve speech with impulse responses of drawn shoebox rooms.

    There are `num_rooms`, each a function of its number; it is computed when it is first drawn.

    Args:
        sample_rate: Hz of the speech.
        probability: how often a room is put around speech, in [0, 1].
        num_rooms: >= 1.
        smallest_m: length, width and height of the smallest room, metres, each >= 1.
        largest_m: of the largest.
        rt60_s: (low, high) seconds until an echo is 60 dB down, in (0, 1.5].

    Raises:
        ValueError: a parameter is out of its range.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        probability: float,
        num_rooms: int,
        smallest_m: Sequence[float],
        largest_m: Sequence[float],
        rt60_s: tuple[float, float],
    ) -> None:
        super().__init__()
        check_probability("probability", probability)
        check_interval("rt60_s", rt60_s)
        if not 0 < rt60_s[0] <= rt60_s[1] <= MAX_RT60_S:
            raise ValueError(f"rt60_s must be in (0, {MAX_RT60_S}], got {list(rt60_s)}")
        if num_rooms < 1:
            raise ValueError(f"num_rooms must be >= 1, got {num_rooms}")
        if len(smallest_m) != 3 or len(largest_m) != 3:
            raise ValueError("smallest_m and largest_m must be length, width and height")
        for pair in zip(smallest_m, largest_m, strict=True):
            check_interval("smallest_m and largest_m", pair, low=1.0)
        self.sample_rate = sample_rate
        self.probability = probability
        self.num_rooms = num_rooms
        self.smallest_m = smallest_m
        self.largest_m = largest_m
        self.rt60_s = rt60_s
        self._responses: dict[int, np.ndarray] = {}

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return (L,) float32 in a room or as it is."""
        if rng.random() >= self.probability:
            return waveform
        return reverberate(waveform, self.response(int(rng.integers(self.num_rooms))))

    def response(self, number: int) -> np.ndarray:
        """Impulse response (L,) of one of the rooms."""
        with self._lock:
            if number not in self._responses:
                self._responses[number] = self._simulate(number)
            return self._responses[number]

    def _simulate(self, number: int) -> np.ndarray:
        rng = np.random.default_rng(number)
        room = rng.uniform(self.smallest_m, self.largest_m)
        source, microphone = rng.uniform(MARGIN_M, room - MARGIN_M, (2, 3))
        return impulse_response(
            room,
            source,
            microphone,
            rt60_s=rng.uniform(*self.rt60_s),
            sample_rate=self.sample_rate,
        )


def reverberate(waveform: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Convolve (L,) float32 with an impulse response, whose loudest sample is the direct sound.

    Returns:
        (L,) float32, of the power of `waveform`; this itself where the response is silent.
    """
    if not len(waveform) or not np.any(response):
        return waveform
    direct = int(np.abs(response).argmax())
    heard = convolve(waveform, response)[direct : direct + len(waveform)]
    powers = [float(np.mean(np.square(x, dtype=np.float64))) for x in (waveform, heard)]
    if not powers[1]:
        return waveform
    return heard * np.float32(np.sqrt(powers[0] / powers[1]))
