"""Attention with relative positions against its equation, frame by frame, in float64."""

import math

import pytest
import torch

from asr.models.attention import RelativeAttention, align_distances, sinusoids


def encoded(distance, size):
    """R_m by its definition."""
    row = []
    for c in range(size // 2):
        angle = distance / 10000 ** (2 * c / size)
        row += [math.sin(angle), math.cos(angle)]
    return torch.tensor(row, dtype=torch.float64)


def attend_slowly(layer, x, length):
    """y_i of one utterance (T, H), one head and one pair of frames at a time."""
    size = x.shape[-1]
    d = size // layer.num_heads
    y = torch.zeros(length, size, dtype=torch.float64)
    for head in range(layer.num_heads):
        part = slice(head * d, (head + 1) * d)
        a, b = layer.content_bias[head, 0], layer.position_bias[head, 0]
        for i in range(length):
            q = layer.query(x[i])[part]
            scores = []
            for j in range(length):
                k = layer.key(x[j])[part]
                r = layer.position(encoded(i - j, size))[part]
                scores.append(((q + a) @ k + (q + b) @ r) / math.sqrt(d))
            weights = torch.stack(scores).softmax(0)
            y[i, part] = sum(weights[j] * layer.value(x[j])[part] for j in range(length))
    return layer.out(y)


@pytest.fixture
def layer():
    torch.manual_seed(0)
    layer = RelativeAttention(6, num_heads=3, dropout=0.0).double()
    with torch.no_grad():
        layer.content_bias.normal_()
        layer.position_bias.normal_()
    return layer


@torch.no_grad()
def test_attention_equals_its_equation(layer):
    x, lengths = torch.randn(3, 7, 6).double(), torch.tensor([7, 4, 1])

    y = layer(x, lengths, sinusoids(7, x))

    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(y[row, :length], attend_slowly(layer, x[row], length))


@torch.no_grad()
def test_padding_is_not_attended_to(layer):
    x, lengths = torch.randn(2, 7, 6).double(), torch.tensor([7, 3])
    expected = layer(x, lengths, sinusoids(7, x))
    x[1, 3:] = 1e6

    y = layer(x, lengths, sinusoids(7, x))

    torch.testing.assert_close(y[1, :3], expected[1, :3], rtol=0, atol=0)


def test_utterance_without_speech_gives_numbers_and_gradients(layer):
    x = torch.randn(2, 4, 6).double().requires_grad_()

    y = layer(x, torch.tensor([0, 4]), sinusoids(4, x))
    y[1].sum().backward()

    assert y.isfinite().all()
    assert x.grad.isfinite().all()
    assert (x.grad[0] == 0).all()


@pytest.mark.parametrize("frames", [1, 2, 3, 6])
def test_distances_are_aligned_as_their_index_says(frames):
    places = torch.randn(2, frames, 2 * frames - 1)

    y = align_distances(places, places.shape[-2])

    for i in range(frames):
        for j in range(frames):
            assert torch.equal(y[:, i, j], places[:, i, frames - 1 - i + j])


def test_sinusoids_are_those_of_each_distance():
    table = sinusoids(4, torch.zeros(1, 6, dtype=torch.float64))

    for row, distance in enumerate([3, 2, 1, 0, -1, -2, -3]):
        torch.testing.assert_close(table[row], encoded(distance, 6))
