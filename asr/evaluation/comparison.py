"""Two systems on the same utterances: the difference of their error rates, and its interval."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from asr.evaluation.metrics import METRICS, Metric, RateDifference, compare_error_rates
from asr.evaluation.run_record import Result, find_results
from asr.evaluation.table import format_table
from asr.files import printable


class Comparison(NamedTuple):
    """Two results on the utterances that both have."""

    set: str
    decoder: str  # names of both where they differ
    metric: Metric
    first: float  # rate of that metric, a fraction
    second: float
    change: RateDifference  # of the second from the first, below 0 where the second is better
    num_utterances: int
    num_unpaired: int  # utterances that only one of them has, in no number here

    @property
    def verdict(self) -> str:
        """Which is better, where the interval leaves no doubt."""
        if self.change.high < 0:
            return "the second is better"
        return "the first is better" if self.change.low > 0 else "not told apart"


def compare_folders(first: Path, second: Path) -> list[Comparison]:
    """Compare what two runs, or two folders of results, have in common.

    Sets and decoders of the same name belong together; where each folder has one result alone,
    these do, whatever their names. What the first table of the first showed first is compared.

    Raises:
        ValueError: they have nothing in common, or a file is broken.
    """
    results = [find_results(first), find_results(second)]
    metric = results[0][0].metric
    if [len(found) for found in results] == [1, 1]:
        return [compare_results(results[0][0], results[1][0], metric)]
    others = {(r.set, r.decoder): r for r in results[1]}
    pairs = [(r, others[r.set, r.decoder]) for r in results[0] if (r.set, r.decoder) in others]
    if not pairs:
        names = (", ".join(f"{r.set} ({r.decoder})" for r in found) for found in results)
        raise ValueError(
            f"{first} and {second} have no set and decoder in common: "
            f"{printable(' against '.join(names))}"
        )
    return [compare_results(*pair, metric) for pair in pairs]


def compare_results(first: Result, second: Result, metric: Metric = "wer") -> Comparison:
    """Compare two results on the utterances that both have.

    Raises:
        ValueError: no utterance is in both, or one has another text.
    """
    ours, theirs = ({r["id"]: r for r in result.records()} for result in (first, second))
    common = [name for name in ours if name in theirs]
    if not common:
        raise ValueError(f"{first.folder} and {second.folder} have no utterance in common")
    for name in common:
        if ours[name]["text"] != theirs[name]["text"]:
            raise ValueError(
                f"{first.folder} and {second.folder} have different texts for the utterance "
                f"{printable(name)!r}: they are not of the same set"
            )
    references = [ours[name]["text"] for name in common]
    heard, heard_again = ([r[name]["pred_text"] for name in common] for r in (ours, theirs))
    set_names, decoders = (
        a if a == b else f"{a} / {b}"
        for a, b in ((first.set, second.set), (first.decoder, second.decoder))
    )
    return Comparison(
        set_names,
        decoders,
        metric,
        METRICS[metric](references, heard).rate,
        METRICS[metric](references, heard_again).rate,
        compare_error_rates(references, heard_again, heard, metric=metric),
        len(common),
        len(ours) + len(theirs) - 2 * len(common),
    )


def comparison_header(metric: Metric) -> tuple[str, ...]:
    """Header of the table."""
    name = f"{metric.upper()} %"
    rates = (f"first {name}", f"second {name}", "second - first", "95 % interval")
    return "set", "decoder", *rates, "second better", "utterances"


def comparison_rows(comparisons: Sequence[Comparison]) -> list[tuple[str, ...]]:
    """Cells of the table, without the header."""
    return [
        (
            printable(c.set),
            printable(c.decoder),
            f"{100 * c.first:.2f}",
            f"{100 * c.second:.2f}",
            f"{100 * c.change.difference:+.2f}",
            f"{100 * c.change.low:+.2f} to {100 * c.change.high:+.2f}",
            f"{100 * c.change.better:.1f} %",
            f"{c.num_utterances}" + (f", {c.num_unpaired} left out" if c.num_unpaired else ""),
        )
        for c in comparisons
    ]


def format_comparisons(first: Path, second: Path, comparisons: Sequence[Comparison]) -> str:
    """Lay the comparison out, with a verdict on each row."""
    names = f"first:  {printable(str(first))}\nsecond: {printable(str(second))}\n"
    header = comparison_header(comparisons[0].metric)
    table = format_table([header, *comparison_rows(comparisons)], left=(0, 1))
    verdicts = [printable(f"{c.set}, {c.decoder}: {c.verdict}") + "\n" for c in comparisons]
    return "".join([names, table, *verdicts])


def comparison_record(comparison: Comparison) -> dict[str, object]:
    """JSON object of a comparison; rates are fractions."""
    return comparison._asdict() | {
        "change": comparison.change._asdict(),
        "verdict": comparison.verdict,
    }
