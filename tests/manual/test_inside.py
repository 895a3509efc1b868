"""The page about the inside says what the code says."""

import re
import tomllib
from pathlib import Path

import pytest

from asr.cli import find_documentation, main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/inside.md").read_text()


def test_floors_are_those_that_are_checked():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    floors = [floor.replace("asr.", "") for floor in settings["contracts"][0]["layers"]]

    shown = re.findall(r"^    (.*)$", PAGE.partition("Three rules")[0], re.MULTILINE)
    assert shown == floors, f"docs/inside.md: the floors must be {floors}"


def test_files_that_are_named_exist():
    named = re.findall(r"`([\w/]+(?:/|\.(?:py|yaml|cpp|md)))`", PAGE)

    assert len(named) > 15
    assert not [name for name in named if not (ROOT / name).exists() and name != "bindings.cpp"]


def test_help_says_where_the_documentation_is(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])

    assert find_documentation() in capsys.readouterr().out
    assert find_documentation() == str(ROOT / "docs/index.md")
