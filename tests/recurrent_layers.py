"""Recurrent layers with weights that make their gates work, and their oracles."""

import torch
from torch import nn

from asr.models.cells import CoupledLSTM, IdentityRNN, PeepholeLSTM
from tests.oracles import cells

# Of no size that the kernels' tiles of 4 and parts of 8 rows divide.
T, N, F, H = 4, 11, 3, 6
LSTMS = [PeepholeLSTM, CoupledLSTM]
LAYERS = [*LSTMS, IdentityRNN]
GATES = {PeepholeLSTM: "ifgo", CoupledLSTM: "igo"}


def make(layer, dtype=torch.float64, input_size=F, hidden_size=H):
    """Weights of order one: gates that are neither open nor shut."""
    torch.manual_seed(0)
    made = layer(input_size, hidden_size).to(dtype)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made


def inputs(num_frames=T, num_rows=N, dtype=torch.float64):
    """Inputs and a state, all with gradients."""
    torch.manual_seed(1)
    x, h, c = (
        torch.randn(length, num_rows, size, dtype=dtype, requires_grad=True)
        for length, size in ((num_frames, F), (1, H), (1, H))
    )
    return x, (h, c)


def by_gate(layer, values):
    return dict(zip(GATES[type(layer)], values.chunk(layer.num_gates), strict=True))


def oracle(layer, x, state):
    """Every gate of an LSTM by its equations, differentiably."""
    weights = [by_gate(layer, w) for w in (layer.weight_ih, layer.weight_hh, layer.bias)]
    if isinstance(layer, CoupledLSTM):
        return cells.coupled_lstm(x, state[0][0], state[1][0], *weights)
    peepholes = dict(zip("ifo", layer.peepholes, strict=True))
    return cells.peephole_lstm(x, state[0][0], state[1][0], *weights, peepholes)


def as_lstm(layer):
    """An `nn.LSTM` with the weights of a layer, whose peepholes are set to zero."""
    nn.init.zeros_(layer.peepholes)
    lstm = nn.LSTM(F, H).to(layer.bias.dtype)
    state = {
        "weight_ih_l0": layer.weight_ih, "weight_hh_l0": layer.weight_hh,
        "bias_ih_l0": layer.bias, "bias_hh_l0": torch.zeros_like(layer.bias),
    }  # fmt: skip
    lstm.load_state_dict(state)
    return lstm
