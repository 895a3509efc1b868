"""Labels of clips: the probability of each, how often the best is right, how well they rank.

A model of whole clips gives the log-probabilities of one label a clip or of any number of them; its
blank stands for none of the labels.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from asr.data.loading import Batch
from asr.evaluation.ranks import ranks
from asr.files import write_atomically
from asr.models import label_probabilities
from asr.recognition.transcripts import finite
from asr.text import BLANK, BLANK_TOKEN, WORD_START

FILE_NAME = "tags.json"


class TagScore(NamedTuple):
    """How well clips are labelled; a reference that is none of the labels is always wrong."""

    # Share of clips whose likeliest label is right, where the blank is one too; with several labels
    # a clip, of those where the labels above 1/2 are the right ones.
    accuracy: float
    auc: float  # macro mean over the labels that some clips have and some have not; nan for none
    num_clips: int
    num_ranked: int  # labels in that mean

    def describe(self) -> str:
        """Both in a line."""
        ranked = (
            f"AUC {self.auc:.4f}, the mean of {self.num_ranked} labels, each against the rest"
            if self.num_ranked
            else "no AUC: no label is that of some clips and not of others"
        )
        return f"accuracy {100 * self.accuracy:.2f} % of {self.num_clips} clips; {ranked}"


class Tags:
    """Collects the probabilities of a set's clips.

    Args:
        tokens: of the model, blank first; any mark of a word's beginning is left out.
        several: whether a clip may have several labels.
    """

    def __init__(self, tokens: Sequence[str], *, several: bool = False) -> None:
        self.labels = [token.removeprefix(WORD_START) for token in tokens]
        self.several = several
        self._rows: dict[str, tuple[str, np.ndarray]] = {}

    def add(self, batch: Batch, log_probs: Tensor, lengths: Tensor) -> None:
        """Keep what a `ClipNetwork` says of a batch, (N, K, C) and the lengths (N,), 0 or K."""
        for name, text, rows, length in zip(
            batch.ids, batch.texts, log_probs.double(), lengths.tolist(), strict=True
        ):
            self._rows[name] = text, label_probabilities(rows[:length]).numpy()

    def take(self, other: "Tags | None") -> None:
        """Take in the clips that another process had."""
        if other is not None:
            self._rows |= other._rows

    def score(self) -> TagScore:
        """Score the clips."""
        clips = [self._rows[name] for name in sorted(self._rows)]
        probabilities = np.array([row for _, row in clips]).reshape(-1, len(self.labels))  # (N, C)
        said = [set(text.split()) for text, _ in clips]
        heard = map(self._choose, probabilities)
        right = [labels == chosen for labels, chosen in zip(said, heard, strict=True)]
        areas = [
            area_under_curve(np.array([label in labels for labels in said], bool), column)
            for label, column in zip(self.labels[1:], probabilities.T[1:], strict=True)
        ]
        known = [area for area in areas if area is not None]
        return TagScore(
            accuracy=float(np.mean(right)) if clips else 0.0,
            auc=float(np.mean(known)) if known else float("nan"),
            num_clips=len(clips),
            num_ranked=len(known),
        )

    def _choose(self, probabilities: np.ndarray) -> set[str]:
        """Choose the labels of a clip, none if the blank is the likeliest."""
        if self.several:
            return {self.labels[c] for c in range(1, len(self.labels)) if probabilities[c] > 0.5}
        best = int(probabilities.argmax())
        return set() if best == BLANK else {self.labels[best]}

    def write(self, folder: Path) -> TagScore:
        """Write tags.json: both scores, and the probability of every label in every clip."""
        scored = self.score()
        names = [BLANK_TOKEN, *self.labels[BLANK + 1 :]]
        clips = [
            {
                "id": name,
                "text": text,
                "probabilities": dict(zip(names, np.round(row, 6).tolist(), strict=True)),
            }
            for name, (text, row) in sorted(self._rows.items())
        ]
        content = scored._asdict() | {"auc": finite(scored.auc, 6), "clips": clips}
        write_atomically(folder / FILE_NAME, json.dumps(content, indent=1) + "\n")
        return scored


def area_under_curve(is_label: np.ndarray, scores: np.ndarray) -> float | None:
    """Compute the area under the curve of hits over false alarms.

    It is the probability that a clip with the label scores higher than one without, where equal
    scores count half: (R - P (P + 1) / 2) / (P M), with R the sum of the ranks of the P clips with
    it, and M clips without.

    Args:
        is_label: (N,) bool.
        scores: (N,); equal scores share the mean of their ranks.

    Returns:
        In [0, 1]; None where all clips have the label, or none.

    Source: Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve".
    """
    num_with, num_without = int(is_label.sum()), int((~is_label).sum())
    if not num_with or not num_without:
        return None
    area = (1 + ranks(scores))[is_label].sum() - num_with * (num_with + 1) / 2
    return float(area / (num_with * num_without))
