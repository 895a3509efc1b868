"""Hydra as people know it: what it prints, groups of one's own, and types by name."""

import subprocess
import sys
from typing import Literal

import pytest
from torch import Tensor

from asr.cli import main
from asr.cli.argument_types import wrong_type
from asr.cli.hydra_config import compose_config
from asr.text import Tokenizer


def target(
    size: int,
    rate: float | Tensor,
    name: str | None,
    cell: Literal["lstm", "gru"],
    flag: bool,
    sizes: list[int],
    path: Tokenizer | None,
    rest=None,
) -> None:
    """Something with arguments of every kind."""


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("size", "big", "an integer"),
        ("size", 1.5, "an integer"),
        ("size", True, "an integer"),
        ("size", None, "an integer"),
        ("rate", "fast", "a number"),
        ("rate", False, "a number"),
        ("name", 3, "a text or null"),
        ("cell", "cnn", "lstm or gru"),
        ("flag", "yes", "true or false"),
    ],
)
def test_wrong_types_are_named(name, value, rule):
    assert wrong_type(target, {name: value}) == f"{name} must be {rule}, got {value!r}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", 3),
        ("rate", 3),
        ("rate", 0.5),
        ("name", None),
        ("name", "x"),
        ("cell", "gru"),
        ("flag", False),
        ("sizes", "checked by the constructor"),
        ("rest", object()),
        ("path", "model.arpa"),
        ("unknown", 1),
    ],
)
def test_right_types_pass(name, value):
    assert wrong_type(target, {name: value}) is None


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("model.hidden_size=big", "model.hidden_size must be an integer, got 'big'"),
        ("features.n_mels=1.5", "features.n_mels must be an integer, got 1.5"),
        (
            "model.cell=cnn",
            "model.cell must be lstm or gru or rnn or clipped_rnn or lstm_peephole or ",
        ),
        ("trainer.patience=null", "trainer.patience must be an integer, got None"),
        ("model=mine", "conformer_medium, densenet, ds2_cifg, ds2_gru, ds2_irnn, ds2_large"),
    ],
)
def test_a_wrong_value_is_one_line_and_exit_code_2(word, message, capsys):
    assert main(["train", word]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model").mkdir()
    text = "defaults:\n  - ds2_lstm\n  - _self_\nhidden_size: 77\n"
    (tmp_path / "model/mine.yaml").write_text(text)
    return tmp_path


def test_choices_of_a_group_that_must_be_given_are_listed(capsys):
    assert main(["decode", "checkpoint=x"]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert "data=<OPTION>; there are an4, common_voice, fsdd, " in line


def test_groups_of_ones_own(folder, capsys):
    assert main(["train", "--config-dir", str(folder), "model=mine", "--cfg"]) == 0
    assert "hidden_size: 77" in capsys.readouterr().out

    assert main(["train", "--config-dir", str(folder), "model=their"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "ds2_rnn, " in line
    assert "mine" in line.partition("there are ")[2].split(", ")


def test_hydras_own_search_path_works_too(folder):
    words = [f"hydra.searchpath=['file://{folder}']", "model=mine"]

    assert compose_config("train", words)["model"]["hidden_size"] == 77


def test_a_missing_folder_is_named(capsys):
    assert main(["train", "--config-dir", "nowhere"]) == 2
    assert capsys.readouterr().err == "asr train: --config-dir nowhere: no such folder\n"


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["--cfg", "job"], "run_dir: runs/synth"),
        (["--cfg", "hydra"], "hydra:"),
        (["--info", "searchpath"], "pkg://asr.conf"),
    ],
)
def test_what_hydra_prints(words, printed):
    """In a process of its own: Hydra sets up logging and leaves it."""
    command = [sys.executable, "-m", "asr", "train", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert printed in done.stdout + done.stderr
