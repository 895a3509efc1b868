"""What options of random changes must be like."""

from collections.abc import Sequence


def check_probability(name: str, value: float) -> None:
    """Refuse what is no probability.

    Raises:
        ValueError: `value` is not in [0, 1].
    """
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {value}")


def check_interval(name: str, pair: Sequence[float], low: float = float("-inf")) -> None:
    """Refuse what is no pair low <= high, or begins below `low`.

    Raises:
        ValueError: says what is wrong.
    """
    if len(pair) != 2 or not pair[0] <= pair[1]:
        raise ValueError(f"{name} must be low <= high, got {list(pair)}")
    if pair[0] < low:
        raise ValueError(f"{name} must be >= {low}, got {list(pair)}")
