"""Whole numbers on a command line."""

import argparse


def read_count(text: str) -> int:
    """Read an integer >= 1.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    return read_whole(text, 1)


def read_whole(text: str, lowest: int, highest: int | None = None) -> int:
    """Read an integer from `lowest` to `highest`, both allowed.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    rule = f">= {lowest}" if highest is None else f"{lowest}..{highest}"
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be an integer, {rule}, got {text!r}") from None
    if value < lowest or (highest is not None and value > highest):
        raise argparse.ArgumentTypeError(f"must be {rule}, got {value}")
    return value
