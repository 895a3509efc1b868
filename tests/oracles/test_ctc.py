"""The oracles themselves, on cases worked out by hand."""

import numpy as np
import pytest

from tests.oracles import ctc


def test_collapse_merges_repeats_before_it_drops_blanks():
    assert ctc.collapse((0, 1, 1, 0, 1, 2, 2)) == (1, 1, 2)


def test_paths_of_one_label_in_two_frames():
    assert ctc.paths_of((1,), 2, 2) == [(0, 1), (1, 0), (1, 1)]


def test_paths_of_a_repeat_need_a_blank_between():
    assert ctc.paths_of((1, 1), 3, 2) == [(1, 0, 1)]


def test_enumerated_loss_of_fair_coins():
    # Three of the four equally likely paths spell the label.
    assert ctc.enumerate_loss(np.log(np.full((2, 2), 0.5)), (1,)) == pytest.approx(-np.log(0.75))


def test_enumerated_loss_of_an_impossible_target_is_infinite():
    assert ctc.enumerate_loss(np.log(np.full((2, 2), 0.5)), (1, 1)) == np.inf


def test_recursion_of_fair_coins():
    loss, by_class, by_label = ctc.forward_backward(np.log(np.full((2, 2), 0.5)), (1,))

    # At each frame two of the three paths are on the label.
    assert loss == pytest.approx(-np.log(0.75))
    np.testing.assert_allclose(by_class, [[1 / 3, 2 / 3]] * 2)
    np.testing.assert_allclose(by_label, [[2 / 3]] * 2)


@pytest.mark.parametrize("target", [(), (1,), (2, 1), (1, 1), (1, 2, 1), (2, 2, 1)])
@pytest.mark.parametrize("blank", [0, 3])
def test_recursion_equals_enumeration(rng, target, blank):
    log_probs = ctc.log_softmax(rng.normal(size=(5, 4)))

    loss, by_class, _ = ctc.forward_backward(log_probs, target, blank)

    assert loss == pytest.approx(ctc.enumerate_loss(log_probs, target, blank), rel=1e-12)
    np.testing.assert_allclose(by_class.sum(1), 1.0)


@pytest.mark.parametrize("target", [(), (1,), (2, 1), (1, 1), (2, 2, 1)])
def test_viterbi_equals_enumeration(rng, target):
    log_probs = ctc.log_softmax(rng.normal(size=(5, 3)))

    assert tuple(ctc.viterbi(log_probs, target)) == ctc.enumerate_best_path(log_probs, target)


def test_recursion_gradient_is_that_of_finite_differences(rng):
    log_probs, target, step = ctc.log_softmax(rng.normal(size=(4, 3))), (1, 2), 1e-6
    _, by_class, _ = ctc.forward_backward(log_probs, target)
    moved = log_probs.copy()
    moved[2, 1] += step

    slope = (ctc.enumerate_loss(moved, target) - ctc.enumerate_loss(log_probs, target)) / step

    assert slope == pytest.approx(-by_class[2, 1], abs=1e-5)
