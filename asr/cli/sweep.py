"""`asr sweep`: settings of a training with the lowest dev error rate, searched by trial."""

import argparse
import json
import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import yaml

from asr.cli.hydra_config import (
    add_override_arguments,
    check_types,
    compose_config,
    run_with_config,
)
from asr.cli.run_folder import RunFolderError, check_same_config, in_turn, is_held, locked
from asr.cli.sweep_space import read_space, split_overrides
from asr.cli.sweep_trial import OUTPUT, POLL_S, RUN, train_trial
from asr.evaluation.metrics import Metric
from asr.evaluation.run_record import metric_of, read_environment
from asr.files import write_atomically
from asr.training.stopping import StopSignal
from asr.tuning.sampling import import_optuna
from asr.tuning.sweep.dimension import Dimension
from asr.tuning.sweep.page import render_page
from asr.tuning.sweep.study import Attempt, Plan, Study, SweepTrial, check_plan, find_twin
from asr.tuning.sweep.table import best_of, format_best, format_command, format_trials

EXAMPLE = """examples:
  asr sweep data=fsdd 'optimizer.lr=tag(log,interval(1e-4,1e-2))' model=ds2_gru,ds2_lstm
  asr sweep data=fsdd 'model.hidden_size=choice(128,192,256)' 'model.dropout=interval(0,0.5)' \\
      'model.num_layers=int(interval(2,5))' sweep.num_trials=100 sweep.pruner=median
  asr sweep data=fsdd sweep.space=space.yaml sweep.sampler=nsga2
  asr sweep data=fsdd sweep.space=space.yaml resume=auto    go on after a kill, or help

Every other override is the same in all trials. Each trial is an `asr train` of its own in
<run_dir>/trials; the table, pictures and the best command are in <run_dir>/sweep.html.
`asr sweep --cfg` prints every key with its value."""

# What may differ from the sweep that is resumed: it changes no trial.
FREE_KEYS = ("run_dir", "resume", "overwrite", "device")
FREE_KEYS += ("loading.num_threads", "loading.num_processes")
# What the file of the space says counts, not where it lies.
FREE_KEYS += ("sweep.num_trials", "sweep.space")
# Parts whose values are settled before anything is read.
CHECKED = ("features", "augment", "model", "loss", "regularization", "optimizer", "scheduler")
CHECKED += ("trainer",)
STUDY, PAGE, BEST, TURN = "study.db", "sweep.html", "best.yaml", ".turn"

logger = logging.getLogger(__name__)


class Sweep(NamedTuple):
    """A sweep that this process works on."""

    folder: Path
    study: Study
    words: list[str]  # of every trial
    options: list[str]  # of the command line that are no overrides
    num_trials: int

    def place(self, number: int) -> Path:
        """Folder of a trial."""
        return self.folder / "trials" / f"{number:04d}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    add_override_arguments(parser, sweep=False)
    parser.add_argument("--json", action="store_true", help="print trials as JSON")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    args.overrides, searched = split_overrides(args.overrides)
    options = [] if args.config_dir is None else ["--config-dir", args.config_dir]
    task = partial(
        sweep, words=args.overrides, searched=searched, options=options, as_json=args.json
    )
    return run_with_config("sweep", args, task)


def sweep(
    config: dict,
    words: list[str],
    searched: Sequence[Dimension],
    options: list[str],
    *,
    as_json: bool = False,
) -> int:
    """Search as a resolved configuration says; `words` are the overrides it came from."""
    settings = config["sweep"]
    dimensions = read_space(settings["space"], searched)
    plan = Plan(**{name: settings[name] for name in Plan._fields})
    check_plan(plan)
    num_trials = settings["num_trials"]
    if type(num_trials) is not int or num_trials < 1:
        raise ValueError(f"sweep.num_trials must be a whole number >= 1, got {num_trials!r}")
    import_optuna()
    kept = [word for word in words if not _is_own(word)]
    _check_trials([*_search_path(options), *kept], dimensions)
    folder = Path(config["run_dir"])
    _join(folder, config | {"space": {found.name: found.describe() for found in dimensions}})
    with in_turn(folder / TURN):
        study = Study(folder / STUDY, dimensions, plan)
    try:
        found = Sweep(folder, study, kept, options, num_trials)
        _work(found)
        return _show(found, as_json)
    finally:
        study.close()


def _is_own(word: str) -> bool:
    """Whether an override is of the sweep and not of its trials."""
    key = word.lstrip("+~").partition("=")[0]
    return key in ("run_dir", "resume", "overwrite") or key.split(".")[0] == "sweep"


def _search_path(options: Sequence[str]) -> list[str]:
    return [f"hydra.searchpath=['file://{Path(options[1]).resolve()}']"] if options else []


def _check_trials(words: list[str], dimensions: Sequence[Dimension]) -> None:
    """Compose a training with every choice and both ends of every range, before any is trained.

    Raises:
        ConfigError: a key is unknown, a value of the wrong type.
    """
    first = {found.name: found.corners()[0] for found in dimensions}
    points = [first]
    for found in dimensions:
        points += [first | {found.name: value} for value in found.corners()[1:]]
    for point in points:
        config = compose_config("train", [*words, *(f.override(point[f.name]) for f in dimensions)])
        for key in CHECKED:
            check_types(config[key], key)


def _join(folder: Path, described: dict) -> None:
    """Describe a sweep in its folder, or go on with the one that is there.

    Raises:
        RunFolderError: the folder holds something else, or nobody said to go on.
    """
    resume = described["resume"]
    if resume not in (None, "auto"):
        raise RunFolderError(f"resume must be auto or null, got {resume!r}")
    if described["overwrite"]:
        raise RunFolderError("a sweep overwrites nothing: give another run_dir=...")
    folder.mkdir(parents=True, exist_ok=True)
    with in_turn(folder / TURN):
        if all(path.name == TURN for path in folder.iterdir()):
            write_atomically(folder / "config.yaml", yaml.safe_dump(described, sort_keys=False))
        elif not resume:
            raise RunFolderError(f"{folder} is not empty: add resume=auto to work on its sweep")
        elif not (folder / "config.yaml").is_file():
            raise RunFolderError(f"{folder} is not empty and holds no sweep")
        else:
            check_same_config(folder / "config.yaml", described, FREE_KEYS)


def _work(found: Sweep) -> None:
    """Train trials until there are as many as wanted.

    Raises:
        Interrupted: a signal came.
    """
    stop = StopSignal()
    with stop.watching():
        while True:
            with ExitStack() as held:
                attempt, is_left = _take(found, held)
                if attempt is not None:
                    _try(found, attempt, stop)
            if attempt is None and not is_left:
                return
            if attempt is None:  # a training goes on whose sweep was killed
                if stop.asked:
                    stop.leave()
                time.sleep(POLL_S)


def _take(found: Sweep, held: ExitStack) -> tuple[Attempt | None, bool]:
    """Take up a trial that nobody has in hand, or begin one; its folder is locked until the end.

    Returns:
        The trial, or None; and whether there is one to wait for.
    """
    is_left = False
    with in_turn(found.folder / TURN):
        for attempt in found.study.running():
            place = found.place(attempt.number)
            if is_held(place):
                continue  # by another process of the sweep
            if is_held(place / RUN):
                is_left = True
                continue
            place.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(place))
            logger.info("trial %d was in flight: its run goes on", attempt.number)
            return attempt, is_left
        if len(found.study.trials()) >= found.num_trials:
            return None, is_left
        attempt = found.study.ask()
        place = found.place(attempt.number)
        place.mkdir(parents=True)
        held.enter_context(locked(place))
        return attempt, is_left


def _try(found: Sweep, attempt: Attempt, stop: StopSignal) -> None:
    """Train a trial, and say what came of it."""
    dimensions, number = found.study.dimensions, attempt.number
    chosen = [dimensions[name].override(value) for name, value in attempt.values.items()]
    twin = find_twin(found.study.trials(), attempt)
    if twin is not None:
        attempt.repeat(twin)
    else:
        place = found.place(number)
        logger.info("trial %d: %s (%s)", number, " ".join(chosen), place / OUTPUT)
        train_trial([*found.options, *found.words, *chosen], place, attempt, stop)
    trials = found.study.trials()
    _log(trials[number], best_of(trials))
    _write(found, trials)


def _log(trial: SweepTrial, best: SweepTrial | None) -> None:
    rate = "" if trial.best is None else f", {100 * trial.best:.2f} % (epoch {trial.best_epoch:g})"
    reason = f": {trial.reason}" if trial.reason else ""
    lead = ""
    if best is not None and best.best is not None:
        lead = f"; best {100 * best.best:.2f} % (trial {best.number})"
    logger.info("trial %d %s%s%s%s", trial.number, trial.state, rate, reason, lead)


def _write(found: Sweep, trials: Sequence[SweepTrial]) -> None:
    """Write page and best.yaml."""
    metric, best = _metric(found, trials), best_of(trials)
    command = None
    if best is not None:
        command = format_command(best, found.study.dimensions, found.words)
        text = format_best(best, found.study.dimensions, found.words, metric)
        write_atomically(found.folder / BEST, text)
    page = render_page(
        found.folder.resolve().name,
        trials,
        found.study.dimensions,
        found.study.importances(),
        metric,
        command,
    )
    write_atomically(found.folder / PAGE, page)


def _metric(found: Sweep, trials: Sequence[SweepTrial]) -> Metric:
    """What the trials were judged by, as the first of them says that was judged."""
    for trial in trials:
        environment = found.place(trial.number) / RUN / "env.json"
        if trial.best is not None and environment.is_file():
            return metric_of(read_environment(environment))
    return "wer"


def _show(found: Sweep, as_json: bool) -> int:
    """Print the table and the command of the best.

    Raises:
        ValueError: not one trial was trained to its end.
    """
    trials = found.study.trials()
    metric, best = _metric(found, trials), best_of(trials)
    if as_json:
        print(json.dumps([trial._asdict() for trial in trials], indent=2))
    else:
        print(format_trials(trials, list(found.study.dimensions), metric), end="")
    others = sum(trial.state == "running" for trial in trials)
    if others:
        logger.info("%d trials are in the hands of other processes", others)
    if best is not None:
        if not as_json:
            print(format_command(best, found.study.dimensions, found.words))
        logger.info("the best was chosen on the dev set, where its rate is too good: decode test")
    logger.info("page: %s", found.folder / PAGE)
    if best is None and not others:
        last = trials[-1]
        raise ValueError(
            f"not one of {len(trials)} trials was trained to its end; trial {last.number}: "
            f"{last.reason or last.state}"
        )
    return 0
