"""The oracles of cells on cases worked out by hand."""

from math import log, tanh

import pytest
import torch

from tests.oracles import cells

# sigmoid(ln 3) = 3/4, sigmoid(-ln 3) = 1/4, tanh(ln 2) = 3/5
UP, DOWN, CANDIDATE = log(3.0), -log(3.0), log(2.0)


def one_unit(**values):
    return {gate: torch.tensor([float(value)]) for gate, value in values.items()}


def matrices(**values):
    return {gate: torch.tensor([[float(value)]]) for gate, value in values.items()}


def run(oracle, x, first, *weights):
    x = torch.tensor([float(value) for value in x]).view(-1, 1, 1)
    result = oracle(x, torch.zeros(1, 1), torch.tensor([[float(first)]]), *weights)
    return {key: value.flatten().tolist() for key, value in result.items()}


def test_peephole_lstm_of_two_frames():
    found = run(
        cells.peephole_lstm, [1.0, 0.0], 0.0,
        matrices(i=UP, f=0, g=CANDIDATE, o=0), matrices(i=0, f=0, g=0, o=0),
        one_unit(i=0, f=0, g=0, o=0), one_unit(i=DOWN / 0.45, f=UP / 0.45, g=0, o=UP / 0.45),
    )  # fmt: skip

    # Frame 1: no cell before, c = 3/4 * 3/5. Frame 2: the peepholes alone, and no candidate.
    assert found["i"] == pytest.approx([0.75, 0.25])
    assert found["f"] == pytest.approx([0.5, 0.75])
    assert found["g"] == pytest.approx([0.6, 0.0])
    assert found["c"] == pytest.approx([0.45, 0.75 * 0.45])
    # The output gate sees the cell of its own frame, which in frame 2 is 3/4 as large.
    assert found["o"] == pytest.approx([0.75, 3**0.75 / (1 + 3**0.75)])
    assert found["h"][0] == pytest.approx(0.75 * tanh(0.45))


def test_coupled_lstm_forgets_what_it_takes_in():
    found = run(
        cells.coupled_lstm, [1.0], 0.2,
        matrices(i=UP, g=CANDIDATE, o=DOWN), matrices(i=0, g=0, o=0), one_unit(i=0, g=0, o=0),
    )  # fmt: skip

    assert found["f"] == pytest.approx([0.25])
    assert found["c"] == pytest.approx([0.25 * 0.2 + 0.75 * 0.6])
    assert found["h"] == pytest.approx([0.25 * tanh(0.5)])


def test_output_before_reaches_every_gate():
    found = run(
        cells.coupled_lstm, [1.0, 0.0], 0.0,
        matrices(i=0, g=CANDIDATE, o=0), matrices(i=2, g=3, o=5), one_unit(i=0, g=0, o=0),
    )  # fmt: skip

    h = 0.5 * tanh(0.3)
    assert found["h"][0] == pytest.approx(h)
    assert found["g"][1] == pytest.approx(tanh(3 * h))
    assert found["i"][1] == pytest.approx(0.5 + 0.5 * tanh(h))
    assert found["o"][1] == pytest.approx(0.5 + 0.5 * tanh(2.5 * h))


def test_irnn_of_the_identity_sums_until_it_is_negative():
    x = torch.tensor([1.0, 2.0, -4.0, 0.5]).view(-1, 1, 1)

    found = cells.irnn(x, torch.zeros(1, 1), torch.eye(1), torch.eye(1), torch.zeros(1))

    assert found["h"].flatten().tolist() == [1.0, 3.0, 0.0, 0.5]
