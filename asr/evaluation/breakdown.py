"""Error rates of parts of a set: by speaker, by length, by word."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from asr.evaluation.errors import Aligned

# Words or characters of an utterance, from the first number to the second.
LENGTHS = ((0, 0), (1, 3), (4, 6), (7, 10), (11, 20), (21, 10**9))


class Group(NamedTuple):
    """A part of a set: its utterances, words (or characters) of its references, and errors."""

    name: str
    num_utterances: int
    num_units: int
    num_errors: int

    @property
    def rate(self) -> float:
        """Errors over what was said, as a fraction; inf where something was heard in silence."""
        if self.num_units:
            return self.num_errors / self.num_units
        return float("inf") if self.num_errors else 0.0


def by_speaker(records: Sequence[Mapping[str, object]], aligned: Sequence[Aligned]) -> list[Group]:
    """Group utterances by the `speaker` of their records, worst rate first; without one left out.

    Args:
        records: lines of hyp.jsonl.
        aligned: the same utterances, in the same order.
    """
    pairs = [
        (str(record["speaker"]), found)
        for record, found in zip(records, aligned, strict=True)
        if record.get("speaker") is not None
    ]
    return sorted(_group(pairs), key=lambda group: (-group.rate, group.name))


def by_length(aligned: Sequence[Aligned]) -> list[Group]:
    """Group utterances by the number of words or characters that were said, short ones first."""
    pairs = [
        (_name_length(low, high, found.units), found)
        for low, high in LENGTHS
        for found in aligned
        if low <= found.num_units <= high
    ]
    return _group(pairs)


def by_unit(aligned: Sequence[Aligned]) -> list[Group]:
    """Count how often every word or character was lost or misheard, most often wrong first.

    What was inserted belongs to nothing that was said and is in no count here.
    """
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for found in aligned:
        for word in {said for said, _ in found.pairs if said is not None}:
            counts[word][0] += 1
        for said, heard in found.pairs:
            if said is not None:
                counts[said][1] += 1
                counts[said][2] += said != heard
    groups = [Group(word, *numbers) for word, numbers in counts.items()]
    return sorted(groups, key=lambda group: (-group.num_errors, -group.rate, group.name))


def _name_length(low: int, high: int, units: str) -> str:
    if low == high:
        return f"{low} {units}"
    return f"{low} to {high} {units}" if high < LENGTHS[-1][1] else f"{low} {units} and more"


def _group(pairs: Iterable[tuple[str, Aligned]]) -> list[Group]:
    groups: dict[str, Group] = {}
    for name, found in pairs:
        known = groups.get(name, Group(name, 0, 0, 0))
        groups[name] = Group(
            name,
            known.num_utterances + 1,
            known.num_units + found.num_units,
            known.num_errors + found.num_errors,
        )
    return list(groups.values())
