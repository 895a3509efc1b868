"""The score of a word against every alignment of its text."""

import itertools

import numpy as np
import pytest
import torch

from asr.ctc import ctc_loss
from asr.explain.score import WordScore, score_of
from tests.explain.toys import linear, scored
from tests.oracles.ctc import paths_of


def random_log_probs(rng, frames, classes):
    return torch.from_numpy(rng.normal(size=(frames, classes))).log_softmax(-1)


def places_on(path):
    """For each frame of a path, which label of its text it belongs to; None at a blank."""
    places, last = [], -1
    for t, k in enumerate(path):
        if k != 0 and (t == 0 or path[t - 1] != k):
            last += 1
        places.append(None if k == 0 else last)
    return places


def score_by_enumeration(log_probs, labels, places):
    """Mean over all alignments of the summed log-probability of the word's frames."""
    y = log_probs.numpy()
    total = weight = 0.0
    for path in paths_of(labels, len(y), y.shape[1]):
        p = np.exp(sum(y[t, k] for t, k in enumerate(path)))
        on = places_on(path)
        total += p * sum(y[t, path[t]] for t in range(len(y)) if on[t] in places)
        weight += p
    return total / weight


@pytest.mark.parametrize(
    ("labels", "places"),
    [([1, 2, 1], [0]), ([1, 2, 1], [1, 2]), ([1, 1], [1]), ([2], [0]), ([1, 2, 1], [0, 1, 2])],
)
def test_score_of_a_word_equals_enumeration(labels, places, rng):
    for frames in (4, 5):
        log_probs = random_log_probs(rng, frames, 3)

        found = score_of(log_probs, labels, places)(log_probs[None])

        expected = score_by_enumeration(log_probs, labels, places)
        assert float(found) == pytest.approx(expected, rel=1e-5)


def test_gradients_of_words_and_blanks_add_up_to_that_of_the_text(rng):
    labels = [1, 2, 2, 3]
    log_probs = random_log_probs(rng, 8, 4)
    words = [score_of(log_probs, labels, places).weights for places in ([0, 1], [2], [3])]
    variable = log_probs.clone().requires_grad_()
    ctc_loss(variable, labels, [8], [4], reduction="sum").backward()

    parts = torch.stack(words).sum(0)
    blanks = torch.zeros_like(parts)
    blanks[:, 0] = 1 - parts.sum(1)

    assert torch.allclose((parts + blanks).double(), -variable.grad, atol=1e-6)


def test_number_of_frames_and_probability(rng):
    # One alignment only: frame by frame the labels themselves.
    log_probs = random_log_probs(rng, 3, 4)
    score = score_of(log_probs, [1, 2, 3], [0, 2])

    assert score.num_frames == pytest.approx(2.0)
    mean = (log_probs[0, 1] + log_probs[2, 3]) / 2
    assert float(score.probability(score(log_probs[None]))) == pytest.approx(float(mean.exp()))


def test_rows_of_a_batch_have_scores_of_their_own(rng):
    weights = torch.from_numpy(rng.random((2, 3)))
    rows = torch.from_numpy(rng.normal(size=(4, 2, 3)))

    found = WordScore(weights)(rows)

    assert torch.allclose(found, torch.stack([(weights * row).sum() for row in rows]))


def test_scored_network_scores_each_of_a_batch_by_its_own_features(rng):
    score = WordScore(torch.tensor([[0.0, 1.0], [0.5, 0.0]]))
    network = scored(linear([[1.0, 0.0], [0.0, 1.0]]), score=score)
    features = torch.from_numpy(rng.normal(size=(3, 2, 2)))

    together = network(features)
    slopes = network.gradient(features)

    for one, total, slope in zip(features, together, slopes, strict=True):
        assert torch.allclose(network(one[None])[0], total)
        assert torch.allclose(network.gradient(one[None])[0], slope)


def test_paths_know_their_labels():
    assert places_on((1, 1, 0, 1, 2)) == [0, 0, None, 1, 2]
    assert all(len(places_on(p)) == 3 for p in itertools.product(range(2), repeat=3))
