"""Where a search looks: ranges of decoder options, checked."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

Point = dict[str, float]

# Options that count something; the others are nats.
INTEGERS = ("beam_width",)
OPTIONS = (
    "lm_alpha",
    "lm_beta",
    "unk_score",
    "hotword_weight",
    *INTEGERS,
    "token_min_logp",
    "beam_prune_logp",
)
# Sums like 0.1 + 0.2 are cut here, so that an option can be typed as it was tried.
DIGITS = 9


class Range(NamedTuple):
    """Where to look for one option.

    Attributes:
        low: its least value.
        high: its greatest.
        step: only low, low + step, ... are tried; None: anything between.
        log: equal ratios rather than equal differences are equally far apart.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def values(self) -> list[float] | None:
        """All values that may be tried, or None where they are not countable."""
        if self.step is None:
            return None
        count = round((self.high - self.low) / self.step) + 1
        return [round(self.low + i * self.step, DIGITS) for i in range(count)]

    def holds(self, value: float) -> bool:
        """Whether `value` may be tried."""
        if self.step is None:
            return self.low <= value <= self.high
        return round(value, DIGITS) in (self.values() or ())

    def place(self, value: float) -> float:
        """Where a value lies between low, 0, and high, 1; what is outside lies at the border."""
        low, value, high = self.low, min(max(value, self.low), self.high), self.high
        if self.log:
            low, value, high = math.log(low), math.log(value), math.log(high)
        return (value - low) / (high - low)


Space = dict[str, Range]


def read_space(names: Sequence[str], ranges: Mapping[str, object]) -> Space:
    """Check the ranges of the options that are to be searched.

    Args:
        names: of `OPTIONS`.
        ranges: for each of them low and high, and step or log if wanted.

    Raises:
        ValueError: a name is unknown or twice there, or a range breaks a rule.
    """
    if isinstance(names, str) or not names:
        raise ValueError(f"search must be a list of options of {list(OPTIONS)}, got {names!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"search must name an option once, got {list(names)}")
    for name in names:
        if name not in OPTIONS:
            raise ValueError(f"search: options are {', '.join(OPTIONS)}, got {name!r}")
    return {name: _read_range(name, ranges.get(name)) for name in names}


def _read_range(name: str, given: object) -> Range:
    where = f"space.{name}"
    if not isinstance(given, Mapping) or not {"low", "high"} <= set(given) <= set(Range._fields):
        raise ValueError(f"{where} must have low, high and if wanted step or log, got {given!r}")
    log, whole = given.get("log", False), name in INTEGERS
    if not isinstance(log, bool):
        raise ValueError(f"{where}.log must be true or false, got {log!r}")
    step = given.get("step", 1 if whole and not log else None)
    for key, value in (("low", given["low"]), ("high", given["high"]), ("step", step)):
        kinds = (int,) if whole else (int, float)
        finite = type(value) in kinds and math.isfinite(value)
        if not finite and not (key == "step" and value is None):
            kind = "a whole number" if whole else "a number"
            raise ValueError(f"{where}.{key} must be {kind}, got {value!r}")
    found = Range(given["low"], given["high"], step, log)
    if not found.low < found.high:
        raise ValueError(f"{where}: low must be < high, got {found.low} and {found.high}")
    if log and (step is not None or found.low <= 0):
        raise ValueError(f"{where}: with log, low must be > 0 and step absent, got {dict(given)}")
    if step is not None:
        count = (found.high - found.low) / step if step > 0 else -1
        if count < 1 or abs(count - round(count)) > 1e-6:
            raise ValueError(
                f"{where}: step must be > 0 and divide high - low = "
                f"{round(found.high - found.low, DIGITS)}, got {step}"
            )
    return found
