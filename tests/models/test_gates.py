"""Gates over time, against the equations and against what the layers give."""

import pytest
import torch
from recurrent_layers import LSTMS, F, H, N, T, as_lstm, inputs, make, oracle
from torch import nn

from asr.models.blocks import RecurrentBlock
from asr.models.cells import CoupledLSTM, PeepholeLSTM, gates_over_time

ZERO = torch.zeros(1, N, H, dtype=torch.float64)
NAMES = {"input": "i", "forget": "f", "candidate": "g", "output": "o", "cell": "c", "hidden": "h"}


def assert_gates(found, expected):
    for name, key in NAMES.items():
        gate = getattr(found, name)
        assert gate.shape == (T, N, H)
        torch.testing.assert_close(gate, expected[key], rtol=0, atol=1e-13)


@pytest.mark.parametrize("layer", LSTMS)
def test_gates_are_those_of_the_equations(layer):
    layer, (x, _) = make(layer), inputs()

    assert_gates(gates_over_time(layer, x), oracle(layer, x, (ZERO, ZERO)))


def test_gates_of_pytorch_s_lstm_are_those_of_the_equations():
    layer, (x, _) = make(PeepholeLSTM), inputs()
    lstm = as_lstm(layer)

    gates = gates_over_time(lstm, x)

    assert_gates(gates, oracle(layer, x, (ZERO, ZERO)))
    torch.testing.assert_close(gates.hidden, lstm(x)[0], rtol=0, atol=1e-13)


def test_coupled_gates_share_one():
    layer, (x, _) = make(CoupledLSTM), inputs()

    gates = gates_over_time(layer, x)

    assert torch.equal(gates.forget, 1 - gates.input)


def test_both_biases_of_pytorch_s_lstm_count():
    torch.manual_seed(0)
    x = torch.randn(T, N, F)
    for lstm in (nn.LSTM(F, H), nn.LSTM(F, H, bias=False)):
        torch.testing.assert_close(gates_over_time(lstm, x).hidden, lstm(x)[0])


@pytest.mark.parametrize("cell", ["lstm", "lstm_peephole", "lstm_coupled"])
def test_gates_of_a_block_s_layers_are_of_what_they_read(cell):
    block, seen = RecurrentBlock(F, H, cell, bidirectional=True, norm="batch").eval(), []
    for layer in (block.forwards, block.backwards):
        layer.register_forward_hook(lambda layer, args, result: seen.append((*args, result[0])))

    block(torch.randn(T, 2, F), torch.tensor([T, 2]))

    for layer, (x, hidden) in zip((block.forwards, block.backwards), seen, strict=True):
        torch.testing.assert_close(gates_over_time(layer, x).hidden, hidden)
