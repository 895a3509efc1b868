"""Decoder options that make the fewest errors on a set, found by trial.

The acoustic model is not needed: every trial decodes the same log-probabilities. Optuna's TPE
proposes points; a space of no more points than trials is searched whole. What trial n tries is a
function of the seed and of the trials before it, so that a search that was killed goes on as if
nothing had happened.

Why the trials are in a file of our own: optuna's SQLite storage took longer for a trial than
decoding 200 utterances did, and its journal file is unreadable once a line follows one that a kill
cut short.
"""

import itertools
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from tqdm import tqdm

from asr.decoding import Decoder
from asr.evaluation.metrics import METRICS, ErrorRate, Metric
from asr.files import parse_json
from asr.tuning.emissions import Emissions
from asr.tuning.sampling import distribution, import_optuna, seed_of, tree_estimator
from asr.tuning.space import DIGITS, INTEGERS, Point, Space


class Trial(NamedTuple):
    """One point, and how many words or characters were wrong there."""

    number: int
    options: Point
    errors: ErrorRate
    decode_s: float


class Choice(NamedTuple):
    """The best trial, with all those that made as few errors."""

    best: Trial
    plateau: list[Trial]


def decode_texts(emissions: Emissions, decoder: Decoder) -> list[str]:
    """Decode a set; return the best text of each utterance, in the order of the set."""
    texts = [""] * len(emissions.references)
    for indices, log_probs, lengths in emissions.batches():
        for index, hypotheses in zip(indices, decoder(log_probs, lengths), strict=True):
            texts[index] = hypotheses[0].text
    return texts


def check_space(space: Space, make_decoder: Callable[[Point], object]) -> None:
    """Let the decoder refuse values before anything is computed.

    Raises:
        ValueError: an end of a range is refused.
    """
    for end in ("low", "high"):
        try:
            make_decoder({name: getattr(found, end) for name, found in space.items()})
        except ValueError as error:
            raise ValueError(f"space: the decoder refuses an end of a range: {error}") from error


def tune(
    emissions: Emissions,
    make_decoder: Callable[[Point], Decoder],
    space: Space,
    start: Point,
    *,
    num_trials: int,
    seed: int,
    metric: Metric = "wer",
    journal: Path | None = None,
    progress: bool = False,
) -> list[Trial]:
    """Search the options that make the fewest errors.

    Args:
        emissions: log-probabilities and references.
        make_decoder: builds a decoder with these options.
        space: ranges of the options to search, from `read_space`.
        start: values of the same options before the search, tried first as trial 0, whether `space`
            holds them or not.
        num_trials: trials after trial 0, >= 1; fewer where the space has fewer points.
        seed: decides what is tried, >= 0.
        metric: whether errors are of words or of characters.
        journal: file of finished trials, one line each; the search goes on after those that it
            holds, which must be of the same emissions, decoder, space, metric and seed.
        progress: whether to draw a bar with the best rate so far.

    Returns:
        All trials in the order of their numbers, those of the journal included.

    Raises:
        ModuleNotFoundError: optuna is not installed.
        ValueError: the journal or an argument breaks a rule, or a decoder refuses an option.
    """
    if num_trials < 1:
        raise ValueError(f"num_trials must be >= 1, got {num_trials}")
    if seed < 0:
        raise ValueError(f"seed must be >= 0, got {seed}")
    trials = read_trials(journal, space) if journal is not None else []
    proposer = _propose(space, seed, num_trials)
    for trial in trials:
        proposer.tell(trial)
    with tqdm(
        total=num_trials + 1, initial=len(trials), desc="tuning", unit="trial", disable=not progress
    ) as bar:
        for number in range(len(trials), num_trials + 1):
            options = {n: start[n] for n in space} if number == 0 else proposer.ask(number)
            if options is None:  # the space has no more points
                break
            trial = _try(number, options, trials, emissions, make_decoder, metric)
            if journal is not None:
                _append(journal, trial)
            trials.append(trial)
            proposer.tell(trial)
            lowest = min(t.errors.rate for t in trials)
            bar.set_postfix_str(f"best {metric.upper()} {100 * lowest:.2f} %", refresh=False)
            bar.update()
    return trials


def _try(
    number: int,
    options: Point,
    trials: Sequence[Trial],
    emissions: Emissions,
    make_decoder: Callable[[Point], Decoder],
    metric: Metric,
) -> Trial:
    """Decode at a point, unless an earlier trial did."""
    for twin in trials:
        if twin.options == options:
            return twin._replace(number=number)
    started = time.perf_counter()
    texts = decode_texts(emissions, make_decoder(options))
    spent_s = time.perf_counter() - started
    return Trial(number, options, METRICS[metric](emissions.references, texts), spent_s)


def choose(trials: Sequence[Trial], space: Space) -> Choice:
    """Choose the trial with the fewest errors; of several, the one nearest to all the others.

    Error counts are steps, and the best of them is a plateau whose border is the work of single
    words: its middle is less so. Trials at the same point count once. Trial 0 stays where nothing
    is better: without a gain there is no reason to change options.
    """
    fewest = min(trial.errors.rate for trial in trials)
    first_at: dict[tuple[float, ...], Trial] = {}
    for trial in trials:
        if trial.errors.rate == fewest:
            first_at.setdefault(tuple(trial.options.values()), trial)
    plateau = list(first_at.values())
    if plateau[0].number == 0:
        return Choice(plateau[0], plateau)
    places = np.array(
        [[space[name].place(t.options[name]) for name in space] for t in plateau]
    )  # (K, options)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2).sum(axis=1)  # (K,)
    return Choice(plateau[int(distances.round(DIGITS).argmin())], plateau)


class _Proposer(Protocol):
    """Says what to try next."""

    def ask(self, number: int) -> Point | None: ...
    def tell(self, trial: Trial) -> None: ...


def _propose(space: Space, seed: int, num_trials: int) -> _Proposer:
    values = [found.values() for found in space.values()]
    countable = [found for found in values if found is not None]
    if len(countable) == len(values) and math.prod(map(len, countable)) <= num_trials:
        return _EveryPoint(list(space), countable)
    return _TreeEstimator(space, seed)


class _EveryPoint:
    """All points of a space, each once."""

    def __init__(self, names: list[str], values: list[list[float]]) -> None:
        self._names = names
        self._left = dict.fromkeys(itertools.product(*values))

    def ask(self, number: int) -> Point | None:
        return dict(zip(self._names, next(iter(self._left)), strict=True)) if self._left else None

    def tell(self, trial: Trial) -> None:
        self._left.pop(tuple(trial.options[name] for name in self._names), None)


class _TreeEstimator:
    """Optuna's tree-structured Parzen estimator (TPE)."""

    def __init__(self, space: Space, seed: int) -> None:
        self._optuna = import_optuna()
        self._seed = seed
        self._space = space
        self._ranges = {
            name: distribution(found, whole=name in INTEGERS) for name, found in space.items()
        }
        self._study = self._optuna.create_study()

    def ask(self, number: int) -> Point:
        self._study.sampler = tree_estimator(seed_of(self._seed, number))
        asked = self._study.ask(self._ranges)
        # Closed at once; the result comes back as a finished trial, as it does on resuming.
        self._study.tell(asked, state=self._optuna.trial.TrialState.FAIL)
        return {
            name: asked.params[name] if name in INTEGERS else round(asked.params[name], DIGITS)
            for name in self._space
        }

    def tell(self, trial: Trial) -> None:
        if not all(self._space[name].holds(value) for name, value in trial.options.items()):
            return  # trial 0 may lie outside
        self._study.add_trial(
            self._optuna.create_trial(
                params=trial.options, distributions=self._ranges, value=trial.errors.rate
            )
        )


def read_trials(path: Path, space: Space) -> list[Trial]:
    """Read a journal; a last line that a kill cut short is taken off the file.

    Raises:
        ValueError: a line is no trial of that space; names file and line.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(path, len(whole))
    trials = []
    for number, line in enumerate(whole.splitlines()):
        try:
            record: Any = parse_json(line)
            options = {name: _number(record["options"][name], -math.inf) for name in space}
            rates = {key: _number(n, math.inf) for key, n in record["errors"].items()}
            spent_s = _number(record["decode_s"], 0.0)
            trials.append(Trial(record["number"], options, ErrorRate(**rates), spent_s))
            if record["number"] != number:
                raise ValueError(f"number must be {number}, got {record['number']!r}")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}:{number + 1}: not a trial: {error!r}") from error
    return trials


def _number(value: object, null: float) -> Any:  # noqa: ANN401
    """Give null its number: JSON has no infinities, which options and intervals may be."""
    if value is None:
        return null
    if type(value) not in (int, float):
        raise ValueError(f"must be a number, got {value!r}")
    return value


def _finite(numbers: Mapping[str, float]) -> dict[str, float | None]:
    return {name: n if math.isfinite(n) else None for name, n in numbers.items()}


def _append(path: Path, trial: Trial) -> None:
    """Add a finished trial; it is on the disk when this returns."""
    record = {
        "number": trial.number,
        "options": _finite(trial.options),
        "errors": _finite(trial.errors._asdict()),
        "decode_s": round(trial.decode_s, 4),
    }
    with path.open("ab") as file:
        file.write((json.dumps(record) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())
