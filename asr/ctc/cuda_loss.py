"""The CTC loss of tensors on a GPU: checks what the host can see, and launches `cuda_kernels`.

Nothing here waits for the GPU. Lengths and targets may be on either side: those on the host are
checked as for the CPU and go over in one copy from pinned memory; those on the GPU stay there, and
the kernels give an utterance whose values do not fit a loss of NaN.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numba import cuda
from torch import Tensor

from asr.ctc import cuda_kernels
from asr.ctc.cuda_kernels import ROW_WARPS, WARP
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


class Batch(NamedTuple):
    """Targets and lengths on the GPU: utterance n has target_lengths[n] labels from starts[n]."""

    labels: Tensor  # flat int64
    starts: Tensor  # (N,) int64
    input_lengths: Tensor  # (N,) int64
    target_lengths: Tensor  # (N,) int64
    capacity: int  # greatest target length; where the GPU alone knows it, what there is room for
    blank: int


class Scratch(NamedTuple):
    """What the kernels leave for each other; their docstrings have the shapes."""

    normalisers: Tensor
    mantissas: Tensor
    exponents: Tensor
    first_of_class: Tensor
    next_equal: Tensor
    stored: Tensor
    stored_exponents: Tensor
    of_labels: Tensor
    of_blanks: Tensor


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
    x = log_probs.detach()
    if x.dtype not in (torch.float32, torch.float64):
        x = x.float()
    grad = torch.empty_like(x) if needs_grad else None
    losses = _fit(x, batch, from_logits, grad, reduction == "mean", zero_infinity)
    if zero_infinity:
        losses = losses.masked_fill(losses == torch.inf, 0.0)
    if reduction == "mean":
        losses = losses / (batch.target_lengths.clamp(min=1) * max(1, len(losses)))
    if reduction != "none":
        losses = losses.sum()
    return losses, grad


def _fit(
    x: Tensor,
    batch: Batch,
    from_logits: bool,
    grad: Tensor | None,
    divide: bool,
    zero_infinity: bool,
) -> Tensor:
    """Launch the kernels. Returns (N,) float64 losses; writes `grad`, if there is one."""
    max_frames, num_utterances, num_classes = x.shape
    if x.numel() == 0:  # nothing to launch on, nor any gradient
        lengths = batch.target_lengths.double()
        return lengths.masked_fill(lengths > 0, torch.inf)
    pairs = pairs_per_lane(min(batch.capacity, max_frames))
    labels = batch.labels if len(batch.labels) else batch.labels.new_zeros(1)
    lengths = batch.input_lengths, batch.target_lengths
    scratch = _make_scratch(x, pairs, grad is not None)
    prepared = scratch[:3]
    losses = x.new_empty(num_utterances, dtype=torch.float64)
    row_blocks = -(-max_frames * num_utterances // ROW_WARPS)
    _launch(
        cuda_kernels.prepare, row_blocks, ROW_WARPS * WARP,
        _flat(x), x.stride(), labels, batch.starts, *lengths, batch.blank, from_logits, pairs,
        *prepared, scratch.first_of_class, scratch.next_equal,
    )  # fmt: skip
    _launch(
        cuda_kernels.make_fit(pairs), num_utterances, 2 * WARP,
        labels, batch.starts, *lengths, batch.capacity, num_classes, batch.blank, *prepared,
        grad is not None, *scratch[5:], losses,
    )  # fmt: skip
    if grad is not None:
        _launch(
            cuda_kernels.write_gradients, row_blocks, ROW_WARPS * WARP,
            _flat(x), x.stride(), *lengths, batch.blank, from_logits, divide, zero_infinity,
            scratch.normalisers, scratch.first_of_class, scratch.next_equal, scratch.of_labels,
            scratch.of_blanks, losses, _flat(grad), grad.stride(),
        )  # fmt: skip
    return losses


def _make_scratch(x: Tensor, pairs: int, wants_occupancies: bool) -> Scratch:
    max_frames, num_utterances, num_classes = x.shape
    width = WARP * pairs
    frames = num_utterances, max_frames
    stored = frames if wants_occupancies else (num_utterances, 1)
    written = frames if wants_occupancies else (1, 1)
    return Scratch(
        normalisers=x.new_empty(frames, dtype=torch.float64),
        mantissas=x.new_empty((*frames, width)),
        exponents=x.new_empty((*frames, width), dtype=torch.int32),
        first_of_class=x.new_full((num_utterances, num_classes), -1, dtype=torch.int32),
        next_equal=x.new_empty((num_utterances, width), dtype=torch.int32),
        stored=x.new_empty((2, *stored, width)),
        stored_exponents=x.new_empty((2, *stored, width), dtype=torch.int32),
        of_labels=x.new_empty((*written, width)),
        of_blanks=x.new_empty((*written, WARP)),
    )


def pairs_per_lane(num_labels: int) -> int:
    """Least 1, 2, 3, 4, 6, 8, 12, 16, ... with which 32 lanes hold `num_labels` + 1 pairs.

    Each is compiled at its first use: few of them, and at most a third of the lanes' work idle.
    """
    needed = num_labels // WARP + 1
    power = 1 << (needed - 1).bit_length()
    return 3 * power // 4 if 4 * needed <= 3 * power else power


def _flat(x: Tensor) -> Tensor:
    """All the memory between x's first and last element, as one dimension."""
    span = 1 + sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True))
    return x.as_strided((span,), (1,))


def _launch(kernel: Any, num_blocks: int, num_threads: int, *arguments: object) -> None:  # noqa: ANN401
    """Put a kernel into torch's current stream on the device of the tensors."""
    first = next(a for a in arguments if isinstance(a, Tensor))
    with torch.cuda.device_of(first):
        stream = _stream(torch.cuda.current_stream().cuda_stream) if first.is_cuda else 0
        kernel[max(num_blocks, LEAST_BLOCKS), num_threads, stream](
            *(_view(a) if isinstance(a, Tensor) else a for a in arguments)
        )


@lru_cache
def _stream(address: int) -> object:
    """A stream of torch's as numba-cuda wants it, one object a stream: launches are kept by it."""
    return cuda.external_stream(address) if address else 0


def _view(tensor: Tensor) -> object:
    """The tensor as numba-cuda sees it; on the CPU, as numba-cuda's simulator does."""
    return cuda.as_cuda_array(tensor) if tensor.is_cuda else tensor.numpy()
