"""Curves drawn with characters."""

from pathlib import Path

import pytest

from asr.evaluation.chart import draw_chart, draw_run
from asr.evaluation.figures import Curve
from asr.evaluation.run_record import RunRecord


def test_line_from_top_to_bottom():
    curve = Curve("dev", [4.0, 0.0], [1, 2])

    title, *lines = draw_chart("loss", [curve], 33, 4).splitlines()

    assert title == "loss (• dev)"
    rows, axis = lines[:4], lines[4]
    assert [row[:3] for row in rows] == ["4 ┤", "  ┤", "  ┤", "0 ┤"]
    # A row holds a place as often as its heights round to it: ends half as often.
    assert [row.count("•") for row in rows] == [5, 10, 10, 5]
    assert axis.split() == ["1", "2", "epoch"]


def test_first_curve_lies_on_top():
    same = [Curve("a", [1.0, 1.0], [0, 1]), Curve("b", [1.0, 1.0], [0, 1])]

    drawn = draw_chart("x", same, 30, 3)

    assert "·" not in drawn.replace("(• a, · b)", "")


@pytest.mark.parametrize("values", [[0.0], [0.0, 0.0]])
def test_nothing_but_zeros_and_one_point_are_drawn(values):
    drawn = draw_chart("x", [Curve("a", values, list(range(len(values))))], 30, 3)

    assert drawn.splitlines()[3].startswith("0 ┤•")


def test_run_without_a_validation_says_so():
    assert draw_run(RunRecord("r", Path("r"), [], [], [], {}, {}), 80) == "r: no validation yet\n"


@pytest.mark.parametrize("width", [10, 30, 80, 200])
def test_no_line_is_wider_than_the_terminal(width):
    drawn = draw_chart("x", [Curve("a", [1234.5, 3.0], [0.25, 100])], width, 5)

    assert all(len(line) <= max(width, 30) for line in drawn.splitlines())
