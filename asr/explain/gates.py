"""How open the gates of a recurrent cell are over time, and what it holds."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from asr.explain.recording import record
from asr.models import Network
from asr.models.cells import LoopedLSTM, gates_over_time

GATED = (nn.LSTM, LoopedLSTM, nn.GRU)


class CellStates(NamedTuple):
    """What a layer's cells do over time.

    Attributes:
        name: of the layer in the network.
        cell: its class.
        gates: by what they are, (T, H) each, in [0, 1].
        state: (T, H) in [-1, 1], what the gates let through and keep.
        state_name: what the state is.
    """

    name: str
    cell: str
    gates: dict[str, Tensor]
    state: Tensor
    state_name: str


def cell_states(network: Network, features: Tensor) -> CellStates | None:
    """Follow the first layer with gates that a network calls on features (1, T, F).

    Of several layers or directions in one module it is the first; None where no cell has gates.
    """
    calls = record(network, features, lambda _, module: isinstance(module, GATED))
    if not calls:
        return None
    name, layer, inputs, _ = calls[0]
    assert isinstance(layer, GATED)
    x = inputs if getattr(layer, "batch_first", False) else inputs.transpose(0, 1)  # (1, T, F)
    gates, state, state_name = follow_cells(layer, x[0])
    shown = {gate: values.cpu() for gate, values in gates.items()}
    return CellStates(name, type(layer).__name__, shown, state.cpu(), state_name)


def follow_cells(
    layer: nn.LSTM | LoopedLSTM | nn.GRU, x: Tensor
) -> tuple[dict[str, Tensor], Tensor, str]:
    """Run a layer over (T, F) from a state of zero: its gates and its state, (T, H) each."""
    if isinstance(layer, nn.GRU):
        reset, update, hidden = gru_gates(layer, x)
        named = {"reset gate": reset, "update gate (1 keeps the state)": update}
        return named, hidden, "state, which is the output"
    found = gates_over_time(layer, x[:, None])
    named = {"input gate": found.input, "forget gate": found.forget, "output gate": found.output}
    gates = {gate: values[:, 0] for gate, values in named.items()}
    return gates, found.cell[:, 0].tanh(), "cell, as its output sees it (tanh)"


@torch.no_grad()
def gru_gates(layer: nn.GRU, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute r, z and h of a GRU's first layer and direction over (T, F): (T, H) each.

        r_t = sigmoid(W_r x_t + R_r h_{t-1} + b_r)
        z_t = sigmoid(W_z x_t + R_z h_{t-1} + b_z)
        h_t = (1 - z_t) tanh(W_n x_t + b_n + r_t (R_n h_{t-1} + b'_n)) + z_t h_{t-1}

    Source: Cho et al. 2014 (arXiv:1406.1078), equations 5-8, as `nn.GRU` has them: r_t stands
    behind R_n.
    """
    weights = dict(layer.named_parameters())
    bias_ih, bias_hh = weights.get("bias_ih_l0"), weights.get("bias_hh_l0")
    hidden = x.new_zeros(layer.hidden_size)
    frames = []
    for frame in nn.functional.linear(x, weights["weight_ih_l0"], bias_ih):
        before = nn.functional.linear(hidden, weights["weight_hh_l0"], bias_hh)
        of_input, of_state = frame.chunk(3), before.chunk(3)
        reset, update = (torch.sigmoid(of_input[k] + of_state[k]) for k in (0, 1))
        hidden = torch.lerp(torch.tanh(of_input[2] + reset * of_state[2]), hidden, update)
        frames.append((reset, update, hidden))
    reset, update, hidden = (torch.stack(values) for values in zip(*frames, strict=True))
    return reset, update, hidden
