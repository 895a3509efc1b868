"""Single spoken digits joined into strings: "three", "nine zero two two one", ...

A string holds clips of one speaker with pauses before, between and after them, above a floor of
faint white noise. Which clips, which pauses and which noise is a pure function of (seed, epoch,
index), and durations follow from the manifest alone, so audio is read only when it is rendered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.audio import write_wav
from asr.data.manifest import Utterance

# Clips are trimmed close to the word: without a fade their edges click, and a model learns clicks.
FADE_S = 0.005
# How far a clip's length may be from its manifest's duration; the last pause makes up for it.
DURATION_TOLERANCE_S = 0.002


@dataclass(frozen=True)
class ComposedUtterance:
    """A string of clips: what a manifest's utterance is, but rendered instead of read.

    Attributes:
        clips: the single words, in order.
        pauses_s: seconds of noise before, between and after the clips, len(clips) + 1.
        noise_level: standard deviation of the noise, full scale is 1.
        noise_seed: what the noise is drawn from.
    """

    id: str
    speaker: str
    clips: tuple[Utterance, ...]
    pauses_s: tuple[float, ...]
    noise_level: float
    noise_seed: tuple[int, ...]

    @property
    def text(self) -> str:
        """The clips' words, separated by spaces."""
        return " ".join(clip.text for clip in self.clips)

    @property
    def duration(self) -> float:
        """Seconds, clips and pauses together."""
        return sum(clip.duration for clip in self.clips) + sum(self.pauses_s)

    @property
    def extra(self) -> dict[str, object]:
        """What a manifest would say of it beside its text."""
        return {"id": self.id, "speaker": self.speaker}

    def waveform(self, sample_rate: int) -> np.ndarray:
        """Read the clips and join them.

        Returns:
            (round(duration * sample_rate),) float32 in [-1, 1].

        Raises:
            AudioError: a clip cannot be read.
            ValueError: a clip's length is not what its manifest says.
        """
        noise = np.random.default_rng(self.noise_seed)
        waveform = noise.normal(0.0, self.noise_level, round(self.duration * sample_rate))
        start_s = 0.0
        for clip, pause_s in zip(self.clips, self.pauses_s, strict=False):
            start_s += pause_s
            start = round(start_s * sample_rate)
            samples = _read_clip(clip, sample_rate)[: len(waveform) - start]
            waveform[start : start + len(samples)] += samples
            start_s += clip.duration
        return np.clip(waveform, -1.0, 1.0).astype(np.float32)


class ConnectedDigits:
    """Strings of digits composed from single-digit utterances.

    For training ask for the strings of each epoch; for validation and test always for those of
    epoch 0, which are the same in every run with the same seed. Within a speaker every clip is
    used once before any is used again, speakers take turns in proportion to their clips, and no
    clip occurs twice in a string unless the speaker has fewer clips than the string has digits.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        num_strings: int,
        seed: int,
        *,
        min_digits: int = 1,
        max_digits: int = 7,
        min_pause_s: float = 0.05,
        max_pause_s: float = 0.35,
        min_noise_db: float = -80.0,
        max_noise_db: float = -55.0,
    ) -> None:
        """Take the clips.

        Args:
            utterances: one digit each, with the key `speaker`.
            num_strings: strings an epoch, >= 1.
            seed: >= 0.
            min_digits: clips of the shortest string, >= 1; lengths are drawn uniformly.
            max_digits: clips of the longest string, >= min_digits.
            min_pause_s: shortest pause between clips, > 0 seconds; pauses are drawn uniformly.
            max_pause_s: longest pause, >= min_pause_s; before and after a string they begin at 0,
                so that a model learns clips without any silence around them too.
            min_noise_db: level of the faintest noise, decibels below full scale, < 0.
            max_noise_db: level of the loudest noise, >= min_noise_db and < 0.

        Raises:
            ValueError: a parameter is out of its range, or an utterance lacks `speaker`.
        """
        _check_at_least("num_strings", num_strings, 1)
        _check_at_least("seed", seed, 0)
        _check_range("digits", min_digits, max_digits, 1)
        _check_range("pause_s", min_pause_s, max_pause_s, 0.01)
        _check_range("noise_db", min_noise_db, max_noise_db, -200.0)
        if max_noise_db >= 0:
            raise ValueError(f"max_noise_db must be < 0, got {max_noise_db}")
        self._clips_of_speaker = _group_by_speaker(utterances)
        self._num_strings = num_strings
        self._seed = seed
        self._num_digits = (min_digits, max_digits)
        self._pause_s = (min_pause_s, max_pause_s)
        self._noise_db = (min_noise_db, max_noise_db)

    def __len__(self) -> int:
        return self._num_strings

    def _draw_pauses(self, num_digits: int, rng: np.random.Generator) -> tuple[float, ...]:
        """Pauses before, between and after the clips; a string may begin and end at once."""
        shortest, longest = self._pause_s
        between = rng.uniform(shortest, longest, num_digits - 1).tolist()
        before, after = rng.uniform(0.0, longest, 2).tolist()
        return before, *between, after

    def utterances(self, epoch: int) -> list[ComposedUtterance]:
        """Compose the strings of an epoch, 0 or later; no audio is read."""
        _check_at_least("epoch", epoch, 0)
        rng = np.random.default_rng((self._seed, epoch))
        decks = [_Deck(clips, rng) for clips in self._clips_of_speaker.values()]
        speakers = list(self._clips_of_speaker)
        composed = []
        for index in range(self._num_strings):
            turn = min(range(len(decks)), key=lambda number: decks[number].rounds)
            num_digits = int(rng.integers(self._num_digits[0], self._num_digits[1] + 1))
            composed.append(
                ComposedUtterance(
                    id=f"{speakers[turn]}-{epoch:04d}-{index:06d}",
                    speaker=speakers[turn],
                    clips=decks[turn].draw(num_digits),
                    pauses_s=self._draw_pauses(num_digits, rng),
                    noise_level=float(10 ** (rng.uniform(*self._noise_db) / 20)),
                    noise_seed=(self._seed, epoch, index),
                )
            )
        return composed


def save_strings(
    utterances: Sequence[ComposedUtterance], folder: str | Path, sample_rate: int
) -> list[Utterance]:
    """Render strings to `folder`/<id>.wav, for programs that read only files and manifests."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    saved = []
    for utterance in utterances:
        path = folder / f"{utterance.id}.wav"
        waveform = utterance.waveform(sample_rate)
        write_wav(path, waveform, sample_rate)
        duration = len(waveform) / sample_rate
        saved.append(Utterance(path, duration, utterance.text, utterance.extra))
    return saved


class _Deck:
    """A speaker's clips, shuffled and dealt out; shuffled again when all are dealt."""

    def __init__(self, clips: Sequence[Utterance], rng: np.random.Generator) -> None:
        self._clips = clips
        self._rng = rng
        self._left: list[int] = []
        self._num_dealt = 0

    @property
    def rounds(self) -> float:
        """How often the whole deck has been dealt."""
        return self._num_dealt / len(self._clips)

    def draw(self, count: int) -> tuple[Utterance, ...]:
        """Deal `count` clips, the ones that this hand holds least often first."""
        drawn: list[int] = []
        while len(drawn) < count:
            if not self._left:
                self._left = self._rng.permutation(len(self._clips)).tolist()
            fewest = min(drawn.count(clip) for clip in self._left)
            rarest = [clip for clip in self._left if drawn.count(clip) == fewest]
            dealt = rarest[: count - len(drawn)]
            drawn += dealt
            self._left = [clip for clip in self._left if clip not in dealt]
        self._num_dealt += count
        return tuple(self._clips[clip] for clip in drawn)


def _group_by_speaker(utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    if not utterances:
        raise ValueError("utterances must hold at least one clip, got none")
    clips_of_speaker: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        if "speaker" not in utterance.extra:
            raise ValueError(f"utterance '{utterance.id}' must have the key 'speaker'")
        clips_of_speaker.setdefault(str(utterance.extra["speaker"]), []).append(utterance)
    return clips_of_speaker


def _read_clip(clip: Utterance, sample_rate: int) -> np.ndarray:
    """Read a clip with its edges faded; its length is checked against the manifest's."""
    samples = clip.waveform(sample_rate).copy()
    duration_s = len(samples) / sample_rate
    if abs(duration_s - clip.duration) > DURATION_TOLERANCE_S:
        raise ValueError(
            f"{clip.audio_filepath}: lasts {duration_s:.6f} s, its manifest says {clip.duration} s"
        )
    fade = min(round(FADE_S * sample_rate), len(samples) // 2)
    ramp = np.arange(1, fade + 1, dtype=np.float32) / (fade + 1)
    samples[:fade] *= ramp
    samples[len(samples) - fade :] *= ramp[::-1]
    return samples


def _check_at_least(name: str, value: int, minimum: int) -> None:
    if value < minimum:
        raise ValueError(f"{name} must be >= {minimum}, got {value}")


def _check_range(name: str, low: float, high: float, minimum: float) -> None:
    if not minimum <= low <= high:
        raise ValueError(
            f"min_{name} and max_{name} must rise from {minimum} on, got {low} and {high}"
        )
