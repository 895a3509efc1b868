"""Recurrent layers that PyTorch does not have: (T, N, F) -> (T, N, H), in one direction.

Each takes the place of a layer of `nn.LSTM` or `nn.RNN`: its call takes x and, if wanted, the state
before the first frame, and returns the outputs and the state after the last.

Letters: T frames, N batch, F features, H hidden; K is H times the number of gates.
"""

import math
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.models.lstm_equations import (
    Equations,
    Gates,
    coupled_equations,
    follow,
    peephole_equations,
)

State = tuple[Tensor, Tensor]


class LoopedLSTM(nn.Module):
    """An LSTM layer whose loop over time is our own.

    The product with the inputs is one for all frames. On a CPU the loop is compiled by Numba, with
    a gradient of its own; elsewhere, and in half precision, it is PyTorch's operations, a frame
    after the other. Under autocast the product with the inputs follows it; the loop, whose sums go
    through all frames, and the outputs stay in the format of the weights.

    Args:
        input_size: F.
        hidden_size: H.

    Attributes:
        weight_ih: (K, F), from the inputs to the gates.
        weight_hh: (K, H), from the outputs before to the gates.
        bias: (K,).
        peepholes: (3, H), from the cell to the gates i, f and o; None for a cell without.
    """

    num_gates: ClassVar[int]  # that have weights: K is so many times H

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        size = self.num_gates * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(size, hidden_size))
        self.bias = nn.Parameter(torch.empty(size))
        self.peepholes: nn.Parameter | None = None

    @property
    def equations(self) -> Equations:
        """Of a frame."""
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Draw the weights as `nn.LSTM` does."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run through time.

        Args:
            x: (T, N, F).
            state: h and c before the first frame, (1, N, H) each; zero by default.

        Returns:
            h at every frame, (T, N, H), and h and c after the last, (1, N, H) each.
        """
        projected = functional.linear(x, self.weight_ih, self.bias).to(self.weight_hh.dtype)
        if state is None:
            zero = projected.new_zeros(1, x.shape[1], self.hidden_size)
            state = zero, zero
        if not len(x):
            return projected[..., : self.hidden_size], state
        hidden, cell = state[0][0], state[1][0]
        if x.device.type == "cpu" and self.weight_hh.dtype in (torch.float32, torch.float64):
            from asr.models.lstm_operator import lstm_loop  # Numba takes a while to import

            peepholes = self.weight_hh[:0] if self.peepholes is None else self.peepholes
            hidden, cells, _ = lstm_loop(
                projected, self.weight_hh, peepholes, hidden, cell, self.peepholes is None
            )
            return hidden, (hidden[-1:], cells[-1:])
        with torch.autocast(x.device.type, enabled=False):
            frames = [*follow(self.equations, projected, self.weight_hh, hidden, cell)]
        hidden = torch.stack([gates.hidden for gates in frames])  # (T, N, H)
        return hidden, (hidden[-1:], frames[-1].cell[None])


class PeepholeLSTM(LoopedLSTM):
    """An LSTM whose gates see the cell; see `peephole_equations`.

    Gates i, f, g, o. The forget gate's bias begins at 1, so that cells keep what they have until
    they learn to forget (Gers, Schmidhuber and Cummins 2000; Jozefowicz et al. 2015).
    """

    num_gates = 4

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.peepholes = nn.Parameter(torch.empty(3, hidden_size))
        self.reset_parameters()

    @property
    def equations(self) -> Equations:
        """Of a frame."""
        assert self.peepholes is not None
        return partial(peephole_equations, peepholes=self.peepholes)

    def reset_parameters(self) -> None:
        """Draw the weights as `nn.LSTM` does, and open the forget gate."""
        super().reset_parameters()
        nn.init.ones_(self.bias.data[self.hidden_size : 2 * self.hidden_size])


class CoupledLSTM(LoopedLSTM):
    """An LSTM that forgets as much as it takes in; see `coupled_equations`.

    Gates i, g, o: a quarter fewer weights than an LSTM. The input gate's bias begins at -1, which
    is 1 for forgetting, as in `PeepholeLSTM`.
    """

    num_gates = 3

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.reset_parameters()

    @property
    def equations(self) -> Equations:
        """Of a frame."""
        return coupled_equations

    def reset_parameters(self) -> None:
        """Draw the weights as `nn.LSTM` does, and open what forgets."""
        super().reset_parameters()
        nn.init.constant_(self.bias.data[: self.hidden_size], -1.0)


class IdentityRNN(nn.RNN):
    """The IRNN: a plain layer of rectified linear units whose recurrence begins diagonal.

    h_t = max(0, W x_t + R h_{t-1} + b), with R a hundredth of the identity and b zero at first, and
    W drawn from a normal distribution of deviation 0.001. The units are not clipped. PyTorch's own
    layer computes it, and cuDNN on a GPU.

    Source: Le, Jaitly and Hinton 2015 (arXiv:1504.00941), who begin with the identity or with a
    scaled one. At 1, where units sum over all time, training on speech diverged here.
    """

    diagonal = 0.01

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, nonlinearity="relu")

    def reset_parameters(self) -> None:
        """Begin as described."""
        weight_ih, weight_hh, *biases = self.all_weights[0]
        nn.init.normal_(weight_ih, std=0.001)
        nn.init.eye_(weight_hh).data.mul_(self.diagonal)
        for bias in biases:
            nn.init.zeros_(bias)


@torch.no_grad()
def gates_over_time(layer: nn.LSTM | LoopedLSTM, x: Tensor) -> Gates:
    """Compute what the gates of a layer do while it reads an input, from a state of zero.

    Args:
        layer: an LSTM; the first of its layers and directions is followed. The backward layer of a
            block reads its input reversed, and its gates are in that order too.
        x: (T, N, F), as the layer gets it, T >= 1.

    Returns:
        Gates, cells and outputs, (T, N, H) each.
    """
    if isinstance(layer, nn.LSTM):
        weights = dict(layer.named_parameters())
        weight_ih, weight = weights["weight_ih_l0"], weights["weight_hh_l0"]
        bias = weights["bias_ih_l0"] + weights["bias_hh_l0"] if layer.bias else None
        if layer.proj_size:  # R sees P h, which is R P that sees h
            weight = weight @ weights["weight_hr_l0"]
        peepholes = weight.new_zeros(3, layer.hidden_size)
        equations = partial(peephole_equations, peepholes=peepholes)
    else:
        weight_ih, weight, bias = layer.weight_ih, layer.weight_hh, layer.bias
        equations = layer.equations
    zero = x.new_zeros(x.shape[1], layer.hidden_size)
    projected = functional.linear(x, weight_ih, bias)  # (T, N, K)
    frames = follow(equations, projected, weight, zero, zero)
    return Gates(*(torch.stack(values) for values in zip(*frames, strict=True)))
