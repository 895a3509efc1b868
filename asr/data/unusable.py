"""What cannot be used, and why: in a corpus before training, and in training, scoring, aligning."""

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
