"""One setting of a training that a sweep searches."""

from typing import NamedTuple

from asr.tuning.space import Range

Value = float | int | str


class Dimension(NamedTuple):
    """Where to look for one setting; it has choices or a range.

    Attributes:
        key: of the setting, as an override begins.
        choices: values as overrides say them, two or more.
        range: of numbers.
        whole: whether these are whole numbers.
    """

    key: str
    choices: tuple[str, ...] = ()
    range: Range | None = None
    whole: bool = False

    @property
    def name(self) -> str:
        """The key without what tells Hydra to add it."""
        return self.key.lstrip("+")

    def override(self, value: Value) -> str:
        """Say a value to a training, to the last digit."""
        return f"{self.key}={value if isinstance(value, str) else repr(value)}"

    def place(self, value: Value) -> float:
        """Where a value lies on an axis from 0 to 1; choices in their order."""
        if self.range is None:
            return self.choices.index(str(value)) / (len(self.choices) - 1)
        return self.range.place(float(value))

    def corners(self) -> tuple[Value, ...]:
        """All choices, or both ends of the range."""
        if self.range is None:
            return self.choices
        kind = int if self.whole else float
        return kind(self.range.low), kind(self.range.high)

    def ends(self) -> tuple[str, str]:
        """What an axis begins and ends with."""
        if self.range is None:
            return self.choices[0], self.choices[-1]
        return f"{self.range.low:g}", f"{self.range.high:g}"

    def describe(self) -> str:
        """Say the space in words that tell it from another."""
        if self.range is None:
            return f"choice({', '.join(self.choices)})"
        step = f", step={self.range.step:g}" if self.range.step is not None else ""
        kind = "whole numbers" if self.whole else "numbers"
        scale = ", by ratios" if self.range.log else ""
        return f"{kind} {self.range.low:.9g} .. {self.range.high:.9g}{step}{scale}"


def check_dimension(found: Dimension) -> None:
    """Refuse a space in which there is nothing to search.

    Raises:
        ValueError: names the key, the rule and the value.
    """
    if found.range is None:
        if len(set(found.choices)) < max(2, len(found.choices)):
            raise ValueError(
                f"{found.name}: choice(...) must name two or more different values, "
                f"got {', '.join(found.choices) or 'none'}"
            )
        return
    low, high = found.range.low, found.range.high
    if not low < high:
        raise ValueError(f"{found.name}: low must be < high, got {low:g} and {high:g}")
    if found.range.log and low <= 0:
        raise ValueError(f"{found.name}: by ratios (log), low must be > 0, got {low:g}")


def show_value(value: Value) -> str:
    """Write a value as a table does."""
    return value if isinstance(value, str) else f"{value:.4g}"
