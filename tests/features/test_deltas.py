import numpy as np
import pytest
import torch
import torchaudio
from oracles.features import kaldi_deltas

from asr.features.deltas import add_deltas, splice

LENGTHS = torch.tensor([12, 7, 2, 1, 0])


def features_and_rows(size=3):
    torch.manual_seed(0)
    features = torch.randn(len(LENGTHS), 12, size, dtype=torch.float64)
    rows = [features[n, :length].clone() for n, length in enumerate(LENGTHS)]
    for n, length in enumerate(LENGTHS):
        features[n, length:] = float("nan")  # padding must not matter
    return features, rows


@pytest.mark.parametrize("order", [1, 2])
def test_deltas_of_every_utterance_equal_the_oracle(order):
    features, rows = features_and_rows()

    result = add_deltas(features, LENGTHS, order)

    assert result.shape == (5, 12, 3 * (1 + order))
    for n, row in enumerate(rows[:-1]):
        expected = kaldi_deltas(row.numpy(), order)
        np.testing.assert_allclose(result[n, : len(row)], expected, atol=1e-12)


def test_first_deltas_equal_torchaudio_on_each_utterance():
    features, rows = features_and_rows()

    result = add_deltas(features, LENGTHS, 1)

    for n, row in enumerate(rows[:-1]):
        expected = torchaudio.functional.compute_deltas(row.T).T
        torch.testing.assert_close(result[n, : len(row), 3:], expected)


def test_second_deltas_equal_torchaudio_away_from_the_ends():
    # There Kaldi holds the features still, torchaudio their deltas.
    features, rows = features_and_rows()

    result = add_deltas(features, LENGTHS, 2)[0, :, 6:]

    twice = torchaudio.functional.compute_deltas(torchaudio.functional.compute_deltas(rows[0].T)).T
    torch.testing.assert_close(result[2:10], twice[2:10])
    assert not torch.allclose(result, twice)


def test_order_zero_adds_nothing():
    features, _ = features_and_rows()

    assert add_deltas(features, LENGTHS, 0) is features


def test_splice_joins_frames_in_order_of_time_and_repeats_the_outermost():
    frames = torch.arange(1.0, 5.0).view(1, 4, 1).repeat(2, 1, 2)
    frames[1, 2:] = float("nan")

    joined = splice(frames, torch.tensor([4, 2]), 2)[..., ::2]

    assert joined[0].tolist() == [
        [1, 1, 1, 2, 3],
        [1, 1, 2, 3, 4],
        [1, 2, 3, 4, 4],
        [2, 3, 4, 4, 4],
    ]
    assert joined[1, :2].tolist() == [[1, 1, 1, 2, 2], [1, 1, 2, 2, 2]]


def test_splice_keeps_the_features_of_a_frame_together():
    frames = torch.tensor([[[1.0, 10.0], [2.0, 20.0]]])

    assert splice(frames, torch.tensor([2]), 1)[0, 0].tolist() == [1, 10, 1, 10, 2, 20]


def test_context_longer_than_the_utterance_repeats_its_frames():
    joined = splice(torch.tensor([[[7.0]]]), torch.tensor([1]), 3)

    assert joined.tolist() == [[[7.0] * 7]]


@pytest.mark.parametrize(
    "change", [lambda x: add_deltas(x, LENGTHS[:2], 2), lambda x: splice(x, LENGTHS[:2], 2)]
)
def test_no_frames_stay_none(change):
    assert change(torch.zeros(2, 0, 3)).shape[:2] == (2, 0)
