"""What a search found, in words: against greedy search, against the options before it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import yaml

from asr.decoding import Decoder, GreedyDecoder
from asr.evaluation.metrics import (
    METRICS,
    ErrorRate,
    Metric,
    RateDifference,
    compare_error_rates,
)
from asr.evaluation.table import format_table
from asr.tuning.emissions import Emissions
from asr.tuning.search import Choice, Trial, choose, decode_texts
from asr.tuning.space import Point, Space


class Outcome(NamedTuple):
    """A finished search and its baselines."""

    trials: list[Trial]
    choice: Choice
    greedy: ErrorRate | None  # None where greedy search writes phones, and the decoder words
    from_greedy: RateDifference | None  # of the best trial; below 0 where the best is better
    from_start: RateDifference
    metric: Metric = "wer"


def judge(
    emissions: Emissions,
    make_decoder: Callable[[Point], Decoder],
    trials: list[Trial],
    space: Space,
    metric: Metric = "wer",
    *,
    has_greedy: bool = True,
) -> Outcome:
    """Choose the best trial and compare it with trial 0, and with greedy search if there is one."""
    choice = choose(trials, space)
    start, best = (
        decode_texts(emissions, make_decoder(trial.options)) for trial in (trials[0], choice.best)
    )
    from_start = compare_error_rates(emissions.references, best, start, metric=metric)
    if not has_greedy:
        return Outcome(trials, choice, None, None, from_start, metric)
    greedy = decode_texts(emissions, GreedyDecoder(emissions.tokens, emissions.blank))
    return Outcome(
        trials,
        choice,
        METRICS[metric](emissions.references, greedy),
        compare_error_rates(emissions.references, best, greedy, metric=metric),
        from_start,
        metric,
    )


def format_report(outcome: Outcome, space: Space, title: str) -> str:
    """Lay out the table, the plateau, and what to think of them."""
    best, plateau = outcome.choice
    start = outcome.trials[0]
    rows = [
        ("", f"{outcome.metric.upper()} %", "95 % interval", "ins / del / sub", "options"),
        *([("greedy", *_cells(outcome.greedy), "")] if outcome.greedy else []),
        ("before (trial 0)", *_cells(start.errors), format_options(start.options)),
        (f"best (trial {best.number})", *_cells(best.errors), format_options(best.options)),
        *(
            [("best - greedy", *_difference_cells(outcome.from_greedy), "", "")]
            if outcome.from_greedy
            else []
        ),
        ("best - before", *_difference_cells(outcome.from_start), "", ""),
    ]
    table = format_table(rows, left=(0, 4))
    lines = [title, table.rstrip(), _describe_plateau(best, plateau, space)]
    lines += _warn_of_ends(best, space)
    if best.number == 0:
        lines.append("no trial made fewer errors than the options before the search")
    lines.append(
        "the best was chosen on this set, where its rate is too good: measure it on another"
    )
    return "\n".join(lines) + "\n"


def format_best(outcome: Outcome, overrides: Sequence[str], command: str | None) -> str:
    """Write best.yaml: options for Python, overrides for the command line, what they gave."""
    best = outcome.choice.best
    record = {
        "options": dict(best.options),
        "overrides": list(overrides),
        "command": command,
        "trial": best.number,
        outcome.metric: best.errors._asdict(),
        f"{outcome.metric}_before": outcome.trials[0].errors._asdict(),
        **({f"{outcome.metric}_greedy": outcome.greedy._asdict()} if outcome.greedy else {}),
        "num_trials": len(outcome.trials) - 1,
    }
    return yaml.safe_dump(record, sort_keys=False, width=1000)


def format_options(options: Point) -> str:
    """Write options as one reads them: lm_alpha=0.5 lm_beta=1."""
    return " ".join(f"{name}={value:.9g}" for name, value in options.items())


def _cells(found: ErrorRate) -> tuple[str, str, str]:
    return (
        f"{100 * found.rate:.2f}",
        f"{100 * found.low:.2f} to {100 * found.high:.2f}",
        f"{found.insertions} / {found.deletions} / {found.substitutions}",
    )


def _difference_cells(found: RateDifference) -> tuple[str, str]:
    return (
        f"{100 * found.difference:+.2f}",
        f"{100 * found.low:+.2f} to {100 * found.high:+.2f}",
    )


def _describe_plateau(best: Trial, plateau: Sequence[Trial], space: Space) -> str:
    errors = best.errors.insertions + best.errors.deletions + best.errors.substitutions
    if len(plateau) == 1:
        return f"plateau: none, no other point makes as few as {errors} errors"
    choice = "the options before" if best.number == 0 else "the one in their middle"
    spans = []
    for name in space:
        values = [trial.options[name] for trial in plateau]
        spans.append(f"{name} {min(values):.9g} .. {max(values):.9g}")
    return (
        f"plateau: {len(plateau)} points make {errors} errors, {', '.join(spans)}; the best is "
        f"{choice}"
    )


def _warn_of_ends(best: Trial, space: Space) -> list[str]:
    """Say where the range may have cut the search off; zero weight is an end of its own."""
    return [
        f"range: {name}={best.options[name]:.9g} is at an end of space.{name}: widen it"
        for name, found in space.items()
        if best.options[name] in (found.low, found.high)
        and not (name == "lm_alpha" and best.options[name] == 0)
    ]
