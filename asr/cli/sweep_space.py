"""Where a sweep looks: Hydra's own sweep overrides, from the command line and from a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from asr.cli.hydra_config import ConfigError, quote_override
from asr.files import read_text
from asr.tuning.space import Range
from asr.tuning.sweep.dimension import Dimension, check_dimension

FORMS = "choice(...), interval(low, high), int(interval(low, high)), tag(log, ...) or range(...)"
# What the sweep decides for every trial; rates by another metric would not compare.
OWN = ("run_dir", "resume", "overwrite", "preset", "metric", "trainer.metric", "sweep")


def split_overrides(words: Sequence[str]) -> tuple[list[str], list[Dimension]]:
    """Tell overrides of every trial from settings that are searched.

    Raises:
        ConfigError: an override is malformed, or its space has nothing to search.
    """
    fixed, searched = [], []
    for word in words:
        override = _parse(word)
        if override.is_sweep_override():
            searched.append(_read_dimension(override))
        else:
            fixed.append(word)
    return fixed, searched


def read_space(path: str | None, searched: Sequence[Dimension]) -> list[Dimension]:
    """Add what a YAML file says to what the command line searches.

    Raises:
        ConfigError: there is nothing to search, a key is there twice or is not to be searched, or
            the file breaks a rule; names it.
    """
    found = [*(_read_file(Path(path)) if path is not None else ()), *searched]
    if not found:
        raise ConfigError(
            "nothing to search: give settings a space, as in "
            "'optimizer.lr=tag(log,interval(1e-4,1e-2))', or sweep.space=FILE"
        )
    names = [dimension.name for dimension in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{name}: has a space twice")
        if name in OWN or name.split(".")[0] == "sweep":
            raise ConfigError(
                f"{name}: is the same in all trials of a sweep, and cannot be searched"
            )
    return found


def _read_file(path: Path) -> list[Dimension]:
    try:
        tree = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise ConfigError(f"sweep.space: {path}: is not YAML: {error}") from error
    except ValueError as error:
        raise ConfigError(f"sweep.space: {error}") from error
    if not isinstance(tree, Mapping):
        raise ConfigError(f"sweep.space: {path}: must have lines of KEY: {FORMS}, got {tree!r}")
    found = []
    for key, value in tree.items():
        if isinstance(value, list):
            value = f"choice({','.join(map(_say, value))})"
        try:
            override = _parse(f"{key}={value}")
            if not override.is_sweep_override():
                raise ConfigError(f"{key}: must be {FORMS} or a list, got {value!r}")
            found.append(_read_dimension(override))
        except ConfigError as error:
            raise ConfigError(f"sweep.space: {path}: {error}") from error
    return found


def _say(value: object) -> str:
    """Write a value of YAML as Hydra reads it."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _parse(word: str) -> Override:
    try:
        return OverridesParser.create().parse_override(quote_override(word))
    except HydraException as error:
        first = str(error).strip().splitlines()[0]
        raise ConfigError(f"{word}: {first}") from error


def _read_dimension(override: Override) -> Dimension:
    """Turn a sweep of Hydra's into a dimension."""
    key, value = override.get_key_element(), override.value()
    if isinstance(value, ChoiceSweep):
        found = Dimension(key, choices=tuple(override.sweep_string_iterator()))
    elif isinstance(value, IntervalSweep) and value.start is not None and value.end is not None:
        if value.tags - {"log"}:
            raise ConfigError(f"{key}: the one tag is log, got {', '.join(sorted(value.tags))}")
        found = Dimension(
            key,
            range=Range(value.start, value.end, log="log" in value.tags),
            whole=isinstance(value.start, int) and isinstance(value.end, int),
        )
    elif isinstance(value, RangeSweep):
        found = _read_range(key, value)
    else:
        raise ConfigError(f"{key}: must be {FORMS}, got {override.input_line}")
    try:
        check_dimension(found)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return found


def _read_range(key: str, value: RangeSweep) -> Dimension:
    """Turn range(start, stop, step), which does not hold its stop, into a range that holds both."""
    steps = sorted(float(number) for number in value.range())
    if len(steps) < 2:
        raise ConfigError(f"{key}: range(...) must have two or more values, got {steps}")
    found = Range(steps[0], steps[-1], step=abs(float(value.step)))
    return Dimension(key, range=found, whole=all(number.is_integer() for number in steps))
