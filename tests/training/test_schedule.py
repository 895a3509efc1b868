"""Schedules against hand-computed values and against torch's."""

import pytest
import torch

from asr.training.schedule import (
    Constant,
    InverseSquareRoot,
    NewBob,
    OneCycle,
    Plateau,
    WarmupCosine,
)

PLATEAU = {"warmup_epochs": 0.0, "factor": 0.5, "patience": 1, "threshold": 0.1, "floor": 0.2}
NEW_BOB = {"warmup_epochs": 0.0, "factor": 0.5, "threshold": 0.1}
ONE_CYCLE = {"warmup_fraction": 0.3, "start_fraction": 0.04, "final_fraction": 4e-6}


def test_cosine_warms_up_and_decays():
    schedule = WarmupCosine(warmup_epochs=2.0, final_fraction=0.1)

    rates = [schedule(epoch, 10) for epoch in (0.0, 1.0, 2.0, 6.0, 10.0)]

    assert rates == pytest.approx([0.0, 0.5, 1.0, 0.55, 0.1])


def test_constant_warms_up_and_stays():
    schedule = Constant(warmup_epochs=2.0)

    assert [schedule(epoch, 10) for epoch in (0.5, 2.0, 9.0)] == [0.25, 1.0, 1.0]
    assert Constant(warmup_epochs=0.0)(0.0, 10) == 1.0


def test_inverse_square_root_is_noams_up_to_its_peak():
    schedule = InverseSquareRoot(warmup_epochs=4.0)
    epochs = [0.5, 2.0, 4.0, 9.0, 16.0]

    noam = [min(n**-0.5, n * 4.0**-1.5) for n in epochs]

    assert [schedule(epoch, 20) for epoch in epochs] == pytest.approx([2 * x for x in noam])
    assert schedule(16.0, 20) == pytest.approx(0.5)
    assert schedule(0.0, 20) == 0.0


def test_one_cycle_is_that_of_torch():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    torchs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1.0, total_steps=101, pct_start=0.3, cycle_momentum=False
    )
    # torch's goes up over 0.3 x 101 - 1 of its 100 steps.
    ours = OneCycle(**(ONE_CYCLE | {"warmup_fraction": 0.293}))

    for step in range(100):
        assert ours(step / 10, 10) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        torchs.step()


@pytest.mark.parametrize("schedule", [WarmupCosine, OneCycle])
def test_end_may_come_at_once(schedule):
    options = {"warmup_epochs": 3.0, "final_fraction": 0.1}
    if schedule is OneCycle:
        options = ONE_CYCLE | {"warmup_fraction": 1.0}

    assert schedule(**options)(1.0, 1) > 0


def test_plateau_falls_after_its_patience():
    schedule = Plateau(**PLATEAU)
    # Of a tenth better: 10, then 8; 7.5 and 7.4 are not enough below 8: the second one is too many.
    losses = [10.0, 8.0, 7.5, 7.4, 7.3, 7.2, 6.0, 9.0, 9.0, 9.0, 9.0]

    factors = [schedule(5.0, 20, losses[:n]) for n in range(len(losses) + 1)]

    assert factors == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2]


def test_plateau_warms_up():
    schedule = Plateau(**(PLATEAU | {"warmup_epochs": 2.0}))

    assert schedule(1.0, 20) == 0.5


def test_new_bob_halves_from_the_first_small_gain_on():
    schedule = NewBob(**NEW_BOB)
    # 8 is a fifth below 10; 7.5 is not a tenth below 8, and from there on nothing counts.
    losses = [10.0, 8.0, 7.5, 5.0, 4.9]

    assert [schedule(5.0, 20, losses[:n]) for n in range(6)] == [1, 1, 1, 0.5, 0.25, 0.125]


def test_new_bob_waits_for_the_end_of_the_warm_up():
    schedule = NewBob(**(NEW_BOB | {"warmup_epochs": 2.0}))

    factors = [schedule(n + 0.5, 20, [10.0] * n) for n in range(5)]

    # The first gain of an epoch after the warm-up is that of the third, from 10 to 10.
    assert factors == [0.25, 0.75, 1.0, 0.5, 0.25]


@pytest.mark.parametrize("schedule", [Plateau(**PLATEAU), NewBob(**NEW_BOB)])
def test_schedules_that_watch_are_functions_of_what_they_are_told(schedule):
    losses = [3.0, 2.0, 2.0, 2.0]

    first = schedule(5.0, 20, losses)
    schedule(5.0, 20, [1.0] * 9)

    assert schedule(5.0, 20, losses) == first
    assert losses == [3.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("schedule", "options", "change", "message"),
    [
        (Constant, {}, {"warmup_epochs": -1.0}, "warmup_epochs must be >= 0, got -1.0"),
        (InverseSquareRoot, {}, {"warmup_epochs": 0.0}, "warmup_epochs must be > 0, got 0.0"),
        (
            WarmupCosine,
            {"warmup_epochs": 1.0},
            {"final_fraction": 2.0},
            r"final_fraction must be in \[0, 1\], got 2.0",
        ),
        (
            WarmupCosine,
            {"final_fraction": 0.0},
            {"warmup_epochs": -1.0},
            "warmup_epochs must be >= 0",
        ),
        (OneCycle, ONE_CYCLE, {"warmup_fraction": 1.1}, r"warmup_fraction must be in \[0, 1\]"),
        (OneCycle, ONE_CYCLE, {"start_fraction": -0.1}, r"start_fraction must be in \[0, 1\]"),
        (Plateau, PLATEAU, {"factor": 1.0}, r"factor must be in \(0, 1\), got 1.0"),
        (Plateau, PLATEAU, {"patience": -1}, "patience must be >= 0, got -1"),
        (Plateau, PLATEAU, {"threshold": 1.0}, r"threshold must be in \[0, 1\), got 1.0"),
        (Plateau, PLATEAU, {"floor": 2.0}, r"floor must be in \[0, 1\], got 2.0"),
        (NewBob, NEW_BOB, {"factor": 0.0}, r"factor must be in \(0, 1\), got 0.0"),
    ],
)
def test_schedule_refuses_parameters_out_of_range(schedule, options, change, message):
    with pytest.raises(ValueError, match=message):
        schedule(**(options | change))
