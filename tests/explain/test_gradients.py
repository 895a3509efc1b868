"""Gradient, gradient times input and integrated gradients of networks that are known by heart."""

import math

import pytest
import torch

from asr.explain.gradients import (
    gradient,
    gradient_times_input,
    integrated_gradients,
    mean_baseline,
    sample_gradient,
)
from asr.explain.score import WordScore
from tests.explain.toys import Function, linear, scored

WEIGHTS = torch.tensor([[1.0, 0.0], [2.0, -1.0], [0.0, 3.0]], dtype=torch.float64)
COUNTS = torch.tensor([[0.0, 1.0, 0.0], [0.25, 0.0, 0.5]], dtype=torch.float64)


def by_hand(features):
    """dQ/dx_t = sum_k c_tk (w_k - sum_j y_tj w_j) of logits W x."""
    y = (features @ WEIGHTS.T).softmax(-1)  # (T, C)
    return torch.stack(
        [
            sum(c[k] * (WEIGHTS[k] - (row[:, None] * WEIGHTS).sum(0)) for k in range(3))
            for c, row in zip(COUNTS, y, strict=True)
        ]
    )


@pytest.fixture
def network():
    return scored(linear(WEIGHTS), score=WordScore(COUNTS))


@pytest.fixture
def features(rng):
    return torch.from_numpy(rng.normal(size=(1, 2, 2)))


def test_gradient_is_the_one_worked_out_by_hand(network, features):
    found = gradient(network, features)

    assert torch.allclose(found, by_hand(features[0]), atol=1e-12)


def test_gradient_times_input_takes_the_baseline_off(network, features):
    baseline = torch.full_like(features, 0.5)

    found = gradient_times_input(gradient(network, features), features, baseline)

    assert torch.allclose(found, (features[0] - 0.5) * by_hand(features[0]), atol=1e-12)


def test_integrated_gradients_sum_to_the_difference_of_the_scores(network, features):
    baseline = torch.full_like(features, -0.7)

    found = integrated_gradients(network, features, baseline, 1e-6, 4096)

    with torch.no_grad():
        difference = float(network(features) - network(baseline))
    assert found.relative_gap <= 1e-6
    assert float(found.attributions.sum()) == pytest.approx(difference, rel=1e-6)
    assert found.difference == pytest.approx(difference)


def test_integrated_gradients_of_a_quadratic_are_exact():
    """Q = ln y of logits (x^2 / 2, 0) would need steps; a score without softmax needs none."""

    class Second:
        network = None

        def __call__(self, features):
            return features.square().sum((1, 2)) / 2

        def gradient(self, features):
            return features

    features = torch.tensor([[[3.0, -1.0]]], dtype=torch.float64)

    found = integrated_gradients(Second(), features, torch.ones_like(features), 1e-9, 16)

    # The integral of b + u (x - b) over u is (x + b) / 2.
    assert torch.allclose(found.attributions, torch.tensor([[4.0, 0.0]], dtype=torch.float64))
    assert found.steps == 16


def test_integrated_gradients_stop_at_the_last_step_and_say_how_far_off_they_are(features):
    steep = scored(linear(50 * WEIGHTS), score=WordScore(COUNTS))

    found = integrated_gradients(steep, features, torch.zeros_like(features), 1e-12, 20)

    assert found.steps == 20
    assert found.relative_gap > 1e-12


def test_attributions_do_not_depend_on_how_steps_are_batched(network, features, monkeypatch):
    whole = integrated_gradients(network, features, mean_baseline(features), 1e-3, 64)
    monkeypatch.setattr("asr.explain.gradients.MAX_FRAMES", 3)

    parts = integrated_gradients(network, features, mean_baseline(features), 1e-3, 64)

    assert torch.allclose(whole.attributions, parts.attributions)


def test_baseline_is_the_mean_of_the_frames():
    features = torch.tensor([[[1.0, 2.0], [3.0, 6.0]]])

    assert mean_baseline(features).tolist() == [[[2.0, 4.0], [2.0, 4.0]]]


def test_gradient_goes_through_the_front_end_to_the_samples():
    """Frames of two samples: y = sigmoid of their sum, so that dQ/ds = 1 - y."""
    score = WordScore(torch.tensor([[0.0, 1.0]]))
    network = scored(linear([[0.0, 0.0], [1.0, 1.0]]), score=score)
    waveform = torch.tensor([0.3, -0.1], dtype=torch.float64)

    found = sample_gradient(network, lambda x, lengths: (x.unflatten(1, (1, 2)), None), waveform)

    assert found.tolist() == pytest.approx([1 - 1 / (1 + math.exp(-0.2))] * 2)


def test_front_end_without_a_gradient_has_no_map_of_samples():
    network = scored(linear(WEIGHTS), Function(torch.tanh), score=WordScore(COUNTS))

    found = sample_gradient(network, lambda x, lengths: (x.detach(), None), torch.zeros(4))

    assert found is None
