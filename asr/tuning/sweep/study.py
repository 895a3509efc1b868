"""The trials of a sweep in an SQLite file that several processes share.

A kill loses nothing that was written: a trial that was in flight is still called running there,
and whoever finds that nobody trains it any more takes it up again. What trial n tries is a function
of the seed and of what had been written when it was asked for.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, cast, get_args

from asr.tuning.sampling import calm, distribution, import_optuna, seed_of, tree_estimator
from asr.tuning.sweep.dimension import Dimension, Value

if TYPE_CHECKING:
    import optuna

Sampler = Literal["tpe", "nsga2", "random"]
Pruner = Literal["halving", "median", "none"]
State = Literal["done", "pruned", "failed", "running"]
# Of the trials at a rung of successive halving, one in so many goes on.
REDUCTION = 3
# Importances of fewer trials are noise.
MIN_RANKED = 4
# Seconds that a process waits for another one's writing.
LOCK_S = 60


class Plan(NamedTuple):
    """How a study is searched.

    Attributes:
        sampler: what proposes: TPE, a genetic algorithm (NSGA-II with one objective), or chance.
        pruner: what ends trials early.
        startup_trials: drawn by chance before TPE learns from others and before the median of
            others counts; the population of NSGA-II. >= 2.
        min_epochs: before a trial may be pruned, >= 1.
        seed: of what is proposed, >= 0.
    """

    sampler: Sampler
    pruner: Pruner
    startup_trials: int
    min_epochs: int
    seed: int


class SweepTrial(NamedTuple):
    """What is known of one trial."""

    number: int
    state: State
    values: dict[str, Value]  # by the name of the dimension
    rates: dict[int, float]  # of the dev set by epoch
    best: float | None  # lowest rate of any validation
    best_epoch: float | None
    seconds: float | None
    reason: str  # why it failed, or which trial it repeats


class Attempt:
    """A trial in the hands of this process."""

    def __init__(self, study: "optuna.Study", trial: "optuna.Trial") -> None:
        self._study = study
        self._trial = trial
        self.number = trial.number
        self.values: dict[str, Value] = dict(trial.params)
        reported = study.get_trials(deepcopy=False)[trial.number].intermediate_values
        self.last_epoch = max(reported, default=0)

    def report(self, epoch: int, rate: float) -> bool:
        """Write a dev rate down; say whether the trial is worse than others and should end."""
        if epoch <= self.last_epoch:
            return False
        self._trial.report(rate, epoch)
        self.last_epoch = epoch
        return bool(self._trial.should_prune())

    def finish(self, rate: float, epoch: float, seconds: float, *, pruned: bool) -> None:
        """End a trial with the lowest of its rates, and when that was."""
        self._trial.set_user_attr("best", {"rate": rate, "epoch": epoch, "seconds": seconds})
        states = import_optuna().trial.TrialState
        if pruned:
            self._study.tell(self._trial, state=states.PRUNED)
        else:
            self._study.tell(self._trial, rate)

    def fail(self, reason: str) -> None:
        """End a trial that came to nothing."""
        self._trial.set_user_attr("reason", reason)
        self._study.tell(self._trial, state=import_optuna().trial.TrialState.FAIL)

    def repeat(self, twin: SweepTrial) -> None:
        """End a trial as an earlier one of the same values ended: training is deterministic."""
        self._trial.set_user_attr("reason", f"the same as trial {twin.number}")
        assert twin.best is not None
        for epoch, rate in twin.rates.items():
            self._trial.report(rate, epoch)
        self.finish(
            twin.best, twin.best_epoch or 0.0, twin.seconds or 0.0, pruned=twin.state == "pruned"
        )


class Study:
    """A sweep's trials.

    Args:
        path: the SQLite file; it is made where it is missing.
        dimensions: what is searched.
        plan: how.
    """

    def __init__(self, path: Path, dimensions: Sequence[Dimension], plan: Plan) -> None:
        optuna = import_optuna()
        check_plan(plan)
        self.dimensions = {found.name: found for found in dimensions}
        self._plan = plan
        self._storage = optuna.storages.RDBStorage(
            f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": LOCK_S}}
        )
        self._study = optuna.create_study(
            study_name="sweep",
            storage=self._storage,
            pruner=_make_pruner(plan),
            load_if_exists=True,
        )
        self._distributions = {
            name: optuna.distributions.CategoricalDistribution(found.choices)
            if found.range is None
            else distribution(found.range, whole=found.whole)
            for name, found in self.dimensions.items()
        }

    def close(self) -> None:
        """Let go of the file."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def ask(self) -> Attempt:
        """Begin a trial. One process at a time: its number decides what it draws."""
        seed = seed_of(self._plan.seed, len(self._study.get_trials(deepcopy=False)))
        self._study.sampler = _make_sampler(self._plan, seed)
        return Attempt(self._study, self._study.ask(self._distributions))

    def running(self) -> list[Attempt]:
        """Trials that nobody has ended, whoever has them in hand."""
        optuna = import_optuna()
        states = (optuna.trial.TrialState.RUNNING,)
        found = [
            Attempt(self._study, optuna.trial.Trial(self._study, trial._trial_id))
            for trial in self._study.get_trials(deepcopy=False, states=states)
        ]
        for attempt in found:
            if attempt.values.keys() != self.dimensions.keys():
                attempt.fail("the sweep was killed while its values were drawn")
        return [attempt for attempt in found if attempt.values.keys() == self.dimensions.keys()]

    def trials(self) -> list[SweepTrial]:
        """All trials in the order of their numbers."""
        return [_record(trial) for trial in self._study.get_trials(deepcopy=False)]

    def importances(self) -> dict[str, float]:
        """How much each dimension decides whether a finished trial is among the best; sum 1.

        Empty where too few have finished.

        Source: Watanabe et al. 2023, "PED-ANOVA", theorem 4.2.
        """
        optuna = import_optuna()
        if sum(trial.state == "done" for trial in self.trials()) < MIN_RANKED:
            return {}
        with calm(), warnings.catch_warnings():
            # Where all are equally good, it says so, and gives equal importances.
            warnings.filterwarnings("ignore", message="Target and region quantiles")
            evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
            return optuna.importance.get_param_importances(self._study, evaluator=evaluator)


def check_plan(plan: Plan) -> None:
    """Refuse values out of range.

    Raises:
        ValueError: names the option.
    """
    for name, value, allowed in (
        ("sampler", plan.sampler, get_args(Sampler)),
        ("pruner", plan.pruner, get_args(Pruner)),
    ):
        if value not in allowed:
            raise ValueError(f"sweep.{name} must be one of {', '.join(allowed)}, got {value!r}")
    for name, least in (("startup_trials", 2), ("min_epochs", 1), ("seed", 0)):
        value = getattr(plan, name)
        if type(value) is not int or value < least:
            raise ValueError(f"sweep.{name} must be a whole number >= {least}, got {value!r}")


def find_twin(trials: Sequence[SweepTrial], attempt: Attempt) -> SweepTrial | None:
    """Find an earlier trial of the same values that ended with a rate."""
    for trial in trials:
        if trial.state in ("done", "pruned") and trial.values == attempt.values:
            return trial
    return None


def _make_sampler(plan: Plan, seed: int) -> "optuna.samplers.BaseSampler":
    samplers = import_optuna().samplers
    if plan.sampler == "random":
        return samplers.RandomSampler(seed=seed)
    if plan.sampler == "nsga2":
        return samplers.NSGAIISampler(population_size=plan.startup_trials, seed=seed)
    # Where others are training, their points count as bad ones: nobody tries the same.
    return tree_estimator(seed, n_startup_trials=plan.startup_trials, constant_liar=True)


def _make_pruner(plan: Plan) -> "optuna.pruners.BasePruner":
    pruners = import_optuna().pruners
    if plan.pruner == "median":
        return pruners.MedianPruner(
            n_startup_trials=plan.startup_trials, n_warmup_steps=plan.min_epochs
        )
    if plan.pruner == "halving":
        return pruners.SuccessiveHalvingPruner(
            min_resource=plan.min_epochs, reduction_factor=REDUCTION
        )
    return pruners.NopPruner()


def _record(trial: "optuna.trial.FrozenTrial") -> SweepTrial:
    states = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed"}
    rates, facts = trial.intermediate_values, trial.user_attrs
    best = facts.get("best", {})
    return SweepTrial(
        trial.number,
        cast(State, states.get(trial.state.name, "running")),
        dict(trial.params),
        dict(rates),
        best.get("rate", min(rates.values(), default=None)),
        best.get("epoch", min(rates, key=lambda epoch: rates[epoch], default=None)),
        best.get("seconds"),
        facts.get("reason", ""),
    )
