"""Manifests: JSON Lines with one utterance a line, in NeMo's keys.

    {"audio_filepath": "clips/a.wav", "duration": 1.25, "text": "hello world", "id": "a"}

`audio_filepath` is relative to the manifest's folder, or absolute; `duration` is in seconds; any
further keys are kept. Here lines are checked; that the audio exists and fits is `verification`'s.

An utterance without `id` is named after its audio's path below the manifest's folder, without the
ending: "anna/001". Where audio lies elsewhere, the name begins below the folder that all of it
shares.
"""

import json
import logging
import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

from asr import audio
from asr.data.lazy_sequence import LazySequence
from asr.data.lines import Lines, split_lines
from asr.files import parse_json, printable, read_bytes, write_atomically

logger = logging.getLogger(__name__)
REQUIRED_KEYS = ("audio_filepath", "duration", "text")
# Thirty years: what lies beyond is no length of a recording, and huge integers overflow a float.
MAX_DURATION_S = 1e9
# How many times as long as its manifest says a recording may be.
LONGER_THAN_SAID = 2.0
# Control characters but for white space, and lone surrogates.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


class ManifestError(ValueError):
    """A manifest that breaks a rule; the message names file, line, rule and value."""


@dataclass(frozen=True)
class Utterance:
    """One recording with its transcript.

    Attributes:
        duration: seconds, > 0.
        extra: further keys of the manifest, such as `id` and `speaker`.
    """

    audio_filepath: Path
    duration: float
    text: str
    extra: dict[str, object] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The manifest's `id`, or the audio file's name without its ending."""
        return str(self.extra.get("id", self.audio_filepath.stem))

    def waveform(self, sample_rate: int) -> np.ndarray:
        """Samples (L,) float32 in [-1, 1] at that rate; raises AudioError on a bad file.

        A file much longer than its manifest says is bad: batches were planned by `duration`.
        """
        return load_waveform(self.audio_filepath, sample_rate, longest_audio(self.duration))


def longest_audio(duration: float) -> float:
    """Seconds that a recording may have of which that many are said."""
    return LONGER_THAN_SAID * duration + 1.0


def load_waveform(
    path: Path | audio.AudioContent,
    sample_rate: int,
    max_duration_s: float = audio.MAX_DURATION_S,
) -> np.ndarray:
    """Read (L,) float32 at a rate; the log says once what is converted from what.

    Raises:
        AudioError: the file cannot be used, or is longer than that.
    """
    waveform, _, source_rate, channels = audio.read_audio(path, sample_rate, max_duration_s)
    if source_rate != sample_rate or channels > 1:
        _announce_conversion(source_rate, channels, sample_rate)
    return waveform


@cache
def _announce_conversion(source_rate: int, channels: int, sample_rate: int) -> None:
    kind = "mono" if channels == 1 else f"{channels}-channel"
    logger.info("%s audio at %d Hz becomes mono at %d Hz", kind, source_rate, sample_rate)


class Manifest(LazySequence[Utterance]):
    """The utterances of a manifest, each made from its line when it is asked for.

    Paths of audio come back absolute, blank lines are passed over.

    Args:
        path: JSON Lines.

    Attributes:
        durations: (n,) float64, seconds.

    Raises:
        ManifestError: the file is missing or a line breaks a rule; names file and line.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(os.path.abspath(path))
        self._folder = str(self._path.parent)
        try:
            self._lines = split_lines(read_bytes(self._path))
        except ValueError as error:
            raise ManifestError(str(error)) from error
        self.durations = np.empty(len(self._lines.starts))
        # Names are what is held for the while of the check: a million of them are 100 MiB.
        names: list[str | None] = []
        nameless: dict[int, str] = {}
        for row in range(len(self)):
            audio_filepath, self.durations[row], _, extra = self._parse(row)
            if "id" not in extra:
                nameless[row] = audio_filepath
            names.append(str(extra["id"]) if "id" in extra else None)
        self._home = _home_of(nameless.values(), self._folder)
        for row, audio_filepath in nameless.items():
            names[row] = _name_below(audio_filepath, self._home)
        check_names(self._path, self._lines, names)

    def __len__(self) -> int:
        return len(self._lines.starts)

    def make(self, row: int) -> Utterance:
        """Make an utterance from its line."""
        audio_filepath, duration, text, extra = self._parse(row)
        if "id" not in extra:
            extra["id"] = _name_below(audio_filepath, self._home)
        return Utterance(Path(audio_filepath), duration, text, extra)

    def _parse(self, row: int) -> tuple[str, float, str, dict[str, object]]:
        try:
            return _parse_line(self._lines.line(row), self._folder)
        except ValueError as error:
            raise ManifestError(f"{self._path}:{self._lines.numbers[row]}: {error}") from error


def check_names(path: Path, lines: Lines, names: Sequence[str | None]) -> None:
    """Refuse a file of which two lines have one name.

    Raises:
        ManifestError: names both.
    """
    if len(set(names)) == len(names):
        return
    line_of_name: dict[str | None, int] = {}
    for number, name in zip(lines.numbers.tolist(), names, strict=True):
        first = line_of_name.setdefault(name, number)
        if first != number:
            raise ManifestError(f"{path}:{number}: id '{name}' is on line {first} already")


def read_manifest(path: str | Path) -> list[Utterance]:
    """Read a manifest; paths of audio come back absolute, blank lines are passed over.

    Raises:
        ManifestError: the file is missing or a line breaks a rule; names file and line.
    """
    return list(Manifest(path))


def name_by_path(utterances: Sequence[Utterance], folder: Path) -> list[Utterance]:
    """Give an `id` to each utterance that has none, so that equal base names stay apart.

    Args:
        folder: ids are paths below it, without ending; below the folder that all nameless
            utterances share where one of them lies outside of it.
    """
    home = _home_of([str(u.audio_filepath) for u in utterances if "id" not in u.extra], str(folder))
    return [
        u
        if "id" in u.extra
        else replace(u, extra=u.extra | {"id": _name_below(str(u.audio_filepath), home)})
        for u in utterances
    ]


def _home_of(paths: Collection[str], folder: str) -> str:
    """Find the folder below which files without an id are named."""
    if all(_is_below(path, folder) for path in paths):
        return folder
    return os.path.commonpath({os.path.dirname(path) for path in paths})


def _name_below(path: str, folder: str) -> str:
    below = path[len(folder.rstrip(os.sep)) + 1 :]
    stem, ending = os.path.splitext(below)
    name = below if ending == "." else stem
    return printable(name if os.sep == "/" else name.replace(os.sep, "/"))


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep) or path == folder


def write_manifest(path: str | Path, utterances: Iterable[Utterance]) -> None:
    """Write a manifest under a temporary name that is then renamed.

    Audio below the manifest's folder is named relative to it, other audio absolutely.

    Raises:
        ManifestError: an utterance could not be read back (duplicate id, a key of `extra` that the
            format owns, a duration that is not > 0); nothing is written then.
    """
    path = Path(os.path.abspath(path))
    lines = []
    seen: set[str] = set()
    for utterance in utterances:
        if utterance.id in seen:
            raise ManifestError(f"{path}: id '{utterance.id}' occurs twice")
        seen.add(utterance.id)
        try:
            lines.append(_format_utterance(utterance, path.parent))
        except (ValueError, TypeError) as error:
            raise ManifestError(f"{path}: utterance '{utterance.id}': {error}") from error
    write_atomically(path, "".join(line + "\n" for line in lines))


def _parse_line(line: bytes, folder: str) -> tuple[str, float, str, dict[str, object]]:
    """Take a line apart and check it: absolute path of the audio, seconds, text, further keys."""
    try:
        record = parse_json(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 at byte {error.start}") from error
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise ValueError(f"must be a JSON object, got {_kind(record)}")
    missing = [key for key in REQUIRED_KEYS if key not in record]
    if missing:
        raise ValueError(f"lacks the key {' and '.join(repr(key) for key in missing)}")
    audio_filepath, duration, text = (record.pop(key) for key in REQUIRED_KEYS)
    check_utterance(duration, text, record)
    return _resolve(audio_filepath, folder), float(duration), text, record


def check_utterance(duration: object, text: object, extra: dict[str, object]) -> None:
    """Check what a line says of an utterance.

    Raises:
        ValueError: a value breaks a rule; names key, rule and value.
    """
    if not isinstance(text, str):
        raise ValueError(f"'text' must be a string, got {_kind(text)}")
    _check_characters("text", text)
    _check_duration(duration)
    _check_extra(extra)


def _format_utterance(utterance: Utterance, folder: Path) -> str:
    owned = [key for key in REQUIRED_KEYS if key in utterance.extra]
    if owned:
        raise ValueError(f"'extra' must not hold {owned[0]!r}")
    _check_extra(utterance.extra)
    _check_characters("text", utterance.text)
    duration = round(utterance.duration, 6)
    _check_duration(duration)
    path = Path(os.path.abspath(utterance.audio_filepath))
    record = {
        "audio_filepath": (
            path.relative_to(folder) if path.is_relative_to(folder) else path
        ).as_posix(),
        "duration": duration,
        "text": utterance.text,
        **utterance.extra,
    }
    return json.dumps(record, ensure_ascii=False, allow_nan=False)


def _check_duration(duration: object) -> None:
    if isinstance(duration, bool) or not isinstance(duration, int | float):
        raise ValueError(f"'duration' must be a number of seconds, got {_kind(duration)}")
    if not 0 < duration < MAX_DURATION_S:
        raise ValueError(f"'duration' must be > 0 and < {MAX_DURATION_S:g} seconds, got {duration}")


def _check_extra(extra: dict[str, object]) -> None:
    identity = extra.get("id", "")
    if isinstance(identity, bool) or not isinstance(identity, str | int):
        raise ValueError(f"'id' must be a string, got {_kind(identity)}")
    _check_characters("id", str(identity))
    if extra.get("offset"):
        # NeMo's manifests cut long files with it; passing it over would train on the wrong speech.
        raise ValueError("'offset' is not supported: cut the audio into one file an utterance")


def _check_characters(key: str, text: str) -> None:
    """Refuse what no terminal and no file of results should be handed."""
    if found := _FORBIDDEN.search(text):
        raise ValueError(f"{key!r} must hold no control characters, got U+{ord(found[0]):04X}")


def _resolve(audio_filepath: object, folder: str) -> str:
    """Make the path absolute; a relative one may not leave the manifest's folder."""
    if not isinstance(audio_filepath, str):
        raise ValueError(f"'audio_filepath' must be a string, got {_kind(audio_filepath)}")
    if not audio_filepath or "\0" in audio_filepath:
        raise ValueError(f"'audio_filepath' must name a file, got {audio_filepath!r}")
    path = os.path.abspath(os.path.join(folder, audio_filepath))
    if not os.path.isabs(audio_filepath) and not _is_below(path, folder):
        raise ValueError(
            f"'audio_filepath' must stay inside the manifest's folder, got '{audio_filepath}'"
        )
    return path


def _kind(value: object) -> str:
    """Name a JSON value's kind in the words of JSON."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), f"the number {value}")
