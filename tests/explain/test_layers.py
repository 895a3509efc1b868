"""Layers, weights and filters against what they are made of."""

import math

import numpy as np
import pytest
import tones
import torch
from torch import nn

from asr.explain.filters import describe_filters, learnt_filters
from asr.explain.layers import MOST_LAYERS, layer_names, layer_outputs
from asr.explain.weights import describe_weights
from tests.explain.toys import Function, Toy, linear


def test_layers_of_a_network_are_its_lists_entries_and_what_stands_beside_them():
    assert layer_names(tones.untrained_model().network) == {
        "convs.0", "convs.1", "layers.0", "norm", "linear",
    }  # fmt: skip


def test_layers_below_another_network_are_found():
    outer = Toy()
    outer.filters = nn.Conv1d(1, 2, 3)
    outer.body = tones.untrained_model().network

    assert {"filters", "body.convs.0", "body.linear"} <= layer_names(outer)


def test_outputs_of_layers_are_frames_first(rng):
    network = tones.untrained_model().network.eval()
    features = torch.from_numpy(rng.normal(size=(1, 30, 16))).float()

    layers = layer_outputs(network, features)

    shapes = {output.name: tuple(output.values.shape) for output in layers.outputs}
    assert shapes == {
        "convs.0": (15, 4, 8),
        "convs.1": (8, 8, 4),
        "layers.0": (8, 32),
        "norm": (8, 32),
        "linear": (8, 6),
    }


def test_of_a_deep_network_some_layers_are_kept(rng):
    network = Toy(*(linear(np.eye(3)) for _ in range(40)))
    features = torch.from_numpy(rng.normal(size=(1, 5, 3)))

    layers = layer_outputs(network, features)

    assert layers.num_layers == 40
    assert len(layers.outputs) == MOST_LAYERS
    assert [layers.outputs[place].name for place in (0, -1)] == ["layers.0", "layers.39"]


def test_singular_values_and_rank_of_known_matrices():
    network = Toy(linear(np.diag([3.0, 4.0])), linear(np.zeros((2, 2))), linear(np.eye(5)))

    diagonal, zeros, identity = describe_weights(network)

    assert diagonal.singular_values.tolist() == pytest.approx([4.0, 3.0])
    shares = np.array([4, 3]) / 7
    assert diagonal.effective_rank == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    assert zeros.effective_rank == 0.0
    assert identity.effective_rank == pytest.approx(5.0)
    assert (diagonal.mean, diagonal.counts.sum()) == (1.75, 4)
    assert diagonal.shape == (2, 2)


def test_filters_are_sorted_by_the_frequency_where_they_are_loudest():
    times = torch.arange(200) / 8000
    wanted = [3000.0, 500.0, 1500.0]
    taps = torch.stack([torch.cos(2 * math.pi * f * times) for f in wanted])

    found = describe_filters("bank", taps, 8000)

    assert found.centres == pytest.approx(sorted(wanted), abs=20)
    assert found.magnitudes.max(1) == pytest.approx(1.0)
    assert found.frequencies[found.magnitudes.argmax(1)] == pytest.approx(found.centres)
    # Evenly spaced in mel, 1127 ln(1 + f / 700), up to 4000 Hz.
    mels = 1127 * np.log1p(found.mel_centres / 700)
    assert mels == pytest.approx(1127 * np.log1p(4000 / 700) * np.array([0.25, 0.5, 0.75]))


def test_filters_over_samples_are_found_by_what_they_are():
    class Bank(nn.Module):
        def impulse_responses(self):
            return torch.eye(20)[:3]

    over_samples = nn.Conv1d(1, 5, 32)
    assert learnt_filters(Toy(Function(torch.tanh), Bank()), 8000).name == "layers.1"
    assert learnt_filters(Toy(over_samples), 8000).centres.shape == (5,)
    assert learnt_filters(Toy(nn.Conv1d(1, 5, 3), nn.Conv1d(40, 5, 32)), 8000) is None
    assert learnt_filters(tones.untrained_model().network, 8000) is None
