"""Equations of LSTM cells in PyTorch: a frame after the other, on every device.

T frames, N batch, H hidden; K is H times the number of gates that a cell learns. W and R are a
gate's weights of the input and of the output before, b its bias, p its peephole; products with p
are elementwise.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor


class Gates(NamedTuple):
    """What an LSTM cell computes, (N, H) at a frame or (T, N, H) over time.

    Attributes:
        input: i, how much of the candidate enters, 0..1.
        forget: f, how much of the cell before stays, 0..1.
        candidate: g, what may enter, -1..1.
        output: o, how much of the cell is seen, 0..1.
        cell: c.
        hidden: h, the layer's output, -1..1.
    """

    input: Tensor
    forget: Tensor
    candidate: Tensor
    output: Tensor
    cell: Tensor
    hidden: Tensor


Equations = Callable[[Tensor, Tensor], Gates]


def peephole_equations(sums: Tensor, cell: Tensor, peepholes: Tensor) -> Gates:
    """Compute a frame of an LSTM with peepholes; without, as `nn.LSTM`, where these are zero.

    i_t = sigmoid(W_i x_t + R_i h_{t-1} + p_i c_{t-1} + b_i)
    f_t = sigmoid(W_f x_t + R_f h_{t-1} + p_f c_{t-1} + b_f)
    g_t = tanh(W_g x_t + R_g h_{t-1} + b_g)
    c_t = f_t c_{t-1} + i_t g_t
    o_t = sigmoid(W_o x_t + R_o h_{t-1} + p_o c_t + b_o)
    h_t = o_t tanh(c_t)

    Args:
        sums: (N, 4H), W x_t + R h_{t-1} + b of i, f, g and o.
        cell: (N, H), c_{t-1}.
        peepholes: (3, H), of i, f and o.

    Source: Graves 2013 (arXiv:1303.5778), equations 3-7, as in Graves 2013 (arXiv:1308.0850),
    equations 7-11; peepholes: Gers, Schraudolph and Schmidhuber 2002.
    """
    of_input, of_forget, of_candidate, of_output = sums.chunk(4, dim=-1)
    i = torch.sigmoid(of_input + peepholes[0] * cell)
    f = torch.sigmoid(of_forget + peepholes[1] * cell)
    g = torch.tanh(of_candidate)
    c = f * cell + i * g
    o = torch.sigmoid(of_output + peepholes[2] * c)
    return Gates(i, f, g, o, c, o * torch.tanh(c))


def coupled_equations(sums: Tensor, cell: Tensor) -> Gates:
    """Compute a frame of an LSTM that forgets as much as it takes in.

    i_t = sigmoid(W_i x_t + R_i h_{t-1} + b_i)
    f_t = 1 - i_t
    g_t = tanh(W_g x_t + R_g h_{t-1} + b_g)
    c_t = f_t c_{t-1} + i_t g_t
    o_t = sigmoid(W_o x_t + R_o h_{t-1} + b_o)
    h_t = o_t tanh(c_t)

    Args:
        sums: (N, 3H), W x_t + R h_{t-1} + b of i, g and o.
        cell: (N, H), c_{t-1}.

    Source: Greff et al. 2017 (arXiv:1503.04069), variants CIFG and NP, coupled and without
    peepholes: it differs from `nn.LSTM` in nothing else.
    """
    of_input, of_candidate, of_output = sums.chunk(3, dim=-1)
    i = torch.sigmoid(of_input)
    f = 1 - i
    g = torch.tanh(of_candidate)
    c = f * cell + i * g
    o = torch.sigmoid(of_output)
    return Gates(i, f, g, o, c, o * torch.tanh(c))


def follow(
    equations: Equations, projected: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor
) -> Iterator[Gates]:
    """Compute the gates of one frame after the other.

    Args:
        equations: of a cell.
        projected: (T, N, K), W x + b.
        weight: (K, H), R.
        hidden: (N, H), h before the first frame.
        cell: (N, H), c before the first frame.
    """
    for frame in projected:
        gates = equations(torch.addmm(frame, hidden, weight.t()), cell)
        yield gates
        hidden, cell = gates.hidden, gates.cell
