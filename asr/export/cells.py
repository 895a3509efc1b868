"""Recurrent layers whose loop over time stays a loop in an exported graph.

A trace unrolls a Python loop to the length of its example. What TorchScript compiles stays as it
is written, and becomes a Loop in ONNX.
"""

import torch
from torch import Tensor, nn

from asr.models.cells import CoupledLSTM, PeepholeLSTM
from asr.models.clipped_rnn import ClippedRNN


def clipped_loop(projected: Tensor, weight: Tensor) -> Tensor:
    """h_t = min(max(x_t + U h_{t-1}, 0), 20): (T, N, H) and U (H, H) to (T, N, H)."""
    state = torch.zeros_like(projected[0])
    states = torch.jit.annotate(list[Tensor], [])
    for t in range(projected.size(0)):
        state = torch.clamp(projected[t] + torch.matmul(state, weight.t()), 0.0, 20.0)
        states.append(state)
    return torch.stack(states)


def peephole_loop(projected: Tensor, weight: Tensor, peepholes: Tensor) -> Tensor:
    """`peephole_equations` over time: (T, N, 4 H), R (4 H, H) and p (3, H) to h (T, N, H)."""
    hidden = torch.zeros_like(projected[0, :, : weight.size(1)])
    cell = torch.zeros_like(hidden)
    states = torch.jit.annotate(list[Tensor], [])
    for t in range(projected.size(0)):
        sums = projected[t] + torch.matmul(hidden, weight.t())
        of_input, of_forget, of_candidate, of_output = sums.chunk(4, dim=-1)
        i = torch.sigmoid(of_input + peepholes[0] * cell)
        f = torch.sigmoid(of_forget + peepholes[1] * cell)
        cell = f * cell + i * torch.tanh(of_candidate)
        hidden = torch.sigmoid(of_output + peepholes[2] * cell) * torch.tanh(cell)
        states.append(hidden)
    return torch.stack(states)


def coupled_loop(projected: Tensor, weight: Tensor) -> Tensor:
    """`coupled_equations` over time: (T, N, 3 H) and R (3 H, H) to h (T, N, H)."""
    hidden = torch.zeros_like(projected[0, :, : weight.size(1)])
    cell = torch.zeros_like(hidden)
    states = torch.jit.annotate(list[Tensor], [])
    for t in range(projected.size(0)):
        sums = projected[t] + torch.matmul(hidden, weight.t())
        of_input, of_candidate, of_output = sums.chunk(3, dim=-1)
        i = torch.sigmoid(of_input)
        cell = (1.0 - i) * cell + i * torch.tanh(of_candidate)
        hidden = torch.sigmoid(of_output) * torch.tanh(cell)
        states.append(hidden)
    return torch.stack(states)


class GraphClippedRNN(nn.Module):
    """A `ClippedRNN` whose loop can be exported."""

    def __init__(self, layer: ClippedRNN) -> None:
        super().__init__()
        self.layer = layer
        self.loop = torch.jit.script(clipped_loop)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Map (T, N, F) to a tuple of (T, N, H)."""
        return (self.loop(self.layer.input(x), self.layer.recurrent.weight),)


class GraphLSTM(nn.Module):
    """A `PeepholeLSTM` or `CoupledLSTM` whose loop can be exported."""

    def __init__(self, layer: PeepholeLSTM | CoupledLSTM) -> None:
        super().__init__()
        self.layer = layer
        self.loop = torch.jit.script(peephole_loop if layer.peepholes is not None else coupled_loop)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Map (T, N, F) to a tuple of (T, N, H)."""
        layer = self.layer
        projected = nn.functional.linear(x, layer.weight_ih, layer.bias)
        if layer.peepholes is None:
            return (self.loop(projected, layer.weight_hh),)
        return (self.loop(projected, layer.weight_hh, layer.peepholes),)
