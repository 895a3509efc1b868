"""`ctc_loss` as an operator of PyTorch's, for whoever looks at programs instead of running them.

torch.compile, `torch.func` and fake tensors see the call of an operator that has a shape, a
gradient and a rule for further dimensions; plain tensors go straight to the kernels, since an
operator's way through the dispatcher costs as much as the loss of a short utterance.
"""

# Autograd's context, and what it passes through, are whatever is put there.
# ruff: noqa: ANN401

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function

from asr.ctc.loss import NoSecondDerivative, Reduction, loss_dtype, prepare


@torch.library.custom_op("asr::ctc_loss", mutates_args=())
def ctc_loss_and_gradient(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    blank: int,
    reduction: str,
    zero_infinity: bool,
    from_logits: bool,
) -> tuple[Tensor, Tensor]:
    """Return the float64 loss of `ctc_loss`, and its gradient for a factor of 1."""
    batched = log_probs.unsqueeze(1) if log_probs.dim() == 2 else log_probs
    run = prepare(
        batched, targets, input_lengths, target_lengths, blank, cast("Reduction", reduction),
        zero_infinity, from_logits,
    )  # fmt: skip
    loss, grad = run(batched, needs_grad=True)
    assert grad is not None
    return loss.double().reshape(_loss_shape(log_probs, reduction)), grad.view_as(log_probs)


def _loss_shape(log_probs: Tensor, reduction: str) -> torch.Size:
    """(N,), or () for a loss that is reduced or of (T, C)."""
    return log_probs.shape[1:-1] if reduction == "none" else torch.Size()


@ctc_loss_and_gradient.register_fake
def _shapes(
    log_probs: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor,
    blank: int, reduction: str, zero_infinity: bool, from_logits: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    loss = log_probs.new_empty(_loss_shape(log_probs, reduction), dtype=torch.float64)
    return loss, torch.empty_like(log_probs, dtype=loss_dtype(log_probs.dtype))


@ctc_loss_and_gradient.register_vmap
def _one_by_one(
    info: Any,
    in_dims: tuple[int | None, ...],
    *arguments: Any,
) -> tuple[tuple[Tensor, ...], tuple[int, int]]:
    """Call the operator for each entry of the further dimension."""
    results = [
        ctc_loss_and_gradient(
            *(
                a if dim is None else a.select(dim, i)
                for a, dim in zip(arguments, in_dims, strict=True)
            )
        )
        for i in range(info.batch_size)
    ]
    return tuple(torch.stack(parts) for parts in zip(*results, strict=True)), (0, 0)


class TracedLoss(Function):
    """The loss of `ctc_loss_and_gradient`, with its gradient; takes the operator's arguments."""

    generate_vmap_rule = True

    @staticmethod
    def forward(*arguments: Any) -> tuple[Tensor, Tensor]:
        """Call the operator."""
        return ctc_loss_and_gradient(*arguments)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        """Keep the gradient for `backward`."""
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(inputs[0], output[1])

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,
        factor: Tensor,
        _: Tensor,
    ) -> tuple[Tensor | None, ...]:
        """Return the gradient times the factors of the losses."""
        log_probs, grad = ctx.saved_tensors
        if torch.is_grad_enabled():
            grad = NoSecondDerivative.apply(grad, log_probs)
        weights = factor[:, None] if factor.dim() else factor  # of the utterances
        return ((grad * weights).to(log_probs.dtype), *[None] * 7)
