"""Grad-CAM of convolutions whose maps and slopes are written down."""

import pytest
import torch
from torch import nn
from waveform_networks import HOP, waveform_network

from asr.explain.class_activation import class_activation, weigh_maps
from asr.explain.recording import by_time, record, time_axes
from asr.explain.score import ScoredNetwork, WordScore
from asr.models import ClipNetwork
from tests.explain.toys import Function, linear, scored

# Map 0 has the features themselves, map 1 their opposite, both through a rectifier.
FEATURES = torch.tensor([[[2.0, -1.0], [0.0, 3.0], [-4.0, 1.0]]], dtype=torch.float64)
COUNTS = torch.zeros(3, 2, dtype=torch.float64)
COUNTS[1, 1] = 1.0


def conv(weights):
    layer = nn.Conv2d(1, len(weights), 1, bias=False, dtype=torch.float64)
    layer.weight.data[:, 0, 0, 0] = torch.tensor(weights, dtype=torch.float64)
    return layer


def network(*between, weights=(1.0, -1.0)):
    """Convolution, what follows it, and classes from the two maps, summed over bins."""
    return scored(
        Function(lambda x: x[:, None]),
        conv(weights),
        *between,
        Function(lambda x: x.sum(3).transpose(1, 2)),
        linear([[0.0, 0.0], [2.0, 0.5]]),
        score=WordScore(COUNTS),
    )


def test_map_weighs_the_rectified_channels_by_their_mean_slopes():
    score = network(nn.ReLU())

    found = class_activation(score, FEATURES)

    with torch.no_grad():
        y = score.network(FEATURES, torch.tensor([3]))[0][1, 0].softmax(-1)
    # dQ/dA_k is (1 - y) w_k at the two cells of frame 1 and 0 at the four others.
    alpha = [(1 - y[1]) * w * 2 / 6 for w in (2.0, 0.5)]
    expected = alpha[0] * FEATURES[0].clamp_min(0) + alpha[1] * (-FEATURES[0]).clamp_min(0)
    assert torch.allclose(found.values, expected)
    assert found.layer == "layers.1, rectified"


def test_convolution_without_a_rectifier_is_weighed_itself():
    found = class_activation(network(), FEATURES)

    assert found.layer == "layers.1"
    # (2 - 0.5) times the features, of which what is positive stays.
    ratio = found.values / FEATURES[0].clamp_min(0)
    assert torch.allclose(ratio[FEATURES[0] > 0], ratio[0, 0])
    assert (found.values[FEATURES[0] < 0] == 0).all()


def test_the_last_convolution_over_time_and_frequency_is_taken():
    score = scored(
        Function(lambda x: x[:, None]),
        conv([1.0, 2.0]),
        Function(lambda x: x.sum(3)),
        nn.Conv1d(2, 2, 1, dtype=torch.float64),
        Function(lambda x: x.transpose(1, 2)),
        score=WordScore(COUNTS),
    )

    assert class_activation(score, FEATURES).layer == "layers.1"


def test_a_network_over_time_alone_has_one_value_a_frame():
    score = scored(
        Function(lambda x: x.transpose(1, 2)),
        nn.Conv1d(2, 4, 1, dtype=torch.float64),
        Function(lambda x: x.transpose(1, 2)),
        linear(torch.ones(2, 4)),
        score=WordScore(COUNTS),
    )

    found = class_activation(score, FEATURES).values

    assert found.shape == (3, 2)
    assert torch.allclose(found[:, 0], found[:, 1])


def test_a_network_without_convolutions_has_no_map():
    found = class_activation(scored(linear(torch.ones(2, 2)), score=WordScore(COUNTS)), FEATURES)

    assert found == "does not apply: the network has no convolution"


def test_frames_in_the_place_of_a_batch_are_frames():
    """A network that lays frames beside each other: (N T, C, F)."""
    score = scored(
        Function(lambda x: x.flatten(0, 1)[:, None]),
        nn.Conv1d(1, 2, 1, dtype=torch.float64),
        Function(lambda x: x.mean(2)[None]),
        score=WordScore(COUNTS),
    )

    found = class_activation(score, FEATURES)

    assert found.values.shape == (3, 2)


def test_coarse_maps_are_brought_to_the_size_of_the_features():
    maps = torch.tensor([[[1.0]], [[3.0]]])  # (T', K, F')

    found = weigh_maps(maps, torch.ones(2, 1, 1), (4, 2), on_samples=False)

    assert found.tolist() == [[1.0, 1.0], [1.5, 1.5], [2.5, 2.5], [3.0, 3.0]]


def test_bins_of_filters_are_no_samples_within_a_frame():
    maps = torch.tensor([[[0.0, 2.0]], [[4.0, 6.0]]])  # (T', K, F'), means 1 and 5

    found = weigh_maps(maps, torch.ones(2, 1, 2), (2, 4), on_samples=True)

    assert found.flatten().tolist() == [1.0, 1.0, 1.5, 2.5, 3.5, 4.5, 5.0, 5.0]


@pytest.mark.parametrize("pooling", [None, "mean"])
def test_map_of_a_network_on_samples_goes_on_smoothly_from_frame_to_frame(pooling, rng):
    network = waveform_network("conv").eval()
    frames = 1 if pooling else 6
    network = ClipNetwork(network, pooling).eval() if pooling else network
    score = ScoredNetwork(network, WordScore(torch.ones(frames, 5)))
    features = torch.from_numpy(rng.normal(size=(1, 12, HOP))).float()

    found = class_activation(score, features).values.flatten()

    assert found.shape == (12 * HOP,)
    assert found.max() > 0
    # A place is of two frames: from one to the next the map climbs in as many steps.
    assert found.diff().abs().max() <= 1.01 * found.max() / (2 * HOP)


def axes_of(network, choose):
    return time_axes(record(network, FEATURES, choose), network, FEATURES, choose)


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 1, 3, 2)])
def test_time_is_the_axis_that_grows(axes):
    score = scored(
        Function(lambda x: x[:, None].permute(axes)),
        conv([1.0]),
        Function(lambda x: x.permute(axes)[:, 0]),
        score=WordScore(COUNTS),
    )

    assert axes_of(score.network, lambda _, module: isinstance(module, nn.Conv2d)) == [
        axes.index(2)
    ]


def test_output_that_does_not_follow_time_has_no_axis():
    score = scored(Function(lambda x: x[:, :3]), linear(torch.ones(2, 2)), score=WordScore(COUNTS))

    assert axes_of(score.network, lambda name, _: name == "layers.1") == [None]


def test_layouts_become_frames_first():
    output = torch.arange(24.0).reshape(1, 2, 3, 4)

    assert by_time(output, 2, 1).shape == (3, 2, 4)
    assert by_time(output, 3, 1).shape == (4, 2, 3)
    assert by_time(output.expand(5, 2, 3, 4), 2, 1) is None
