"""Time loops of LSTM cells on the CPU, forward and backward, compiled by Numba.

Every compiled function is here, because Numba's cache notices edits of this file only.

A kernel takes the rows [first, last) of a batch through all frames: threads that share a batch
never wait for each other between frames, where a library's product of matrices would. Its arrays
are contiguous; K of them is the number of gates times H, gate by gate in the order of the cell's
weights:

    projected   (T, N, K)  W x + b
    gates       (T, N, K)  the activations
    hidden      (T, N, H)  h
    cells       (T, N, H)  c
    first_hidden, first_cell  (N, H)  h and c before the first frame
    deltas      (T, N, K)  the loss's gradient with respect to the pre-activations
    hidden_grad, cell_grad  (N, H)  zero at first; in the end those of first_hidden, first_cell
"""

# Numba infers the types of what it compiles.
# ruff: noqa: ANN001, ANN201, ANN202

import math

import numpy as np
from numba import types
from numba.extending import overload

from asr.ctc.compilation import helper as _helper
from asr.ctc.compilation import kernel as _kernel
from asr.ctc.compilation import loop as _loop

TILE = 4  # rows, and terms of each sum, that a product takes at once: they fit the registers
COLUMNS = 256  # of the weights, that a product reuses for all its rows out of a core's cache


def _polynomial(function, degree, low, high):
    """Coefficients in float32 through the Chebyshev nodes of [low, high], the constant first."""
    fit = np.polynomial.chebyshev.Chebyshev.interpolate(function, degree, domain=[low, high])
    return [np.float32(c) for c in fit.convert(kind=np.polynomial.Polynomial).coef]


_ONE, _TWO, _HALF = np.float32(1.0), np.float32(2.0), np.float32(0.5)
_LOG2E = 1.0 / math.log(2.0)
_LOG2E_HIGH = np.float32(_LOG2E)
_LOG2E_LOW = np.float32(_LOG2E - float(_LOG2E_HIGH))
_LEAST, _GREATEST = np.float32(-87.0), np.float32(88.0)  # whose exp is a normal number
_E0, _E1, _E2, _E3, _E4, _E5, _E6 = _polynomial(np.exp2, 6, -0.5, 0.5)
# tanh(x) / x by x**2: beside 0 the formula with exp would lose the digits of a small x.
_SMALL = np.float32(0.625)
_T0, _T1, _T2, _T3, _T4, _T5 = _polynomial(
    lambda u: np.tanh(np.sqrt(u)) / np.sqrt(u), 5, 0.0, float(_SMALL) ** 2
)


@_helper(fastmath={"contract"})
def _exp(x):
    """exp(x) in float32 to 1e-7, of x cut to what has a normal result. NaN stays NaN."""
    x = _LEAST if x < _LEAST else x
    x = _GREATEST if x > _GREATEST else x
    n = np.floor(x * _LOG2E_HIGH + _HALF)
    f = (x * _LOG2E_HIGH - n) + x * _LOG2E_LOW  # the first by a fused multiply-add, hence exact
    p = _E0 + f * (_E1 + f * (_E2 + f * (_E3 + f * (_E4 + f * (_E5 + f * _E6)))))
    return p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


@_helper(fastmath={"contract"})
def _tanh_float32(x):
    u = x * x
    near = x * (_T0 + u * (_T1 + u * (_T2 + u * (_T3 + u * (_T4 + u * _T5)))))
    power = _exp(-_TWO * abs(x))
    far = math.copysign((_ONE - power) / (_ONE + power), x)
    return near if abs(x) < _SMALL else far


def _sigmoid(x):
    """1 / (1 + exp(-x)); in float32 by what becomes vector instructions."""


def _tanh(x):
    """Hyperbolic tangent; likewise."""


@overload(_sigmoid)
def _sigmoid_of(x):
    if x == types.float32:
        return lambda x: _ONE / (_ONE + _exp(-x))
    return lambda x: 1.0 / (1.0 + math.exp(-x))


@overload(_tanh)
def _tanh_of(x):
    if x == types.float32:
        return lambda x: _tanh_float32(x)
    return lambda x: math.tanh(x)


@_loop(fastmath={"contract"})
def _add_tile(out0, out1, out2, out3, a0, a1, a2, a3, w, k, begin, end):
    """Add the terms k..k+3 of four rows' products to their columns [begin, end)."""
    w0, w1, w2, w3 = w[k], w[k + 1], w[k + 2], w[k + 3]
    a00, a01, a02, a03 = a0[k], a0[k + 1], a0[k + 2], a0[k + 3]
    a10, a11, a12, a13 = a1[k], a1[k + 1], a1[k + 2], a1[k + 3]
    a20, a21, a22, a23 = a2[k], a2[k + 1], a2[k + 2], a2[k + 3]
    a30, a31, a32, a33 = a3[k], a3[k + 1], a3[k + 2], a3[k + 3]
    for j in range(begin, end):
        x0, x1, x2, x3 = w0[j], w1[j], w2[j], w3[j]
        out0[j] += a00 * x0 + a01 * x1 + a02 * x2 + a03 * x3
        out1[j] += a10 * x0 + a11 * x1 + a12 * x2 + a13 * x3
        out2[j] += a20 * x0 + a21 * x1 + a22 * x2 + a23 * x3
        out3[j] += a30 * x0 + a31 * x1 + a32 * x2 + a33 * x3


@_loop(fastmath={"contract"})
def _add_row(out, a, w, k, begin, end):
    """Add the terms k..k+3 of one row's product to its columns [begin, end)."""
    a0, a1, a2, a3 = a[k], a[k + 1], a[k + 2], a[k + 3]
    w0, w1, w2, w3 = w[k], w[k + 1], w[k + 2], w[k + 3]
    for j in range(begin, end):
        out[j] += a0 * w0[j] + a1 * w1[j] + a2 * w2[j] + a3 * w3[j]


@_loop(fastmath={"contract"})
def _add_term(out, factor, row, begin, end):
    """Add one term of one row's product to its columns [begin, end)."""
    for j in range(begin, end):
        out[j] += factor * row[j]


@_helper
def _add_product(out, a, w, first, last):
    """out[n] += a[n] @ w for the rows [first, last)."""
    num_terms, num_columns = w.shape
    whole_terms = num_terms - num_terms % TILE
    whole_rows = last - (last - first) % TILE
    for column in range(0, num_columns, COLUMNS):
        # Signed indices would cost a wrap-around test.
        begin, end = np.uint64(column), np.uint64(min(num_columns, column + COLUMNS))
        for n in range(first, whole_rows, TILE):
            for k in range(0, whole_terms, TILE):
                _add_tile(
                    out[n], out[n + 1], out[n + 2], out[n + 3],
                    a[n], a[n + 1], a[n + 2], a[n + 3], w, k, begin, end,
                )  # fmt: skip
        for n in range(whole_rows, last):
            for k in range(0, whole_terms, TILE):
                _add_row(out[n], a[n], w, k, begin, end)
        for n in range(first, last):
            for k in range(whole_terms, num_terms):
                _add_term(out[n], a[n, k], w[k], begin, end)


@_loop(fastmath={"contract"})
def _peephole_row(gates, before, peepholes, cell, hidden):
    """Gates i, f, g, o, the cell and the output of one row, from the cell before."""
    size = len(hidden)
    for j in range(size):
        i = _sigmoid(gates[j] + peepholes[0, j] * before[j])
        f = _sigmoid(gates[size + j] + peepholes[1, j] * before[j])
        g = _tanh(gates[2 * size + j])
        c = f * before[j] + i * g
        o = _sigmoid(gates[3 * size + j] + peepholes[2, j] * c)
        gates[j], gates[size + j], gates[2 * size + j], gates[3 * size + j] = i, f, g, o
        cell[j] = c
        hidden[j] = o * _tanh(c)


@_loop(fastmath={"contract"})
def _coupled_row(gates, before, cell, hidden):
    """Gates i, g, o, the cell and the output of one row, from the cell before."""
    size, one = len(hidden), gates.dtype.type(1)
    for j in range(size):
        i = _sigmoid(gates[j])
        g = _tanh(gates[size + j])
        o = _sigmoid(gates[2 * size + j])
        c = (one - i) * before[j] + i * g
        gates[j], gates[size + j], gates[2 * size + j] = i, g, o
        cell[j] = c
        hidden[j] = o * _tanh(c)


@_kernel
def run_forward(
    coupled, projected, gates, weight, peepholes, first_hidden, first_cell, cells, hidden,
    first, last,
):  # fmt: skip
    """Compute activations, cells and outputs of the rows [first, last).

    Args:
        coupled: whether the gates are i, g, o with f = 1 - i, without peepholes; else i, f, g, o.
        weight: (H, K), from the output before to the gates.
        peepholes: (3, H), from the cell to i, f and o; unread where coupled.
        projected, gates, first_hidden, first_cell, cells, hidden, first, last: see above.
    """
    for t in range(len(gates)):
        hidden_before = first_hidden if t == 0 else hidden[t - 1]
        cell_before = first_cell if t == 0 else cells[t - 1]
        gates[t, first:last] = projected[t, first:last]
        _add_product(gates[t], hidden_before, weight, first, last)
        for n in range(first, last):
            if coupled:
                _coupled_row(gates[t, n], cell_before[n], cells[t, n], hidden[t, n])
            else:
                _peephole_row(gates[t, n], cell_before[n], peepholes, cells[t, n], hidden[t, n])


@_loop(fastmath={"contract"})
def _peephole_deltas(
    gates, before, cell, peepholes, hidden_grad, cell_grad, deltas, peephole_grads
):
    """Gradients of one row: of its gates and peepholes, and of the cell before."""
    size, one = len(cell), gates.dtype.type(1)
    for j in range(size):
        i, f, g, o = gates[j], gates[size + j], gates[2 * size + j], gates[3 * size + j]
        squashed = _tanh(cell[j])
        delta_o = hidden_grad[j] * squashed * o * (one - o)
        of_cell = hidden_grad[j] * o * (one - squashed * squashed)
        of_cell += cell_grad[j] + peepholes[2, j] * delta_o
        delta_i = of_cell * g * i * (one - i)
        delta_f = of_cell * before[j] * f * (one - f)
        deltas[j], deltas[size + j] = delta_i, delta_f
        deltas[2 * size + j], deltas[3 * size + j] = of_cell * i * (one - g * g), delta_o
        peephole_grads[0, j] += delta_i * before[j]
        peephole_grads[1, j] += delta_f * before[j]
        peephole_grads[2, j] += delta_o * cell[j]
        cell_grad[j] = of_cell * f + peepholes[0, j] * delta_i + peepholes[1, j] * delta_f


@_loop(fastmath={"contract"})
def _coupled_deltas(gates, before, cell, hidden_grad, cell_grad, deltas):
    """Gradients of one row: of its gates, and of the cell before."""
    size, one = len(cell), gates.dtype.type(1)
    for j in range(size):
        i, g, o = gates[j], gates[size + j], gates[2 * size + j]
        squashed = _tanh(cell[j])
        of_cell = cell_grad[j] + hidden_grad[j] * o * (one - squashed * squashed)
        deltas[j] = of_cell * (g - before[j]) * i * (one - i)
        deltas[size + j] = of_cell * i * (one - g * g)
        deltas[2 * size + j] = hidden_grad[j] * squashed * o * (one - o)
        cell_grad[j] = of_cell * (one - i)


@_kernel
def run_backward(
    coupled, gates, weight, peepholes, first_cell, cells, output_grads, cell_grads,
    deltas, peephole_grads, hidden_grad, cell_grad, first, last,
):  # fmt: skip
    """Compute the gradients of the rows [first, last); the inverse order of `run_forward`.

    Args:
        coupled: as there.
        weight: (K, H), from the output before to the gates.
        peepholes: as there.
        output_grads: (T, N, H), of what used `hidden` elsewhere.
        cell_grads: (T, N, H), of what used `cells` elsewhere, or (0, N, H).
        peephole_grads: (N, 3, H), zero at first: what each row adds to the gradient.
        gates, first_cell, cells, deltas, hidden_grad, cell_grad, first, last: see above.
    """
    for t in range(len(gates) - 1, -1, -1):
        before = first_cell if t == 0 else cells[t - 1]
        for n in range(first, last):
            hidden_grad[n] += output_grads[t, n]
            if len(cell_grads) > 0:
                cell_grad[n] += cell_grads[t, n]
            if coupled:
                _coupled_deltas(
                    gates[t, n], before[n], cells[t, n], hidden_grad[n], cell_grad[n], deltas[t, n]
                )
            else:
                _peephole_deltas(
                    gates[t, n], before[n], cells[t, n], peepholes, hidden_grad[n], cell_grad[n],
                    deltas[t, n], peephole_grads[n],
                )  # fmt: skip
            hidden_grad[n] = 0
        _add_product(hidden_grad, deltas[t], weight, first, last)
