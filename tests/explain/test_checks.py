"""The checks of sanity themselves, and that maps of a trained network stand them."""

import numpy as np
import pytest
import tones
import torch
from torch import nn

from asr.evaluation.ranks import ranks
from asr.explain.deletion import SHARES, area_under, curve, delete_frames, without
from asr.explain.methods import METHODS, SaliencyMap, compute_integral, compute_maps
from asr.explain.randomisation import (
    randomise,
    randomise_maps,
    rank_correlation,
    stages_of,
)
from asr.explain.score import ScoredNetwork, WordScore, score_of
from tests.explain.toys import linear, scored

TEXT = "bad cab"


@pytest.fixture(scope="module")
def trained():
    """A network that reads tones, its features of a text, its maps of the second word."""
    model = tones.trained_model()
    waveform = torch.from_numpy(tones.speak(TEXT, np.random.default_rng(5)))[None]
    lengths = torch.tensor([waveform.shape[1]])
    log_probs = model.log_probs(waveform, lengths)[0][0]
    features = model.features(waveform, lengths)[0]
    score = ScoredNetwork(
        model.network, score_of(log_probs, model.tokenizer.encode(TEXT), [4, 5, 6])
    )
    _, integral = compute_integral(score, features, 0.05, 128)
    return score, features, compute_maps(score, features) | {"integrated_gradients": integral}


def test_deleted_frames_become_the_mean_and_the_others_stay():
    features = torch.tensor([[[1.0], [2.0], [6.0]]])

    found = without(features, [np.array([], int), np.array([2, 0])])

    assert found[..., 0].tolist() == [[1.0, 2.0, 6.0], [3.0, 2.0, 3.0]]


def test_area_of_a_curve():
    assert area_under(np.array([0.0, 0.5, 1.0]), np.array([1.0, 0.0, 0.0])) == 0.25


def test_a_network_that_uses_one_frame_falls_with_it():
    counts = torch.zeros(10, 2, dtype=torch.float64)
    counts[3, 1] = 1.0
    score = scored(linear([[0.0], [1.0]]), score=WordScore(counts))
    features = torch.zeros(1, 10, 1, dtype=torch.float64)
    features[0, 3] = 50.0
    first = np.array([3, *(t for t in range(10) if t != 3)])

    early, late = curve(score, features, first), curve(score, features, first[::-1])

    gone = 1 / (1 + np.exp(-5.0))  # the mean of the frames is 5
    assert early == pytest.approx(np.where(np.rint(10 * SHARES) >= 1, gone, 1.0))
    assert late == pytest.approx(np.where(SHARES == 1, gone, 1.0))


def test_salient_frames_of_signed_maps_are_those_that_add():
    values = np.array([[-5.0, 1.0], [2.0, 1.0]])
    signed, unsigned = METHODS["integrated_gradients"], METHODS["gradient"]

    assert SaliencyMap(signed, values).per_frame().tolist() == [-4.0, 3.0]
    assert SaliencyMap(unsigned, values).per_frame().tolist() == [6.0, 3.0]


@pytest.mark.parametrize(
    ("values", "expected"), [([3, 1, 2], [2, 0, 1]), ([5, 5, 1, 9], [1.5, 1.5, 0, 3]), ([7], [0])]
)
def test_equal_values_share_a_rank(values, expected):
    assert ranks(np.array(values)).tolist() == expected


def test_rank_correlation_of_known_orders():
    first = np.array([[1.0, 2.0], [3.0, 4.0]])

    assert rank_correlation(first, np.exp(first)) == pytest.approx(1.0)
    assert rank_correlation(first, -first) == pytest.approx(-1.0)
    # Of ranks 0 1 2 3 and 1 0 2 3: 1 - 6 * 2 / (4 * 15).
    assert rank_correlation(first, np.array([[2.0, 1.0], [3.0, 4.0]])) == pytest.approx(0.8)
    assert np.isnan(rank_correlation(first, np.ones((2, 2))))


def test_random_weights_keep_mean_and_deviation_and_spare_the_others():
    network = nn.Sequential(nn.Linear(200, 50), nn.Linear(50, 3))
    network[0].weight.data.mul_(3).add_(0.5)
    before = [p.detach().clone() for p in network.parameters()]

    randomise(network, ["0"], torch.Generator().manual_seed(1))

    after = [p.detach() for p in network.parameters()]
    assert rank_correlation(before[0].numpy(), after[0].numpy()) < 0.05
    assert float(after[0].mean()) == pytest.approx(float(before[0].mean()), abs=0.01)
    assert float(after[0].std()) == pytest.approx(float(before[0].std()), rel=0.02)
    assert torch.equal(after[2], before[2])


def test_stages_go_from_the_output_down_through_every_module_in_use(trained):
    score, features, _ = trained

    stages = stages_of(score.network, features)

    names = [name for stage in stages for name in stage]
    assert len(stages) == 6
    assert (names[0], names[-1]) == ("linear", "convs.0.conv")
    assert len(names) == len(set(names)) == 8


def test_salient_frames_hurt_the_word_more_than_random_ones(trained):
    score, features, maps = trained

    found = delete_frames(score, features, maps, draws=8, seed=1)

    random = found.random_areas()
    assert found.curves["gradient"][0] > 0.9
    for name in ("gradient", "gradient_times_input", "integrated_gradients"):
        assert found.area(name) < 0.5 * random.mean()
        assert found.area(name) < random.min()


def test_random_weights_destroy_the_maps_and_the_network_stays_as_it_was(trained):
    score, features, maps = trained
    before = [p.detach().clone() for p in score.network.parameters()]
    taken = score.score.weights.sum(1).numpy() > 0.01
    frames = np.repeat(taken, 4)[: features.shape[1]]  # an output frame is of four

    found = randomise_maps(score, features, maps, frames, seed=1)

    assert set(found.correlations) == set(METHODS)
    assert len(found.stages) == 6
    for name, correlations in found.correlations.items():
        # Flat maps have no correlation; what else is left is what any two networks share.
        assert not correlations[-1] > 0.6, name
    assert abs(found.correlations["gradient"][-1]) < 0.35
    assert abs(found.correlations["deconvolution"][-1]) < 0.35
    assert np.isnan(found.correlations["integrated_gradients"][:-1]).all()
    assert all(torch.equal(a, b) for a, b in zip(before, score.network.parameters(), strict=True))
