"""Rules that options of several networks share."""

from collections.abc import Sequence


def check_counts(**counts: int | Sequence[int]) -> None:
    """Raise ValueError unless all, or all of each list, are >= 1."""
    for name, values in counts.items():
        for count in [values] if isinstance(values, int) else values:
            if count < 1:
                raise ValueError(f"{name} must be >= 1, got {count}")


def check_dropout(dropout: float) -> None:
    """Raise ValueError unless it is a probability that leaves something."""
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout}")


def check_choice(name: str, value: str, *choices: str) -> None:
    """Raise ValueError unless a value is one of some."""
    if value not in choices:
        raise ValueError(f"{name} must be {' or '.join(choices)}, got {value!r}")


def check_divides(name: str, count: int, hidden_size: int) -> None:
    """Raise ValueError unless units fall into so many equal groups."""
    if count < 1 or hidden_size % count:
        raise ValueError(f"{name} must divide the hidden_size {hidden_size}, got {count}")


def check_kernel(*sizes: int) -> None:
    """Raise ValueError unless all are odd: frames stay centred then."""
    if any(size < 1 or size % 2 == 0 for size in sizes):
        raise ValueError(f"kernel sizes must be odd, got {sizes}")


def check_strides(*strides: int) -> None:
    """Raise ValueError unless all are >= 1."""
    if any(stride < 1 for stride in strides):
        raise ValueError(f"strides must be >= 1, got {strides}")


def check_entries(each: str, **lists: Sequence) -> None:
    """Raise ValueError unless all have the same number of entries, at least one.

    Args:
        each: what an entry is for, in the message.
    """
    counts = [len(entries) for entries in lists.values()]
    if min(counts) < 1 or len(set(counts)) > 1:
        *names, last = lists
        names = f"{', '.join(names)} and {last}" if names else last
        raise ValueError(f"{names} must have one entry a {each}, got {', '.join(map(str, counts))}")


def pair(values: Sequence[int]) -> tuple[int, int]:
    """Read (frames, bins)."""
    frames, bins = values
    return int(frames), int(bins)
