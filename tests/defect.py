"""An edit that breaks the project."""

from typing import NamedTuple


class Defect(NamedTuple):
    """One edit that must make a test fail: `old`, which its file holds once, becomes `new`."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]  # files or patterns below tests/
