"""Colours of maps, and pictures of what no model of these tests has: samples, learnt filters."""

import numpy as np
import pytest
import torch

from asr.evaluation.figures import MOST_LABELS, draw_labels
from asr.explain.charts import draw_responses
from asr.explain.figures import (
    AMBER,
    BLUE,
    GREYS,
    Scene,
    columns,
    draw_scene,
    full_colour,
    overlay,
    shades,
)
from asr.explain.filters import describe_filters
from asr.explain.methods import METHODS, SaliencyMap
from asr.recognition.transcripts import TimedWord


def test_a_map_is_grey_where_it_is_nothing_and_full_where_it_is_largest():
    energies = np.array([[0.0, 1.0], [0.0, 1.0]])
    values = np.array([[0.0, 0.0], [2.0, -2.0]])

    signed, unsigned = (overlay(energies, values, signed=s) for s in (True, False))

    assert signed.shape == (2, 2, 3)  # bins first, as pictures have them
    assert signed[0, 0] == pytest.approx([GREYS[0]] * 3)
    assert signed[1, 0] == pytest.approx([GREYS[1]] * 3)
    assert signed[0, 1] == pytest.approx(AMBER)
    assert signed[1, 1] == pytest.approx(BLUE)
    assert unsigned[1, 1] == pytest.approx(AMBER)


def test_a_map_of_zeros_and_silence_can_be_drawn():
    found = overlay(np.zeros((3, 2)), np.zeros((3, 2)), signed=True)

    assert found == pytest.approx(GREYS[0])
    assert full_colour(np.zeros(4)) == 1.0
    assert full_colour(np.array([0.0] * 999 + [3.0])) == 3.0


def test_a_waveform_becomes_the_least_and_greatest_of_stretches():
    low, high = columns(np.array([1.0, -2.0, 5.0, 0.0, 3.0, 4.0]), 3)

    assert (low.tolist(), high.tolist()) == ([-2.0, 0.0, 3.0], [1.0, 5.0, 4.0])
    assert columns(np.arange(2.0), 100)[0].tolist() == [0.0, 1.0]


def test_zero_is_in_the_middle_of_the_colours_of_both_signs():
    assert shades(np.array([-1.0, 3.0])) == {"cmap": "PuOr", "vmin": -3.0, "vmax": 3.0}
    assert shades(np.array([0.0, 3.0])) == {"cmap": "viridis", "vmin": 0.0, "vmax": 3.0}
    assert shades(np.zeros(2))["vmax"] == 1.0


def test_maps_of_samples_are_drawn_over_samples(rng):
    """Eight frames of five samples, of a recording whose last frame is not full."""
    word = TimedWord("<&>", 0.1, 0.3, 1.0)
    scene = Scene(
        duration_s=0.38,
        waveform=rng.normal(size=38),
        energies=rng.normal(size=(8, 3)),
        bins="band",
        posteriors=rng.dirichlet(np.ones(3), size=4),
        output_frame_s=0.1,
        tokens=["<blank>", "a", "b"],
        words=[word],
        chosen=[word],
        over_samples=True,
    )
    values = np.zeros((8, 5))
    values[2, 1] = -4.0

    svg = draw_scene(scene, [SaliencyMap(METHODS["integrated_gradients"], values)], None)

    assert "highest: 4 nats" in svg
    assert svg.count("<image") == 1  # the spectrogram alone
    assert "&lt;&amp;&gt;" in svg


def test_learnt_filters_are_drawn_beside_the_mel_scale():
    svg = draw_responses(describe_filters("bank", torch.eye(32)[:4], 8000))

    assert "learnt" in svg
    assert "mel" in svg


def test_of_many_labels_the_most_probable_and_the_chosen_are_drawn():
    probabilities = np.arange(30.0, 0.0, -1.0) / 465
    tokens = ["<blank>", *(f"\u2581label{n}$" for n in range(1, 30))]

    svg = draw_labels(probabilities, tokens, {25})

    drawn = [n for n in range(1, 30) if f">label{n}$<" in svg]
    assert drawn == [*range(1, MOST_LABELS), 25]
    assert ">none of the labels<" in svg
    assert f">{100 * 5 / 465:.2g} %<" in svg
