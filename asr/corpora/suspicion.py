"""Utterances that can be trained on and should be listened to first.

Nothing is left out here: a suspect is listed with a reason, and a user decides.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asr.corpora.measurement import Sound
from asr.corpora.verification import BACKGROUND_SPLITS
from asr.data.manifest import Utterance

# Robust z-scores of the logarithm of characters a second beyond this do not fit their text.
MAX_RATE_Z = 4.0
# Fewer utterances than this have no usual rate.
MIN_FOR_RATES = 20
# Fractions of an utterance from which on it is listed.
MAX_CLIPPED = 0.001
MAX_SILENT = 0.3
MIN_LEVEL_DB = -60.0


class Suspect(NamedTuple):
    """An utterance to be listened to.

    Attributes:
        reason: one of few.
        detail: with values.
        severity: higher is worse, among suspects of one reason.
    """

    split: str
    utterance: Utterance
    reason: str
    detail: str
    severity: float

    def record(self) -> dict[str, object]:
        """Return the line of suspects.jsonl."""
        return {
            "split": self.split,
            "id": self.utterance.id,
            "audio_filepath": str(self.utterance.audio_filepath),
            "reason": self.reason,
            "detail": self.detail,
            "text": self.utterance.text,
        }


def find_suspects(
    splits: Mapping[str, Sequence[Utterance]], sounds: Mapping[Path, Sound]
) -> list[Suspect]:
    """List copies in two splits, texts that do not fit their audio, clipping and silence.

    Args:
        splits: verified utterances.
        sounds: of every audio file of theirs.

    Returns:
        Suspects, the worst of each reason first.
    """
    speech = {name: members for name, members in splits.items() if name not in BACKGROUND_SPLITS}
    found = [*_copies(speech, sounds), *_odd_rates(speech), *_odd_sounds(speech, sounds)]
    order = {reason: rank for rank, reason in enumerate(dict.fromkeys(s.reason for s in found))}
    return sorted(found, key=lambda suspect: (order[suspect.reason], -suspect.severity))


def speaking_rate(utterance: Utterance) -> float:
    """Give characters a second."""
    return len(utterance.text) / utterance.duration


def rate_scores(rates: Sequence[float]) -> np.ndarray:
    """Give robust z-scores (N,) of the rates' logarithms: 0 for all where half of them are equal.

    z = (ln r - median) / (1.4826 median |ln r - median|)
    """
    logs = np.log(np.asarray(rates))
    distances = logs - np.median(logs)
    spread = 1.4826 * float(np.median(np.abs(distances)))
    return distances / spread if spread > 0 else np.zeros(len(logs))


def _copies(
    splits: Mapping[str, Sequence[Utterance]], sounds: Mapping[Path, Sound]
) -> list[Suspect]:
    """Find what is in two splits: the same bytes; or the same text, length and level."""
    suspects = []
    seen: dict[object, tuple[str, Utterance]] = {}
    for split, members in splits.items():
        for utterance in members:
            sound = sounds[utterance.audio_filepath]
            measures = round(utterance.duration, 2), round(sound.level_db, 1), round(sound.peak, 2)
            alike = (utterance.text, *measures)
            for key, kind in ((sound.digest, "same audio"), (alike, "same text and sound")):
                first_split, first = seen.setdefault(key, (split, utterance))
                if first_split != split:
                    reason = f"{kind} in two splits"
                    detail = f"{utterance.audio_filepath}: {first.audio_filepath} in {first_split}"
                    suspects.append(Suspect(split, utterance, reason, detail, 1.0))
                    break
    return suspects


def _odd_rates(splits: Mapping[str, Sequence[Utterance]]) -> list[Suspect]:
    everything = [(split, u) for split, members in splits.items() for u in members]
    if len(everything) < MIN_FOR_RATES:
        return []
    rates = [speaking_rate(utterance) for _, utterance in everything]
    usual = float(np.median(rates))
    suspects = []
    for (split, utterance), rate, z in zip(everything, rates, rate_scores(rates), strict=True):
        if abs(z) > MAX_RATE_Z:
            reason = "text too long for its audio" if z > 0 else "text too short for its audio"
            detail = (
                f"{utterance.audio_filepath}: {rate:.1f} characters a second, "
                f"{usual:.1f} are usual (robust z {z:+.1f})"
            )
            suspects.append(Suspect(split, utterance, reason, detail, abs(float(z))))
    return suspects


def _odd_sounds(
    splits: Mapping[str, Sequence[Utterance]], sounds: Mapping[Path, Sound]
) -> list[Suspect]:
    suspects = []
    for split, members in splits.items():
        for utterance in members:
            sound = sounds[utterance.audio_filepath]
            for reason, value, limit, text in (
                ("clipped", sound.clipped, MAX_CLIPPED, f"{sound.clipped:.2%} is clipped"),
                (
                    "digital silence",
                    sound.silent,
                    MAX_SILENT,
                    f"{sound.silent:.0%} is zeros",
                ),
                ("faint", -sound.level_db, -MIN_LEVEL_DB, f"level is {sound.level_db:.0f} dB"),
            ):
                if value > limit:
                    detail = f"{utterance.audio_filepath}: {text}"
                    suspects.append(Suspect(split, utterance, reason, detail, value))
    return suspects
