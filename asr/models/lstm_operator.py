"""The time loop of LSTM cells on the CPU as an operator of PyTorch's, over the kernels.

An operator has a shape, a gradient and a name: torch.compile and fake tensors see a call where they
would otherwise see T frames, or memory that is not there. It has no second derivative.
"""

# Autograd's context carries whatever is put there: its type says nothing.
# ruff: noqa: ANN401

from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from asr.ctc.threads import run_on_threads, thread_count
from asr.models import lstm_kernels

# Rows of a batch that a thread takes at once: two tiles of the kernels' product.
PART = 2 * lstm_kernels.TILE
# Multiplications and additions a nanosecond of one thread, roughly.
SPEED = 25


@torch.library.custom_op("asr::lstm_loop", mutates_args=(), device_types="cpu")
def lstm_loop(
    projected: Tensor,
    weight: Tensor,
    peepholes: Tensor,
    first_hidden: Tensor,
    first_cell: Tensor,
    coupled: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run a cell through time, as `lstm_equations.follow`; all of one dtype, float32 or float64.

    Args:
        projected: (T, N, K), W x + b.
        weight: (K, H), R.
        peepholes: (3, H); unread where `coupled`.
        first_hidden: (N, H), h before the first frame.
        first_cell: (N, H), c before the first frame.
        coupled: whether these are `coupled_equations`, else `peephole_equations`.

    Returns:
        h (T, N, H), c (T, N, H), and the activations of the gates (T, N, K), which have no
        gradient.
    """
    hidden, cells, gates = _shapes(projected, weight, peepholes, first_hidden, first_cell, coupled)
    arrays = _arrays(
        projected, gates, weight.t(), peepholes, first_hidden, first_cell, cells, hidden
    )
    _run(lstm_kernels.run_forward, coupled, arrays, projected)
    return hidden, cells, gates


@lstm_loop.register_fake
def _shapes(
    projected: Tensor, weight: Tensor, peepholes: Tensor, first_hidden: Tensor,
    first_cell: Tensor, coupled: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    shape = (*projected.shape[:2], weight.shape[1])
    return projected.new_empty(shape), projected.new_empty(shape), torch.empty_like(projected)


@torch.library.custom_op("asr::lstm_loop_backward", mutates_args=(), device_types="cpu")
def lstm_loop_backward(
    output_grads: Tensor,
    cell_grads: Tensor,
    gates: Tensor,
    cells: Tensor,
    weight: Tensor,
    peepholes: Tensor,
    first_cell: Tensor,
    coupled: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of `projected`, `peepholes`, `first_hidden` and `first_cell`.

    Args:
        output_grads: (T, N, H), of h.
        cell_grads: (T, N, H), of c; (0, N, H) for none.
        gates: what `lstm_loop` returned, as are `cells`.
        weight: what it was given, as are the others.
    """
    deltas, peephole_grads, hidden_grad, cell_grad = _gradients(
        output_grads, cell_grads, gates, cells, weight, peepholes, first_cell, coupled
    )
    hidden_grad.zero_()
    cell_grad.zero_()
    by_row = peephole_grads.new_zeros(gates.shape[1], *peepholes.shape)  # (N, 3, H)
    arrays = _arrays(
        gates, weight, peepholes, first_cell, cells, output_grads, cell_grads,
        deltas, by_row, hidden_grad, cell_grad,
    )  # fmt: skip
    _run(lstm_kernels.run_backward, coupled, arrays, gates)
    return deltas, torch.sum(by_row, 0, out=peephole_grads), hidden_grad, cell_grad


@lstm_loop_backward.register_fake
def _gradients(
    output_grads: Tensor, cell_grads: Tensor, gates: Tensor, cells: Tensor, weight: Tensor,
    peepholes: Tensor, first_cell: Tensor, coupled: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    return (
        gates.new_empty(gates.shape),
        peepholes.new_empty(peepholes.shape),
        first_cell.new_empty(first_cell.shape),
        first_cell.new_empty(first_cell.shape),
    )


def _keep(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor, Tensor]) -> None:
    """Keep what `_differentiate` needs."""
    *tensors, ctx.coupled = inputs
    ctx.save_for_backward(*tensors[1:], *output)
    ctx.mark_non_differentiable(output[2])
    ctx.set_materialize_grads(False)


def _differentiate(
    ctx: Any, output_grads: Tensor | None, cell_grads: Tensor | None, _: None
) -> tuple[Tensor | None, ...]:
    weight, peepholes, first_hidden, first_cell, hidden, cells, gates = ctx.saved_tensors
    if output_grads is None:
        output_grads = torch.zeros_like(hidden)
    if cell_grads is None:
        cell_grads = cells[:0]
    deltas, *others = lstm_loop_backward(
        output_grads, cell_grads, gates, cells, weight, peepholes, first_cell, ctx.coupled
    )
    before = torch.cat([first_hidden[None], hidden])[: len(hidden)]  # (T, N, H)
    weight_grad = deltas.flatten(0, 1).t() @ before.flatten(0, 1)
    return deltas, weight_grad, *others, None


lstm_loop.register_autograd(_differentiate, setup_context=_keep)


def _arrays(*tensors: Tensor) -> list[Any]:
    """Memory of tensors, contiguous as the kernels want it."""
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


def _run(kernel: Callable[..., None], coupled: bool, arrays: list[Any], gates: Tensor) -> None:
    """Run a kernel over all rows of a batch, in parts that threads take as they come by."""
    num_frames, num_rows, size = gates.shape
    parts = deque(range(0, num_rows, PART))

    def work() -> None:
        while True:
            try:
                first = parts.popleft()
            except IndexError:
                return
            kernel(coupled, *arrays, first, min(first + PART, num_rows))

    nanoseconds = num_frames * num_rows * size * arrays[0].shape[-1] / SPEED
    run_on_threads(work, thread_count(len(parts), nanoseconds))
