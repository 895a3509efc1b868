"""The CTC loss: tensors in, tensors out.

`ctc_loss` has the signature and the meaning of `torch.nn.functional.ctc_loss`, with two differences
that are meant: the gradient with respect to log-probabilities is the true one, minus the
occupancies (PyTorch's presumes a log-softmax before it), and `from_logits=True` takes logits, with
the softmax computed inside.
"""

# Autograd's context carries whatever is put there: its type says nothing.
# ruff: noqa: ANN401

import logging
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensor
from torch.autograd import Function

from asr.ctc import cpu_kernels
from asr.ctc.memory import empty_like, flat_memory
from asr.ctc.targets import (
    IntegerArray,
    Targets,
    check_frames,
    check_labels,
    check_lengths,
    check_log_probs,
    check_tensor,
    flatten_targets,
    integers,
    is_on_gpu,
)
from asr.ctc.threads import run_on_threads, thread_count

logger = logging.getLogger(__name__)

Reduction = Literal["none", "mean", "sum"]
Fit = Callable[..., tuple[Tensor, Tensor | None]]

_NO_POSTERIOR = np.empty((1, 0, 0), np.float32)


class Batch(NamedTuple):
    """A checked batch: what the kernels need beside the (T, N, C) tensor."""

    targets: Targets
    input_lengths: np.ndarray  # (N,) int64
    blank: int


def ctc_loss(
    log_probs: Tensor,
    targets: IntegerArray,
    input_lengths: IntegerArray,
    target_lengths: IntegerArray,
    blank: int = 0,
    reduction: Reduction = "mean",
    zero_infinity: bool = False,
    *,
    from_logits: bool = False,
) -> Tensor:
    """Compute the connectionist temporal classification loss, -ln p(target | input).

    Args:
        log_probs: (T, N, C) or (T, C) natural logs of the class probabilities, of any strides and
            floating dtype; float32 is fastest, half is computed in float32. On the CPU, or on a
            GPU: by numba-cuda, or by PyTorch where that is missing; of other devices on the
            CPU. With `from_logits`, unnormalised. N >= 1.
        targets: (N, S) padded, or (sum of target_lengths,) concatenated; (S,) for (T, C).
        input_lengths: (N,) frames of each utterance, 0..T.
        target_lengths: (N,) labels of each utterance, 0..S.
        blank: class of the blank.
        reduction: "none"; "sum"; "mean", the mean over utterances of loss / max(target length, 1).
        zero_infinity: count an impossible utterance as 0, with gradient 0. Otherwise its loss is
            inf and its gradient NaN.
        from_logits: apply the softmax inside (faster than log_softmax before it, and exact).

    Returns:
        () or, for "none", (N,) losses in nats, float64 for float64 and float32 for any other dtype.
        An utterance whose frames hold NaN has loss and gradient NaN.

    Raises:
        TypeError: `log_probs` is no floating tensor, or targets or lengths are no integers.
        ValueError: shapes or lengths do not fit, or a label is the blank or no class. Where
            `log_probs` is on a GPU, of lengths and targets that are there too only the shapes are
            looked at, so that nobody waits for it: an utterance whose values do not fit has loss
            and gradient NaN.

    Source: Graves et al. 2006, "Connectionist Temporal Classification", equations 5-16.
    """
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
    check_tensor(log_probs)
    return compute_loss(
        log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity,
        from_logits, loss_dtype(log_probs.dtype),
    )  # fmt: skip


def compute_loss(
    log_probs: Tensor,
    targets: IntegerArray,
    input_lengths: IntegerArray,
    target_lengths: IntegerArray,
    blank: int,
    reduction: Reduction,
    zero_infinity: bool,
    from_logits: bool,
    dtype: torch.dtype,
) -> Tensor:
    """`ctc_loss` in a dtype: the kernels sum in float64."""
    arguments = targets, input_lengths, target_lengths, blank, reduction, zero_infinity, from_logits
    if _is_traced(log_probs):
        from asr.ctc.operator import TracedLoss  # it needs this module

        integers_ = (torch.as_tensor(values) for values in arguments[:3])
        return TracedLoss.apply(log_probs, *integers_, *arguments[3:])[0].to(dtype)
    if log_probs.device.type not in ("cpu", "cuda", "meta"):
        return compute_loss(log_probs.cpu(), *arguments, dtype).to(log_probs.device)
    batched = log_probs.unsqueeze(1) if log_probs.dim() == 2 else log_probs
    run = prepare(batched, *arguments)
    needs_grad = torch.is_grad_enabled() and log_probs.requires_grad
    losses = _way(log_probs).differentiable.apply(batched, run, needs_grad, dtype)
    return losses.squeeze(0) if log_probs.dim() == 2 and reduction == "none" else losses


def prepare(
    log_probs: Tensor,
    targets: IntegerArray,
    input_lengths: IntegerArray,
    target_lengths: IntegerArray,
    blank: int,
    reduction: Reduction,
    zero_infinity: bool,
    from_logits: bool,
) -> Fit:
    """Check the arguments of `ctc_loss`, with (T, N, C); return what computes loss and gradient."""
    way = _way(log_probs)
    return partial(
        way.fit_and_reduce,
        batch=way.check_batch(log_probs, targets, input_lengths, target_lengths, blank),
        reduction=reduction,
        zero_infinity=zero_infinity,
        from_logits=from_logits,
    )


class CTCLoss(nn.Module):
    """`ctc_loss` as a module; the arguments are its."""

    def __init__(
        self,
        blank: int = 0,
        reduction: Reduction = "mean",
        zero_infinity: bool = False,
        *,
        from_logits: bool = False,
    ) -> None:
        super().__init__()
        self.blank = blank
        self.reduction: Reduction = reduction
        self.zero_infinity = zero_infinity
        self.from_logits = from_logits

    def forward(
        self,
        log_probs: Tensor,
        targets: IntegerArray,
        input_lengths: IntegerArray,
        target_lengths: IntegerArray,
    ) -> Tensor:
        """Return the loss of a batch."""
        return ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
            from_logits=self.from_logits,
        )


def check_batch(
    log_probs: Tensor,
    targets: IntegerArray,
    input_lengths: IntegerArray,
    target_lengths: IntegerArray,
    blank: int,
) -> Batch:
    """Check everything a kernel relies on, so that it can index without looking."""
    if log_probs.device.type != "cpu":
        raise ValueError(f"log_probs must be on the CPU, got {log_probs.device}")
    return check_on_host(log_probs, targets, input_lengths, target_lengths, blank)


def check_on_host(
    log_probs: Tensor,
    targets: IntegerArray,
    input_lengths: IntegerArray,
    target_lengths: IntegerArray,
    blank: int,
) -> Batch:
    """`check_batch` of log-probabilities anywhere: lengths and targets are brought to the host."""
    check_log_probs(log_probs, blank)
    max_frames, num_utterances, num_classes = log_probs.shape
    frames = integers("input_lengths", input_lengths).reshape(-1)
    flat = flatten_targets(targets, target_lengths)
    check_lengths("input_lengths", frames, num_utterances)
    check_lengths("target_lengths", flat.lengths, num_utterances)
    check_frames(frames, max_frames)
    check_labels(flat, num_classes, blank)
    return Batch(flat, frames, blank)


def _is_traced(log_probs: Tensor) -> bool:
    """Say whether `log_probs` may have no memory that kernels could read: see `operator`."""
    return (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or isinstance(log_probs, FakeTensor)
    )


def loss_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of a loss: half's own would overflow at 65504 nats."""
    return torch.float64 if dtype == torch.float64 else torch.float32


class _Loss(Function):
    """Computes the gradient together with the loss, when it is wanted."""

    @staticmethod
    def forward(
        ctx: Any,
        log_probs: Tensor,
        run: Fit,
        needs_grad: bool,
        dtype: torch.dtype,
    ) -> Tensor:
        loss, grad = run(log_probs, needs_grad=needs_grad)
        if grad is not None:
            ctx.save_for_backward(log_probs)
            ctx.grad = grad
            ctx.run = run
        return loss.to(dtype)

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad_output: Tensor
    ) -> tuple[Tensor | None, ...]:
        (log_probs,) = ctx.saved_tensors  # refuses where the graph was freed
        grad, ctx.grad = ctx.grad, None
        if grad is None:  # a retained graph: what was returned before is no longer ours
            _, grad = ctx.run(log_probs, needs_grad=True)
            assert grad is not None
        factor = grad_output[None, :, None] if grad_output.dim() == 1 else grad_output
        if torch.is_grad_enabled():
            grad = NoSecondDerivative.apply(grad, log_probs) * factor
        elif factor.dim() > 0 or factor.is_cuda or factor.item() != 1.0:  # a GPU is not waited for
            grad.mul_(factor)
        return grad.to(log_probs.dtype), None, None, None  # half only now: factors may be large


class NoSecondDerivative(Function):
    """The gradient, tied to its input by a node that refuses to be differentiated."""

    generate_vmap_rule = True

    @staticmethod
    def forward(grad: Tensor, log_probs: Tensor) -> Tensor:
        """Return the gradient."""
        return grad.view_as(grad)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        """Keep nothing: there is no way back."""

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad_output: Tensor
    ) -> tuple[None, None]:
        """Refuse."""
        raise RuntimeError("ctc_loss cannot be differentiated twice")


class _Way(NamedTuple):
    """What computes the loss of tensors on a kind of device."""

    check_batch: Callable[..., Any]
    fit_and_reduce: Fit
    differentiable: type[Function] = _Loss


def _way(log_probs: Tensor) -> _Way:
    """What computes the loss of these."""
    return _way_of_gpu() if is_on_gpu(log_probs) else _Way(check_batch, _fit_and_reduce)


@cache
def _way_of_gpu() -> _Way:
    """Ours, or PyTorch's where numba-cuda is missing. Imported late: most have no GPU."""
    try:
        from asr.ctc import cuda_loss
    except ImportError as error:
        from asr.ctc import torch_loss

        logger.warning(
            "the CTC loss on the GPU is PyTorch's, slower and less exact than ours, which needs "
            "numba-cuda (pip install 'ctc-asr[cuda]'): %s",
            error,
        )
        return _Way(torch_loss.check_batch, torch_loss.fit_and_reduce)
    return _Way(cuda_loss.check_batch, cuda_loss.fit_and_reduce, cuda_loss.Loss)


def _fit_and_reduce(
    log_probs: Tensor,
    batch: Batch,
    reduction: Reduction,
    zero_infinity: bool,
    from_logits: bool,
    needs_grad: bool,
) -> tuple[Tensor, Tensor | None]:
    """Return the reduced float64 loss, and its gradient if it is wanted."""
    weights = _gradient_weights(batch.targets.lengths, reduction)
    losses, grad = fit(log_probs, batch, weights, zero_infinity, from_logits, needs_grad)
    if reduction == "none":
        return torch.from_numpy(losses), grad
    return torch.scalar_tensor(losses.dot(weights), dtype=torch.float64), grad


def _gradient_weights(target_lengths: np.ndarray, reduction: Reduction) -> np.ndarray:
    """What "mean" divides each utterance by, known before the gradient is written."""
    if reduction != "mean":
        return np.ones(len(target_lengths))
    return 1.0 / (np.maximum(target_lengths, 1) * len(target_lengths))


def fit(
    log_probs: Tensor,
    batch: Batch,
    weights: np.ndarray,
    zero_infinity: bool,
    from_logits: bool,
    needs_grad: bool,
    posterior: np.ndarray | None = None,
) -> tuple[np.ndarray, Tensor | None]:
    """Run the kernel over a checked batch.

    Returns:
        (N,) float64 losses, and the (T, N, C) gradient times `weights`, float32 or float64.
    """
    max_frames, num_utterances, num_classes = log_probs.shape
    dtype = log_probs.dtype
    x = log_probs.detach()
    if dtype not in (torch.float32, torch.float64):
        x = x.float()
    grad = empty_like(x) if needs_grad else x.new_empty((0, 0, 0))
    losses = np.zeros(num_utterances)
    cost = batch.input_lengths * (2 * batch.targets.lengths + num_classes // 4 + 10)
    flat_grad, grad_strides = flat_memory(grad), np.array(grad.stride()[-3:], np.uint64)
    shared = (
        flat_memory(x), np.array(x.stride(), np.uint64), flat_grad, grad_strides,
        _NO_POSTERIOR if posterior is None else posterior, *batch.targets[:2],
        batch.input_lengths, batch.targets.lengths, weights, batch.blank, num_classes,
        from_logits, losses,
    )  # fmt: skip
    failed = np.full(num_utterances, dtype == torch.float64)
    if dtype != torch.float64:
        _run(cpu_kernels.fit_utterances, cost, (-cost).argsort(), (*shared, failed))
    if True in failed.tolist():  # a list is searched faster than a short array
        order = np.flatnonzero(failed)
        _run(cpu_kernels.fit_utterances_exactly, 10 * cost, order, shared)
    cpu_kernels.finish_gradients(
        flat_grad, grad_strides, batch.input_lengths, max_frames, num_classes, losses,
        zero_infinity,
    )  # fmt: skip
    return losses, grad if needs_grad else None


def _run(kernel: Callable[..., None], cost: np.ndarray, order: np.ndarray, rest: tuple) -> None:
    """Run a kernel over the utterances `order` on as many threads as `cost`, in ns, is worth."""
    counter = np.zeros(1, np.int64)
    run_on_threads(
        lambda: kernel(counter, order, *rest), thread_count(len(order), float(cost[order].sum()))
    )
