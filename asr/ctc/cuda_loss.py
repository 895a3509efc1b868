"""The CTC loss of tensors on a GPU: checks what the host can see, and launches `cuda_kernels`.

Nothing here waits for the GPU. Lengths and targets may be on either side: those on the host are
checked as for the CPU and go over in one copy from pinned memory; those on the GPU stay there, and
the kernels give an utterance whose values do not fit a loss of NaN.
"""

# Autograd's context carries whatever is put there: its type says nothing.
# ruff: noqa: ANN401

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from asr.ctc import cuda_kernels
from asr.ctc.cuda_kernels import ROW_WARPS, WARP, cuda  # that module makes sure of whose cuda
from asr.ctc.targets import (
    IntegerArray,
    check_frames,
    check_labels,
    check_lengths,
    check_log_probs,
    flatten_targets,
    integers,
    is_on_gpu,
)

# numba-cuda warns of grids below 128 blocks. Those without an utterance or a row leave at once.
LEAST_BLOCKS = 128
MOST_WARPS = 8  # of a direction: twice 256 threads have 128 registers each


class Batch(NamedTuple):
    """Targets and lengths on the GPU: utterance n has target_lengths[n] labels from starts[n]."""

    labels: Tensor  # flat int64
    starts: Tensor  # (N,) int64
    input_lengths: Tensor  # (N,) int64
    target_lengths: Tensor  # (N,) int64
    capacity: int  # greatest target length; where the GPU alone knows it, what there is room for
    blank: int


class Options(NamedTuple):
    """How `ctc_loss` was called."""

    reduction: Literal["none", "mean", "sum"]
    zero_infinity: bool
    from_logits: bool


class Saved(NamedTuple):
    """What the gradient needs beside x; the kernels' docstrings have the shapes."""

    normalisers: Tensor
    occupancies: Tensor
    links: Tensor
    losses: Tensor


def check_batch(
    log_probs: Tensor,
    targets: IntegerArray,
    input_lengths: IntegerArray,
    target_lengths: IntegerArray,
    blank: int,
) -> Batch:
    """Check shapes, and the values that are on the host; bring all to the device of `log_probs`."""
    check_log_probs(log_probs, blank)
    max_frames, num_utterances, num_classes = log_probs.shape
    labels, starts, lengths, capacity = _flatten(targets, target_lengths, num_classes, blank)
    frames = _integers("input_lengths", input_lengths).reshape(-1)
    check_lengths("input_lengths", frames, num_utterances)
    check_lengths("target_lengths", lengths, num_utterances)
    if isinstance(frames, np.ndarray):
        check_frames(frames, max_frames)
    on_gpu = _upload((labels, starts, frames, lengths), log_probs.device)
    return Batch(on_gpu[0], on_gpu[1], on_gpu[2], on_gpu[3], capacity, blank)


def _integers(name: str, values: IntegerArray) -> np.ndarray | Tensor:
    """Return `values` as int64 where they are: on the GPU, or as an array on the host."""
    if not is_on_gpu(values):
        return integers(name, values)
    assert isinstance(values, Tensor)
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise TypeError(f"{name} must hold integers, got {values.dtype}")
    return values.detach().to(torch.int64).contiguous()


def _flatten(
    targets: IntegerArray, target_lengths: IntegerArray, num_classes: int, blank: int
) -> tuple[np.ndarray | Tensor, np.ndarray | Tensor, np.ndarray | Tensor, int]:
    """Return flat labels, starts, lengths, and the greatest length that may occur."""
    labels = _integers("targets", targets)
    lengths = _integers("target_lengths", target_lengths)
    # Zeros stand for what the host cannot see: shapes are checked all the same.
    seen = [np.zeros(v.shape, np.int64) if isinstance(v, Tensor) else v for v in (labels, lengths)]
    flat = flatten_targets(*seen, lengths_known=isinstance(lengths, np.ndarray))
    if isinstance(lengths, np.ndarray):
        if isinstance(labels, np.ndarray):
            check_labels(flat, num_classes, blank)
        return labels.reshape(-1), flat.starts, flat.lengths, int(flat.lengths.max(initial=0))
    lengths = lengths.reshape(-1)
    starts = flat.starts
    if labels.ndim == 1:
        # A negative length would shift the others' labels: then no utterance has any.
        starts = (lengths.cumsum(0) - lengths).masked_fill((lengths < 0).any(), -1)
    return labels.reshape(-1), starts, lengths, labels.shape[-1]


def _upload(parts: tuple[np.ndarray | Tensor, ...], device: torch.device) -> list[Tensor]:
    """Bring the arrays among `parts` to the device in one copy, which nobody waits for."""
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    copied: Iterator[Tensor] = iter(())
    if arrays:
        packed = torch.from_numpy(np.concatenate(arrays))
        if device.type == "cuda":
            packed = packed.pin_memory()
        copied = iter(packed.to(device, non_blocking=True).split([len(a) for a in arrays]))
    return [next(copied) if isinstance(p, np.ndarray) else p.to(device) for p in parts]


def fit_and_reduce(
    log_probs: Tensor,
    batch: Batch,
    reduction: Literal["none", "mean", "sum"],
    zero_infinity: bool,
    from_logits: bool,
    needs_grad: bool,
) -> tuple[Tensor, Tensor | None]:
    """Return the reduced float64 loss, and its float32 or float64 gradient if it is wanted."""
    options = Options(reduction, zero_infinity, from_logits)
    x = _as_real(log_probs.detach())
    loss, saved = _fit(x, batch, options, needs_grad)
    one = x.new_ones(())
    return loss, _write_gradients(x, batch, options, one, saved) if needs_grad else None


class Loss(Function):
    """The loss, which leaves occupancies for a gradient that is written when its factor is known.

    Takes log_probs, (T, N, C), and a call of `fit_and_reduce` that only lacks them.
    """

    @staticmethod
    def forward(
        ctx: Any,
        log_probs: Tensor,
        run: partial[tuple[Tensor, Tensor | None]],
        needs_grad: bool,
        dtype: torch.dtype,
    ) -> Tensor:
        """Launch the recursion."""
        rest = dict(run.keywords)
        batch = rest.pop("batch")
        ctx.call = batch, Options(**rest)
        loss, saved = _fit(_as_real(log_probs.detach()), *ctx.call, needs_grad)
        if needs_grad:
            ctx.save_for_backward(log_probs, *saved)
        return loss.to(dtype)

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad_output: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Launch the gradient, as often as it is wanted."""
        return _Gradient.apply(grad_output, *ctx.call, *ctx.saved_tensors), None, None, None


class _Gradient(Function):
    """The gradient as a function that refuses to be differentiated."""

    @staticmethod
    def forward(
        ctx: Any,
        grad_output: Tensor,
        batch: Batch,
        options: Options,
        log_probs: Tensor,
        *saved: Tensor,
    ) -> Tensor:
        x = _as_real(log_probs.detach())
        grad = _write_gradients(x, batch, options, grad_output.to(x.dtype), Saved(*saved))
        return grad.to(log_probs.dtype)

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad_output: Tensor
    ) -> tuple[None, ...]:
        raise RuntimeError("ctc_loss cannot be differentiated twice")


def _as_real(x: Tensor) -> Tensor:
    """Half precision as float32."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def _fit(x: Tensor, batch: Batch, options: Options, needs_grad: bool) -> tuple[Tensor, Saved]:
    """Launch the recursion. Returns the float64 loss, () or (N,), and what its gradient needs."""
    max_frames, num_utterances, num_classes = x.shape
    losses, results = x.new_empty((2, num_utterances), dtype=torch.float64)
    warps, pairs = shape_of_direction(min(batch.capacity, max_frames))
    lanes, width = WARP * warps, WARP * warps * pairs
    frames = num_utterances, max_frames
    saved = Saved(
        normalisers=x.new_empty(frames, dtype=torch.float64),
        occupancies=x.new_empty((*(frames if needs_grad else (num_utterances, 1)), width)),
        links=x.new_full((num_utterances, num_classes + width), -1, dtype=torch.int32),
        losses=losses,
    )
    if x.numel() == 0:  # nothing to launch on, nor any gradient
        lengths = batch.target_lengths.double()
        impossible = 0.0 if options.zero_infinity else torch.inf
        return _sum(lengths.masked_fill(lengths > 0, impossible), options), saved
    dtype = _name(x.dtype)
    emissions = x.new_empty((*frames, width))
    exponents = x.new_empty(saved.occupancies.shape, dtype=torch.int32)
    met = x.new_empty((num_utterances, 2, width))
    met_exponents = x.new_empty(met.shape, dtype=torch.int32)
    integers = (
        batch.labels, len(batch.labels), batch.starts, batch.input_lengths, batch.target_lengths,
        batch.blank, x.shape,
    )  # fmt: skip
    _launch(
        cuda_kernels.make_prepare, (dtype,), -(-max_frames * num_utterances // ROW_WARPS),
        ROW_WARPS * WARP,
        x, x.stride(), options.from_logits, *integers, lanes, pairs, saved.normalisers, emissions,
        saved.links,
    )  # fmt: skip
    _launch(
        cuda_kernels.make_fit, (warps, pairs, dtype), num_utterances, 2 * lanes,
        *integers, batch.capacity, saved.normalisers, emissions, needs_grad, saved.occupancies,
        exponents, met, met_exponents, options.reduction == "mean", options.zero_infinity, losses,
        results,
    )  # fmt: skip
    return _sum(results, options), saved


def _sum(results: Tensor, options: Options) -> Tensor:
    return results if options.reduction == "none" else results.sum()


def _write_gradients(
    x: Tensor, batch: Batch, options: Options, factors: Tensor, saved: Saved
) -> Tensor:
    """Launch the writing of the gradient times `factors`, () or (N,). Returns (T, N, C)."""
    max_frames, num_utterances, _ = x.shape
    grad = torch.empty_like(x)
    if x.numel() == 0:
        return grad
    _launch(
        cuda_kernels.make_write_gradients, (_name(x.dtype),),
        -(-max_frames * num_utterances // ROW_WARPS), ROW_WARPS * WARP,
        x, x.stride(), options.from_logits, batch.input_lengths, batch.target_lengths, batch.blank,
        x.shape, saved.occupancies.shape[-1], saved.normalisers, saved.occupancies, saved.links,
        saved.losses, options.reduction == "mean", options.zero_infinity, factors,
        factors.stride(0) if factors.dim() else 0, grad, grad.stride(),
    )  # fmt: skip
    return grad


def _name(dtype: torch.dtype) -> str:
    """That of NumPy and Numba."""
    return str(dtype).removeprefix("torch.")


def shape_of_direction(num_labels: int) -> tuple[int, int]:
    """Warps and pairs a lane with which a direction holds `num_labels` + 1 pairs.

    Up to 191 labels one warp, whose 32 lanes have the least of 1, 2, 3, 4, 6 pairs that will do;
    beyond them 2, 4 or 8 warps, so that a lane's states stay in registers; from 1,536 on
    8 warps of more pairs, which do not. Each is compiled at its first use: few of them, and at most
    a third of the lanes' work idle.
    """
    needed = num_labels // WARP + 1
    power = 1 << (needed - 1).bit_length()
    rows = 3 * power // 4 if 4 * needed <= 3 * power else power
    warps = 1 if rows <= 6 else min(MOST_WARPS, rows // (6 if rows % 3 == 0 else 4))
    return warps, rows // warps


def _launch(
    make: Callable[..., Any],
    kind: tuple[object, ...],
    num_blocks: int,
    num_threads: int,
    *arguments: object,
) -> None:
    """Put a kernel into torch's current stream on the device of the tensors."""
    device = next(a for a in arguments if isinstance(a, Tensor)).device
    with torch.cuda.device(device):
        stream = _stream(torch.cuda.current_stream().cuda_stream)
        kernel = make(*kind)[max(num_blocks, LEAST_BLOCKS), num_threads, stream]
        kernel(*(a.data_ptr() if isinstance(a, Tensor) else a for a in arguments))


@lru_cache
def _stream(address: int) -> object:
    """A stream of torch's as numba-cuda wants it, one object a stream: launches are kept by it."""
    return cuda.external_stream(address) if address else 0
