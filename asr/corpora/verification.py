"""Checks that every utterance can be trained on, before anybody waits for a training to fail.

Each file is opened and decoded to its end. What does not pass is left out with a reason, never
silently: reasons are short and few, so that they can be counted; details name file and values.
"""

import math
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from asr.audio import AudioError, audio_info, read_audio
from asr.corpora.measurement import Sound, measure
from asr.ctc import minimum_input_length
from asr.data.fingerprint import fingerprint_file
from asr.data.manifest import Utterance
from asr.data.unusable import Unusable
from asr.files import printable
from asr.text import Tokenizer

# Splits of sounds without speech: their text is empty, and must be.
BACKGROUND_SPLITS = frozenset({"background", "noise", "rir"})

# An hour of noise is enough, and fits into memory.
MAX_BACKGROUND_S = 3600.0

_REASON_END = re.compile(r"[,:(]| \d")


@dataclass(frozen=True, kw_only=True)
class VerificationRules:
    """What an utterance must fulfil.

    Attributes:
        seconds_per_frame: seconds between two outputs of the model; CTC needs an output for each
            label and one more between equal neighbours.
        min_duration_s: shortest audio, seconds.
        max_duration_s: longest audio, seconds.
        duration_tolerance_s: how far measured audio may be from its manifest, seconds.
    """

    seconds_per_frame: float = 0.04
    min_duration_s: float = 0.1
    max_duration_s: float = 40.0
    duration_tolerance_s: float = 0.1

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not self.seconds_per_frame > 0:
            raise ValueError(f"seconds_per_frame must be > 0, got {self.seconds_per_frame}")
        if not 0 <= self.min_duration_s < self.max_duration_s:
            raise ValueError(
                "min_duration_s must be >= 0 and < max_duration_s, "
                f"got {self.min_duration_s} and {self.max_duration_s}"
            )
        if not self.duration_tolerance_s >= 0:
            raise ValueError(f"duration_tolerance_s must be >= 0, got {self.duration_tolerance_s}")


@dataclass
class Verified:
    """The utterances of a split that passed, durations measured, and how their files sound."""

    utterances: list[Utterance] = field(default_factory=list)
    rejected: list[Unusable] = field(default_factory=list)
    sounds: dict[Path, Sound] = field(default_factory=dict)


class Measured(NamedTuple):
    """A file that passed: how long it is, and how it sounds."""

    duration_s: float
    sound: Sound


Finding = Measured | Unusable


@dataclass(frozen=True)
class Inspection:
    """Utterances of a split whose files are to be read, and what for.

    Attributes:
        split: its name; those of BACKGROUND_SPLITS need no transcript.
        utterances: a duration of NaN has not been measured yet and is not compared.
        tokenizer: what turns texts into labels; a text that it refuses is rejected.
        rules: what audio must fulfil.
        progress: draw a bar.
    """

    split: str
    utterances: Sequence[Utterance]
    tokenizer: Tokenizer
    rules: VerificationRules
    progress: bool = True

    def run(self, num_threads: int | None = None) -> list[Finding]:
        """Read every file, and say of each in turn what it is or what is wrong.

        Args:
            num_threads: that read; None: one a core.
        """
        with ThreadPoolExecutor(num_threads or os.cpu_count()) as pool:
            findings = pool.map(
                lambda item: _inspect(self.split, item, self.tokenizer, self.rules), self.utterances
            )
            total = len(self.utterances)
            return list(tqdm(findings, self.split, total, unit="file", disable=not self.progress))


# Has the files of an inspection read: here, or by several processes.
Inspect = Callable[[Inspection], Sequence[Finding]]


def verify(inspection: Inspection, inspect: Inspect = Inspection.run) -> Verified:
    """Read every file of a split and check it against its transcript.

    Args:
        inspection: what to read.
        inspect: reads it.

    Returns:
        What passed, in the given order, and why the others did not.
    """
    verified = Verified()
    seen: set[str] = set()
    for utterance, finding in zip(inspection.utterances, inspect(inspection), strict=True):
        if isinstance(finding, Measured) and utterance.id in seen:
            detail = f"{utterance.audio_filepath}: id '{utterance.id}' occurs twice"
            finding = _reject(inspection.split, utterance, "duplicate id", detail)
        if isinstance(finding, Unusable):
            verified.rejected.append(finding)
            continue
        seen.add(utterance.id)
        verified.sounds[utterance.audio_filepath] = finding.sound
        verified.utterances.append(replace(utterance, duration=finding.duration_s))
    return verified


def _inspect(
    split: str, utterance: Utterance, tokenizer: Tokenizer, rules: VerificationRules
) -> Finding:
    """Check one utterance; the audio itself is let go, a corpus does not fit into memory."""
    is_speech = split not in BACKGROUND_SPLITS
    problem = _text_problem(utterance, tokenizer) if is_speech else _speech_in_background(utterance)
    if problem:
        return _reject(split, utterance, *problem)
    try:
        # What its header calls too long is not read: it may not fit into memory.
        header_s = audio_info(utterance.audio_filepath).duration_s
        if is_speech and header_s > rules.max_duration_s:
            return _reject(split, utterance, *_too_long(utterance, header_s, rules))
        longest_s = rules.max_duration_s if is_speech else MAX_BACKGROUND_S
        audio = read_audio(utterance.audio_filepath, max_duration_s=longest_s)
        digest = fingerprint_file(utterance.audio_filepath)
    except AudioError as error:
        rule = str(error).removeprefix(f"{printable(str(utterance.audio_filepath))}: ")
        return _reject(split, utterance, _REASON_END.split(rule)[0].strip(), str(error))
    duration_s = len(audio.waveform) / audio.sample_rate
    problem = _manifest_problem(utterance, duration_s, rules)
    if problem is None and is_speech:
        problem = _duration_problem(utterance, duration_s, rules) or _length_problem(
            utterance, duration_s, tokenizer, rules
        )
    sound = measure(digest, audio.waveform, audio.sample_rate, audio.channels)
    if problem is None and is_speech and sound.peak == 0:
        detail = f"{utterance.audio_filepath}: all {len(audio.waveform)} samples are 0"
        problem = "digital silence", detail
    if problem:
        return _reject(split, utterance, *problem)
    return Measured(duration_s, sound)


def _text_problem(utterance: Utterance, tokenizer: Tokenizer) -> tuple[str, str] | None:
    if not utterance.text.strip():
        return "empty transcript", f"{utterance.audio_filepath}: the transcript is empty"
    try:
        tokenizer.encode(utterance.text)
    except ValueError as error:
        return "text outside the alphabet", f"{utterance.audio_filepath}: {error}"
    return None


def _speech_in_background(utterance: Utterance) -> tuple[str, str] | None:
    if utterance.text.strip():
        detail = f"{utterance.audio_filepath}: background sound has the text '{utterance.text}'"
        return "background sound with a text", detail
    return None


def _manifest_problem(
    utterance: Utterance, duration_s: float, rules: VerificationRules
) -> tuple[str, str] | None:
    path = utterance.audio_filepath
    if abs(duration_s - utterance.duration) > rules.duration_tolerance_s:
        return "duration differs from the manifest", (
            f"{path}: lasts {duration_s:.3f} s, its manifest says {utterance.duration:.3f} s, "
            f"tolerance {rules.duration_tolerance_s} s"
        )
    return None


def _duration_problem(
    utterance: Utterance, duration_s: float, rules: VerificationRules
) -> tuple[str, str] | None:
    path = utterance.audio_filepath
    if duration_s < rules.min_duration_s:
        return "too short", f"{path}: lasts {duration_s:.3f} s, minimum {rules.min_duration_s} s"
    if duration_s > rules.max_duration_s:
        return _too_long(utterance, duration_s, rules)
    return None


def _too_long(utterance: Utterance, duration_s: float, rules: VerificationRules) -> tuple[str, str]:
    return "too long", (
        f"{utterance.audio_filepath}: lasts {duration_s:.3f} s, maximum {rules.max_duration_s} s"
    )


def _length_problem(
    utterance: Utterance, duration_s: float, tokenizer: Tokenizer, rules: VerificationRules
) -> tuple[str, str] | None:
    """Find a text too long for CTC; a frame begun counts, as padded convolutions give it too."""
    num_frames = math.ceil(duration_s / rules.seconds_per_frame - 1e-9)
    needed = minimum_input_length(tokenizer.encode(utterance.text))
    if needed <= num_frames:
        return None
    return "text too long for CTC", (
        f"{utterance.audio_filepath}: '{utterance.text}' needs {needed} frames, "
        f"{duration_s:.3f} s give {num_frames} of {rules.seconds_per_frame} s"
    )


def _reject(split: str, utterance: Utterance, reason: str, detail: str) -> Unusable:
    return Unusable(utterance.id, reason, detail, split, utterance.audio_filepath)
