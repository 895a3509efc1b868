"""What cannot be used, and why: in a corpus before training, and in training, scoring, aligning."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class Unusable(NamedTuple):
    """One utterance that cannot be used.

    Attributes:
        id: its name.
        reason: why. Of a corpus that is prepared, one of few, so that reasons can be counted.
        detail: of a corpus that is prepared: file, line and values.
        split: of a corpus that is prepared: where it would have gone.
        audio_filepath: of a corpus that is prepared: its audio, or the file that names it.
    """

    id: str
    reason: str
    detail: str = ""
    split: str = ""
    audio_filepath: Path | None = None

    def record(self) -> dict[str, object]:
        """Return the line of rejected.jsonl, or of failures.jsonl, which knows id and reason."""
        if self.audio_filepath is None:
            return {"id": self.id, "reason": self.reason}
        return {
            "split": self.split,
            "id": self.id,
            "audio_filepath": str(self.audio_filepath),
            "reason": self.reason,
            "detail": self.detail,
        }


class TooManyBadError(ValueError):
    """More utterances could not be used than `max_bad_fraction` allows."""


@dataclass
class BadUtterances:
    """Counts utterances that could not be used, and stops when they are too many.

    Attributes:
        max_fraction: of all, in [0, 1]; with 1, only a set without one usable utterance stops.
        total: utterances of the set.
        skipped: those that could not be used so far, and why.
    """

    max_fraction: float
    total: int
    skipped: list[Unusable] = field(default_factory=list)

    def skip(self, unusable: Unusable) -> None:
        """Note one bad utterance.

        Raises:
            TooManyBadError: the fraction is passed, or no utterance is left.
        """
        self.skipped.append(unusable)
        count = len(self.skipped)
        if count == self.total:
            raise TooManyBadError(
                f"not one of {count} utterances could be used; the last: {_describe(unusable)}"
            )
        if count > self.max_fraction * self.total:
            raise TooManyBadError(
                f"{count} of {self.total} utterances could not be used, more than "
                f"max_bad_fraction={self.max_fraction}; the last: {_describe(unusable)}"
            )

    def summary(self, examples: int = 3) -> list[str]:
        """Say how many could not be used, and name the first few; nothing when all could."""
        if not self.skipped:
            return []
        lines = [f"{len(self.skipped)} of {self.total} utterances could not be used:"]
        lines += [f"  {_describe(unusable)}" for unusable in self.skipped[:examples]]
        if len(self.skipped) > examples:
            lines.append(f"  and {len(self.skipped) - examples} more")
        return lines


def _describe(unusable: Unusable) -> str:
    return f"{unusable.id}: {unusable.reason}"
