"""Praat's TextGrids beside long recordings, an utterance an interval.

Source: Praat's manual, "TextGrid file formats": in its text files only free-standing numbers,
strings and flags count, which makes the long form and the short one the same.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from asr.corpora.cutting import Segment, add_segment
from asr.corpora.layouts import Imported, UnusableError, split_of_folder
from asr.corpora.places import BadLine, read_good_lines
from asr.corpora.recordings import find_beside, recording_of

SUFFIX = ".textgrid"
# Strings, comments, flags, and numbers that stand by themselves, not those of "item [1]:".
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|!.*|<(\w+)>|(?<!\S)(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?!\S)')
# Tiers of pieces that are no utterances.
_PIECES = re.compile(
    r"(?:^|[\W_])(?:words?|phones?|phonemes?|syllables?|segments?)$", re.IGNORECASE
)
# Names of a tier that say nothing about who speaks.
_NO_SPEAKER = re.compile(
    r"(?:utterances?|sentences?|texts?|transcripts?|transcriptions?|orthograph\w*|tier)?[\W\d_]*",
    re.IGNORECASE,
)


class Interval(NamedTuple):
    """Seconds, and a text that is not empty; `line` is that of the text."""

    line: int
    tier: str
    start_s: float
    end_s: float
    text: str


class _Token(NamedTuple):
    line: int
    value: str
    is_text: bool


def import_textgrids(source: Path, out: Path) -> Imported:
    """Import .TextGrid files beside the recordings of their name.

    Every interval with a text is an utterance; a tier's name is its speaker where it is not just
    "utterances" or the like. Tiers of words and phones are passed over, and so are points. Folders
    train, dev and test are the splits.
    """
    imported = Imported(source, out)
    files = find_beside(imported, frozenset({SUFFIX}))
    if not files:
        raise ValueError(f"{source}: holds no .TextGrid file")
    for path in files:
        split = split_of_folder(path.parent, source)
        stem = "-".join(path.relative_to(source).with_suffix("").parts)
        try:
            recording = recording_of(path)
            intervals = read_utterances(path)
        except UnusableError as error:
            imported.reject(split, path, error.reason, str(error))
            continue
        for number, interval in enumerate(intervals, start=1):
            where = f"{path}:{interval.line}"
            speaker = None if _NO_SPEAKER.fullmatch(interval.tier) else interval.tier
            _, _, start_s, end_s, text = interval
            segment = Segment(
                f"{stem}-{number:05d}", where, recording, start_s, end_s, text, speaker
            )
            add_segment(imported, split, segment)
    return imported


def read_utterances(path: Path) -> list[Interval]:
    """Read the intervals with a text of all tiers that hold utterances, in the order of time.

    Raises:
        UnusableError: the file is no TextGrid, or has only tiers of words, phones or points.
    """
    lines = read_good_lines(path)
    for number, line in enumerate(lines, start=1):
        if isinstance(line, BadLine):
            raise UnusableError("row cannot be read", f"{path}:{number}: {line.problem}")
    tokens = _tokenize("\n".join(map(str, lines)))
    tiers: list[str] = []
    intervals = []
    try:
        if next(tokens).value != "ooTextFile" or next(tokens).value != "TextGrid":
            raise UnusableError("no TextGrid", f"{path}:1: must begin as Praat's TextGrids do")
        for interval in _read_tiers(tokens, tiers):
            intervals.append(interval)
    except (StopIteration, RuntimeError, ValueError) as error:
        if isinstance(error, UnusableError):
            raise
        detail = f"{path}:{len(lines)}: ends within a tier, or a number is missing"
        raise UnusableError("no TextGrid", detail) from error
    if tiers and not any(not _PIECES.search(tier) for tier in tiers):
        names = ", ".join(repr(tier) for tier in tiers)
        detail = f"{path}: has only tiers of pieces or points ({names}), none of utterances"
        raise UnusableError("no tier of utterances", detail)
    spoken = [i for i in intervals if i.text and not _PIECES.search(i.tier)]
    return sorted(spoken, key=lambda interval: interval.start_s)


def _read_tiers(tokens: Iterator[_Token], tiers: list[str]) -> Iterator[Interval]:
    """Give every interval; names of the tiers of intervals go to `tiers`."""
    _numbers(tokens, 2)
    if next(tokens).value != "exists":
        return
    for _ in range(int(_numbers(tokens, 1)[0])):
        kind, tier = next(tokens).value, next(tokens).value
        _numbers(tokens, 2)
        count = int(_numbers(tokens, 1)[0])
        if kind == "IntervalTier":
            tiers.append(tier)
        for _ in range(count):
            times = _numbers(tokens, 2 if kind == "IntervalTier" else 1)
            text = next(tokens)
            if kind == "IntervalTier":
                said = " ".join(text.value.split())
                yield Interval(text.line, tier, times[0], times[1], said)


def _numbers(tokens: Iterator[_Token], count: int) -> list[float]:
    return [float(next(tokens).value) for _ in range(count)]


def _tokenize(content: str) -> Iterator[_Token]:
    line, last = 1, 0
    for found in _TOKEN.finditer(content):
        line += content.count("\n", last, found.start())
        last = found.start()
        text, flag, number = found.groups()
        if text is not None:
            yield _Token(line, text.replace('""', '"'), True)
        elif flag or number:
            yield _Token(line, flag or number, False)
