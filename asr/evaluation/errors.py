"""Where a recogniser went wrong, as text: alignments with errors marked, most confused words."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from asr.evaluation.metrics import ErrorRate, Metric, align, split_units

Pairs = list[tuple[str | None, str | None]]


class Aligned(NamedTuple):
    """One utterance's reference and hypothesis, unit by unit (None: there is none).

    Units are what `metric` counts: words, characters, which stand for words in scripts without
    spaces, or phones.
    """

    id: str
    pairs: Pairs
    num_errors: int
    num_units: int  # of the reference
    metric: Metric = "wer"

    @property
    def rate(self) -> float:
        """Errors over units of the reference; inf where some were heard in silence."""
        if self.num_units:
            return self.num_errors / self.num_units
        return float("inf") if self.num_errors else 0.0

    @property
    def units(self) -> str:
        """What is counted: "words", "characters" or "phones"."""
        return name_units(self.metric)


def name_units(metric: Metric) -> str:
    """Name what a metric counts."""
    return {"wer": "words", "cer": "characters", "per": "phones"}[metric]


def align_texts(name: str, reference: str, hypothesis: str, metric: Metric = "wer") -> Aligned:
    """Align the words of two texts, or their characters for "cer"."""
    said, heard = (split_units(text, metric) for text in (reference, hypothesis))
    pairs = align(said, heard)
    return Aligned(name, pairs, sum(r != h for r, h in pairs), len(said), metric)


def worst_first(aligned: Sequence[Aligned]) -> list[Aligned]:
    """Order by number of errors, then by rate, then by id."""
    return sorted(aligned, key=lambda a: (-a.num_errors, -a.rate, a.id))


def confusions(aligned: Sequence[Aligned]) -> list[tuple[str | None, str | None, int]]:
    """Count (reference unit, hypothesis unit) that differ, most frequent first."""
    counts = Counter(pair for a in aligned for pair in a.pairs if pair[0] != pair[1])
    order = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    return [(*pair, count) for pair, count in order]


def format_summary(label: str, errors: ErrorRate) -> str:
    """One line as Kaldi's: `%WER 5.20 [ 52 / 1000, 10 ins, 20 del, 22 sub ]`, and an interval."""
    total = errors.insertions + errors.deletions + errors.substitutions
    return (
        f"%{label} {100 * errors.rate:.2f} [ {total} / {errors.reference_length}, "
        f"{errors.insertions} ins, {errors.deletions} del, {errors.substitutions} sub ] "
        f"95 % interval {100 * errors.low:.2f}-{100 * errors.high:.2f}"
    )


def format_alignment(aligned: Aligned) -> str:
    """Three lines in columns: reference, hypothesis, and I, D or S under every error."""
    columns = []
    for reference, hypothesis in aligned.pairs:
        width = max(_width(reference or ""), _width(hypothesis or ""), 1)
        gap = "*" * width
        cells = (reference or gap, hypothesis or gap, mark_error(reference, hypothesis))
        columns.append([cell + " " * (width - _width(cell)) for cell in cells])
    rows = [" ".join(column[row] for column in columns).rstrip() for row in range(3)]
    header = f"{aligned.id}  {aligned.num_errors} of {aligned.num_units} {aligned.units}"
    labels = ("ref:", "hyp:", "    ")
    lines = [f"{label} {row}".rstrip() for label, row in zip(labels, rows, strict=True)]
    return "\n".join([header, *(line for line in lines if line)])


def _width(text: str) -> int:
    """Columns of a terminal: characters of Chinese, Japanese and Korean take two, marks none."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))


def mark_error(reference: str | None, hypothesis: str | None) -> str:
    """Name a pair: "I"nsertion, "D"eletion, "S"ubstitution, or "" where the words agree."""
    if reference == hypothesis:
        return ""
    if reference is None:
        return "I"
    return "D" if hypothesis is None else "S"


def format_confusions(aligned: Sequence[Aligned], limit: int = 30) -> str:
    """List the most frequent errors, `count  reference -> hypothesis`."""
    lines = [
        f"{count:6d}  {reference or '(inserted)'} -> {hypothesis or '(deleted)'}"
        for reference, hypothesis, count in confusions(aligned)[:limit]
    ]
    return "\n".join(lines) if lines else "  none"
