"""A sweep's space, its study on disk, its table and its page."""

import pytest
from page_reader import Page

from asr.tuning.space import Range
from asr.tuning.sweep import charts
from asr.tuning.sweep.dimension import Dimension, check_dimension
from asr.tuning.sweep.page import render_page
from asr.tuning.sweep.study import Plan, Study, SweepTrial, check_plan, find_twin
from asr.tuning.sweep.table import best_of, format_command, format_trials, sort_trials

LR = Dimension("optimizer.lr", range=Range(1e-4, 1e-2, log=True))
LAYERS = Dimension("+model.num_layers", range=Range(1, 5), whole=True)
CELL = Dimension("model", choices=("ds2_gru", "ds2_lstm", "conformer"))
DIMENSIONS = (LR, LAYERS, CELL)
PLAN = Plan("tpe", "median", startup_trials=2, min_epochs=1, seed=1)


def trial(number, state, rate=None, reason="", **rates):
    values = {"optimizer.lr": 1e-3, "model.num_layers": 2, "model": "ds2_gru"}
    epochs = {int(name[1:]): value for name, value in rates.items()}
    return SweepTrial(number, state, values, epochs, rate, 1.0 if rate else None, 60.0, reason)


TRIALS = [
    trial(0, "done", 0.3, e1=0.4, e2=0.3),
    trial(1, "pruned", 0.1, e1=0.1),
    trial(2, "failed", reason="exit code 2: \x1b[2J4 steps\nin a row"),
    trial(3, "done", 0.2, e1=0.5, e2=0.2),
    trial(4, "running", 0.6, e1=0.6),
]


def test_values_have_places_on_an_axis_and_are_said_to_the_last_digit():
    assert [LR.place(value) for value in (1e-4, 1e-3, 1e-2)] == pytest.approx([0, 0.5, 1])
    assert [LAYERS.place(value) for value in (1, 3, 5)] == [0, 0.5, 1]
    assert [CELL.place(value) for value in CELL.choices] == [0, 0.5, 1]
    assert Dimension("a", range=Range(1, 2e6), whole=True).corners() == (1, 2_000_000)
    assert CELL.corners() == CELL.choices
    assert LR.override(1 / 3) == f"optimizer.lr={1 / 3!r}"
    assert LAYERS.override(3) == "+model.num_layers=3"
    assert CELL.override("conformer") == "model=conformer"


@pytest.mark.parametrize(
    ("dimension", "message"),
    [
        (Dimension("a", choices=("x",)), r"a: choice\(...\) must name two or more .* got x"),
        (Dimension("a", choices=("x", "x")), "two or more different values, got x, x"),
        (Dimension("a", choices=()), "two or more different values, got none"),
        (Dimension("+a", range=Range(2, 1)), "^a: low must be < high, got 2 and 1"),
        (Dimension("a", range=Range(0, 1, log=True)), "low must be > 0, got 0"),
    ],
)
def test_a_space_without_anything_to_search_is_refused(dimension, message):
    with pytest.raises(ValueError, match=message):
        check_dimension(dimension)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sampler": "best"}, "sweep.sampler must be one of tpe, nsga2, random, got 'best'"),
        ({"pruner": True}, "sweep.pruner must be one of halving, median, none, got True"),
        ({"startup_trials": 1}, "sweep.startup_trials must be a whole number >= 2, got 1"),
        ({"min_epochs": 0}, "sweep.min_epochs must be a whole number >= 1, got 0"),
        ({"seed": 1.5}, "sweep.seed must be a whole number >= 0, got 1.5"),
    ],
)
def test_plans_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        check_plan(PLAN._replace(**change))


def rate_of(values):
    """Something to search: best at the highest rate and one layer."""
    return 0.5 - 10 * values["optimizer.lr"] + 0.01 * values["model.num_layers"]


def search(path, counts, plan):
    """Try some trials, open the study anew, and try more."""
    for count in counts:
        study = Study(path, DIMENSIONS, plan)
        for _ in range(count):
            attempt = study.ask()
            rate = rate_of(attempt.values)
            attempt.report(1, rate)
            attempt.finish(rate, 1.0, 2.0, pruned=False)
        trials, importances = study.trials(), study.importances()
        study.close()
    return trials, importances


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_study_resumed_proposes_as_one_that_was_never_stopped(tmp_path, sampler):
    plan = PLAN._replace(sampler=sampler)
    whole, importances = search(tmp_path / "whole.db", [5], plan)
    resumed, _ = search(tmp_path / "resumed.db", [2, 3], plan)

    assert resumed == whole
    assert [t.number for t in whole] == list(range(5))
    for found in whole:
        assert 1e-4 <= found.values["optimizer.lr"] <= 1e-2
        assert found.values["model.num_layers"] in range(1, 6)
        assert found.values["model"] in CELL.choices
        assert (found.state, found.best) == ("done", rate_of(found.values))
    assert len({str(found.values) for found in whole}) > 2
    assert set(importances) == {"optimizer.lr", "model.num_layers", "model"}
    assert sum(importances.values()) == pytest.approx(1)


def test_trials_are_pruned_by_the_median_fail_repeat_and_are_taken_up(tmp_path):
    study = Study(tmp_path / "study.db", (CELL,), PLAN)
    for rate in (0.2, 0.4):
        attempt = study.ask()
        assert not attempt.report(1, rate)
        attempt.finish(rate, 1.0, 5.0, pruned=False)
    worse, failed, killed, better, twin = (study.ask() for _ in range(5))

    assert better.report(1, 0.25) is False
    assert worse.report(1, 0.5) is True
    worse.finish(0.5, 1.0, 2.0, pruned=True)
    failed.fail("no memory left")
    assert killed.report(1, 0.3) is False
    twin.repeat(study.trials()[0])
    study.close()

    study = Study(tmp_path / "study.db", (CELL,), PLAN)
    taken, also = study.running()
    assert (taken.number, taken.values, taken.last_epoch) == (4, killed.values, 1)
    assert also.number == better.number
    assert taken.report(1, 0.9) is False  # it is written already
    taken.finish(0.3, 1.0, 9.0, pruned=False)
    trials = study.trials()
    study.close()

    assert [t.state for t in trials] == [
        *("done", "done", "pruned", "failed", "done", "running", "done")
    ]
    assert trials[2].rates == {1: 0.5}
    assert trials[3].reason == "no memory left"
    assert trials[6].reason == "the same as trial 0"
    assert trials[6].rates == trials[0].rates
    assert find_twin(trials[:2], also) in (None, trials[0], trials[1])


def test_table_has_the_best_first_and_names_failures_in_a_line():
    lines = format_trials(TRIALS, list(TRIALS[0].values), "wer").splitlines()

    assert " ".join(lines[0].split()) == (
        "trial best dev WER % epoch of min optimizer.lr model.num_layers model state"
    )
    assert [line.split()[0] for line in lines[2:]] == ["3", "0", "1", "4", "2"]
    assert lines[2].split()[1:] == ["20.00", "1", "2", "1.0", "0.001", "2", "ds2_gru"]
    assert lines[4].endswith("pruned")
    assert lines[6].endswith(r"failed: exit code 2: \x1b[2J4 steps in a row")


def test_the_best_is_a_trial_that_finished():
    assert best_of(TRIALS) == TRIALS[3]
    assert best_of(TRIALS[1:3]) is None
    assert sort_trials([]) == []
    named = {found.name: found for found in DIMENSIONS}
    assert format_command(TRIALS[3], named, ["data=fsdd"]) == (
        "asr train data=fsdd optimizer.lr=0.001 +model.num_layers=2 model=ds2_gru"
    )


def test_every_setting_has_a_slice_and_no_panel_is_empty(monkeypatch):
    drawn = []
    monkeypatch.setattr(charts, "to_svg", lambda figure, *_: drawn.append(figure) or "")
    named = {name: LR._replace(key=name) for name in "abcde"}
    trials = [TRIALS[0]._replace(values=dict.fromkeys(named, 1e-3))]

    charts.draw_slices(trials, named, "wer")

    shown = [axes for axes in drawn[0].axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == list(named)


@pytest.mark.parametrize("trials", [TRIALS, TRIALS[2:3], TRIALS[:1], []], ids=len)
def test_page_is_one_file_with_all_trials(trials):
    named = {found.name: found for found in DIMENSIONS}
    importances = {"model": 0.75, "optimizer.lr": 0.25} if len(trials) > 1 else {}

    html = render_page("mine", trials, named, importances, "wer", "asr train <x>")

    page = Page(html)
    assert not page.fetched
    assert page.sections[0] == "The best"
    assert ("Parallel coordinates" in page.sections) == any(t.state == "done" for t in trials)
    assert "asr train <x>" in page.text
    assert "whole numbers 1 .. 5" in page.text
    assert html.count("<svg") == (5 if len(trials) > 1 else 4 * any(t.rates for t in trials))
    assert ("failed" in page.text) or not trials
