"""Edit distance by enumeration, obviously right and slow: the oracle of asr.evaluation.metrics."""

from functools import cache


def edits(reference, hypothesis):
    """Return the set of all reachable (insertions, deletions, substitutions)."""
    reference, hypothesis = tuple(reference), tuple(hypothesis)

    @cache
    def walk(i, j):
        if i == len(reference) and j == len(hypothesis):
            return frozenset({(0, 0, 0)})
        found = set()
        if j < len(hypothesis):
            found |= {(a + 1, b, c) for a, b, c in walk(i, j + 1)}
        if i < len(reference):
            found |= {(a, b + 1, c) for a, b, c in walk(i + 1, j)}
        if i < len(reference) and j < len(hypothesis):
            wrong = reference[i] != hypothesis[j]
            found |= {(a, b, c + wrong) for a, b, c in walk(i + 1, j + 1)}
        return frozenset(found)

    return walk(0, 0)


def edit_distance(reference, hypothesis):
    """Return the fewest insertions, deletions and substitutions together."""
    return min(sum(counts) for counts in edits(reference, hypothesis))


def sclite_split(reference, hypothesis):
    """Return the (insertions, deletions, substitutions) of least cost at sclite's 3, 3 and 4.

    Where several have the least cost, all of them: a set.
    """
    costs = {
        counts: 3 * counts[0] + 3 * counts[1] + 4 * counts[2]
        for counts in edits(reference, hypothesis)
    }
    return {counts for counts, cost in costs.items() if cost == min(costs.values())}
