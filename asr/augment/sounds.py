"""Sounds of a folder, such as noises, kept in memory once they were read.

A recording is dealt out in pieces, so that an hour of wind costs no more memory than a cough.
What is drawn depends on the generator and on the files alone: never on what is in memory.
"""

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asr.audio import AUDIO_SUFFIXES, AudioError, audio_info, read_segment
from asr.augment.locked import Locked
from asr.resampling import resample


class Sound(NamedTuple):
    """One recording."""

    path: Path
    num_samples: int  # at its own rate
    duration_s: float


class SoundFolder(Locked):
    """The recordings below a folder, in the order of their names.

    Args:
        folder: looked through with all folders in it; what has no ending of audio is passed over.
        sample_rate: Hz to give.
        piece_s: longest piece of a recording, seconds, > 0.
        memory_mb: of the pieces that are kept, megabytes, > 0; the longest unused is let go.

    Raises:
        AudioError: there is no such folder, it holds no audio, or a file is broken.
    """

    def __init__(
        self, folder: str | Path, sample_rate: int, *, piece_s: float, memory_mb: float
    ) -> None:
        super().__init__()
        if not memory_mb > 0:
            raise ValueError(f"memory_mb must be > 0, got {memory_mb}")
        self.folder = Path(folder)
        self.sample_rate = sample_rate
        self.piece_s = piece_s
        self.sounds = _list_sounds(self.folder)
        self._most_bytes = int(memory_mb * 2**20)
        self._num_bytes = 0
        self._kept: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()

    @property
    def hours(self) -> float:
        """Of all recordings."""
        return sum(sound.duration_s for sound in self.sounds) / 3600

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a recording, each as likely, and a piece of it, (L,) float32.

        Digital silence at its ends is cut off: what is digital silence throughout has no sample.

        Raises:
            AudioError: the file cannot be read.
        """
        index = int(rng.integers(len(self.sounds)))
        count = max(1, round(self.sounds[index].duration_s / self.piece_s))
        return self._piece(index, int(rng.integers(count)), count)

    def fingerprint(self) -> str:
        """Hash names and lengths, so that a resumed training draws what it would have drawn."""
        digest = hashlib.sha256()
        for sound in self.sounds:
            name = sound.path.relative_to(self.folder).as_posix()
            digest.update(f"{name} {sound.num_samples}\n".encode("utf-8", "backslashreplace"))
        return digest.hexdigest()

    def _piece(self, index: int, number: int, count: int) -> np.ndarray:
        key = index, number
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        sound = self.sounds[index]
        bounds = [sound.duration_s * n / count for n in (number, number + 1)]
        audio = read_segment(sound.path, *bounds)
        piece = np.trim_zeros(resample(audio.waveform, audio.sample_rate, self.sample_rate))
        piece.setflags(write=False)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = piece
                self._num_bytes += piece.nbytes
            while self._num_bytes > self._most_bytes:
                self._num_bytes -= self._kept.popitem(last=False)[1].nbytes
        return piece


def _list_sounds(folder: Path) -> list[Sound]:
    """Read the headers of all audio files."""
    if not folder.is_dir():
        raise AudioError(f"{folder}: is no folder of audio files")
    paths = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()
    ]
    if not paths:
        endings = " ".join(sorted(AUDIO_SUFFIXES))
        raise AudioError(f"{folder}: holds no audio file ({endings})")
    infos = [(path, audio_info(path)) for path in sorted(paths, key=Path.as_posix)]
    return [Sound(path, info.num_samples, info.duration_s) for path, info in infos]
