"""Optuna as searches use it: imported late, quiet, and seeded anew for every trial."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from asr.tuning.space import Range

if TYPE_CHECKING:
    import optuna


def import_optuna() -> Any:  # noqa: ANN401
    """Import the extra `tune`, with its own log lines silenced.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "tuning needs optuna 4 or later: pip install 'ctc-asr[tune]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def seed_of(seed: int, number: int) -> int:
    """Seed of a trial's own generator: nothing depends on when a search was cut off."""
    (state,) = np.random.SeedSequence((seed, number)).generate_state(1).tolist()
    return state


def tree_estimator(seed: int, **options: object) -> "optuna.samplers.TPESampler":
    """Make a tree-structured Parzen estimator (TPE) that looks at options together.

    Source: Bergstra et al. 2011, "Algorithms for hyper-parameter optimization", section 4.
    """
    with calm():
        return import_optuna().samplers.TPESampler(seed=seed, multivariate=True, **options)


@contextmanager
def calm() -> Iterator[None]:
    """Inside, optuna does not warn of what it calls experimental, such as `multivariate`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", import_optuna().exceptions.ExperimentalWarning)
        yield


def distribution(found: Range, *, whole: bool) -> "optuna.distributions.BaseDistribution":
    """Say a range in optuna's words; of whole numbers alone, or of any."""
    distributions = import_optuna().distributions
    if not whole:
        return distributions.FloatDistribution(
            found.low, found.high, step=found.step, log=found.log
        )
    step = 1 if found.step is None else int(found.step)
    return distributions.IntDistribution(int(found.low), int(found.high), step=step, log=found.log)
