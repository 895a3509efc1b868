"""Where any text is read: rooms by image sources, and recorded noise.

PyTorch, which resamples noise, is loaded where there are such: not with this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asr.synth.recording import SAMPLE_RATE, Change

if TYPE_CHECKING:
    from asr.augment import RecordedNoise, SimulatedRooms

# As in conf/augment/room/simulated.yaml; each is computed once a worker.
NUM_ROOMS = 200
SMALLEST_M, LARGEST_M = (2.5, 2.5, 2.2), (10.0, 8.0, 4.0)
RT60_S = (0.1, 0.6)
_MEMORY_MB = 256.0


@dataclass(frozen=True)
class Surroundings:
    """How often speech is in a room, and how often in noise.

    Args:
        rooms: share of the utterances in a simulated room, in [0, 1].
        noise: folder of audio files, at any depth, or None.
        noise_share: share of the utterances with a piece of them, in [0, 1].
        snr_db: (low, high) dB that active speech is above the noise.

    Raises:
        ValueError: a value is out of its range.
    """

    rooms: float = 0.0
    noise: Path | None = None
    noise_share: float = 0.5
    snr_db: tuple[float, float] = (5.0, 30.0)

    def __post_init__(self) -> None:
        from asr.augment.draws import check_interval, check_probability

        check_probability("rooms", self.rooms)
        check_probability("noise_share", self.noise_share)
        check_interval("snr_db", self.snr_db)

    def changes(self) -> list[Change]:
        """Build what puts speech there: its rooms, then its noise.

        Raises:
            AudioError: the folder holds no audio, or what is broken.
        """
        rooms = [self._simulate_rooms()] if self.rooms else []
        return [*rooms, *([] if self.noise is None else [self._add_noise(self.noise)])]

    def parameters(self) -> dict[str, object]:
        """Describe them in JSON's types, of the noise its files' names and lengths, hashed.

        Raises:
            AudioError: the folder holds no audio, or what is broken.
        """
        if self.noise is None:
            return {"rooms": self.rooms, "noise": None}
        return {
            "rooms": self.rooms,
            "noise": self._add_noise(self.noise).sounds.fingerprint(),
            "noise_share": self.noise_share,
            "snr_db": list(self.snr_db),
        }

    def _simulate_rooms(self) -> SimulatedRooms:
        from asr.augment import SimulatedRooms

        return SimulatedRooms(
            sample_rate=SAMPLE_RATE,
            probability=self.rooms,
            num_rooms=NUM_ROOMS,
            smallest_m=SMALLEST_M,
            largest_m=LARGEST_M,
            rt60_s=RT60_S,
        )

    def _add_noise(self, folder: Path) -> RecordedNoise:
        from asr.augment import RecordedNoise

        return RecordedNoise(
            folder=str(folder),
            sample_rate=SAMPLE_RATE,
            snr_db=self.snr_db,
            probability=self.noise_share,
            memory_mb=_MEMORY_MB,
        )
