"""What `prepare` did, for people and for programs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from asr.corpora.layouts import REJECTED_NAME
from asr.corpora.measurement import Sound
from asr.corpora.texts import Sample
from asr.data.manifest import Utterance
from asr.text.alphabet import CharacterCount

SUSPECTS_NAME = "suspects.jsonl"
_EXAMPLES = 3
_UNSPELLED_SHOWN = 10


@dataclass
class SplitReport:
    """A manifest that was written; keys of the counters are Hz and channels."""

    utterances: int
    hours: float
    speakers: int
    sample_rates: dict[int, int]
    channels: dict[int, int]


@dataclass
class ReasonReport:
    """How many utterances there are with one reason, and the first few of them."""

    count: int
    examples: list[str]


@dataclass
class PrepareReport:
    """What `prepare` did; `lines` is what a user reads, report.json the same for programs.

    Attributes:
        found: which layout `auto` found, and why.
        rejected: by reason, what was left out.
        suspects: by reason, what was kept and should be listened to.
        text_changes: how often what was changed in texts.
        text_samples: texts before and after.
        unspelled: numbers that stayed as they were, and how often they occur.
        alphabet: what the texts may hold.
        characters: what they hold, where the alphabet was taken from them.
        notes: what is good to know.
        warnings: what must not be missed, with its remedy.
    """

    corpus: str
    source: str
    out: str
    found: str = ""
    splits: dict[str, SplitReport] = field(default_factory=dict)
    rejected: dict[str, ReasonReport] = field(default_factory=dict)
    suspects: dict[str, ReasonReport] = field(default_factory=dict)
    text_changes: dict[str, int] = field(default_factory=dict)
    text_samples: list[Sample] = field(default_factory=list)
    unspelled: dict[str, int] = field(default_factory=dict)
    alphabet: str = ""
    characters: list[CharacterCount] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Describe the result, one line each."""
        lines = [f"{self.corpus} from {self.source}"]
        if self.found:
            lines.append(f"  {self.found}")
        for name, split in self.splits.items():
            formats = [f"{count} at {rate} Hz" for rate, count in split.sample_rates.items()]
            formats += [f"{n} of {c} channels" for c, n in split.channels.items() if c > 1]
            lines.append(
                f"  {name:<12} {split.utterances:>7} utterances {split.hours:>9.3f} h"
                f" {split.speakers:>5} speakers   {', '.join(formats)}"
            )
        for reason, rejected in self.rejected.items():
            lines.append(f"  left out {rejected.count}: {reason}")
            lines += [f"    {example}" for example in rejected.examples]
        if self.rejected:
            lines.append(f"  all that was left out: {Path(self.out) / REJECTED_NAME}")
        for reason, suspects in self.suspects.items():
            lines.append(f"  listen to {suspects.count}: {reason}")
            lines += [f"    {example}" for example in suspects.examples]
        if self.suspects:
            lines.append(f"  all that should be listened to: {Path(self.out) / SUSPECTS_NAME}")
        lines += self._text_lines()
        lines += [f"  note: {note}" for note in self.notes]
        lines += [f"  WARNING: {warning}" for warning in self.warnings]
        return lines

    def _text_lines(self) -> list[str]:
        lines = [f"  texts: {change}: {count}" for change, count in self.text_changes.items()]
        for sample in self.text_samples:
            lines += [f"    before: {sample.before}", f"    after:  {sample.after}"]
        if self.unspelled:
            most = Counter(self.unspelled).most_common(_UNSPELLED_SHOWN)
            shown = ", ".join(f"{what!r} {count}" for what, count in most)
            lines.append(f"  texts: {len(self.unspelled)} numbers cannot be spelled: {shown}")
        lines.append(f"  alphabet: {self.alphabet!r}, {len(self.alphabet)} characters")
        return lines


class Reasoned(Protocol):
    """What was left out, or is suspect."""

    @property
    def reason(self) -> str:
        """Why; one of few."""
        ...

    @property
    def detail(self) -> str:
        """Why, with file and values."""
        ...


def summarize_split(utterances: Sequence[Utterance], sounds: Mapping[Path, Sound]) -> SplitReport:
    """Count what a split holds.

    Args:
        sounds: of every audio file of theirs.
    """
    speakers = {item.extra["speaker"] for item in utterances if "speaker" in item.extra}
    files = [sounds[item.audio_filepath] for item in utterances]
    return SplitReport(
        utterances=len(utterances),
        hours=round(sum(item.duration for item in utterances) / 3600, 4),
        speakers=len(speakers),
        sample_rates=dict(Counter(sound.sample_rate for sound in files).most_common()),
        channels=dict(Counter(sound.channels for sound in files).most_common()),
    )


def group_by_reason(items: Sequence[Reasoned]) -> dict[str, ReasonReport]:
    """Count reasons, the commonest first, each with its first few details."""
    counts = Counter(item.reason for item in items)
    return {
        reason: ReasonReport(
            count, [item.detail for item in items if item.reason == reason][:_EXAMPLES]
        )
        for reason, count in counts.most_common()
    }
