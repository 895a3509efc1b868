"""The loss where PyTorch looks at programs: torch.func, torch.compile and fake tensors."""

import pytest
import torch
from torch._subclasses import FakeTensorMode

from asr.ctc import ctc_loss
from asr.ctc.operator import ctc_loss_and_gradient
from tests.ctc_batches import fit, random_batch


def test_func_grad_equals_backward(rng):
    logits, *lengths = random_batch(rng, 20, 3, 6, 4)

    grad = torch.func.grad(
        lambda x: ctc_loss(x, *lengths, reduction="sum", from_logits=True)
    )(logits)  # fmt: skip

    assert torch.equal(grad, fit(logits, *lengths)[1])


def test_vmap_gives_the_gradient_of_each_utterance(rng):
    logits, *lengths = random_batch(rng, 20, 3, 6, 4)

    def loss_of_one(x, target, input_length, target_length):
        parts = target[None], input_length[None], target_length[None]
        return ctc_loss(x[:, None], *parts, reduction="sum", from_logits=True)

    grads = torch.vmap(torch.func.grad(loss_of_one), (1, 0, 0, 0), 1)(logits, *lengths)

    assert torch.equal(grads, fit(logits, *lengths)[1])


def test_func_grad_of_vmap_weighs_each_loss(rng):
    logits, *lengths = random_batch(rng, 20, 3, 6, 4)
    stacked, weights = torch.stack([logits, 2 * logits]), torch.tensor([3.0, -1.0])

    def weighted(xs):
        losses = torch.vmap(lambda x: ctc_loss(x, *lengths, reduction="sum", from_logits=True))(xs)
        return (weights * losses).sum()

    grad = torch.func.grad(weighted)(stacked)

    expected = [w * fit(x, *lengths)[1] for w, x in zip(weights, stacked, strict=True)]
    torch.testing.assert_close(grad, torch.stack(expected))


def test_func_grad_twice_is_refused(rng):
    logits, *lengths = random_batch(rng, 20, 3, 6, 4)

    def grad_sum(x):
        return torch.func.grad(lambda y: ctc_loss(y, *lengths, from_logits=True))(x).sum()

    with pytest.raises(RuntimeError, match="ctc_loss cannot be differentiated twice"):
        torch.func.grad(grad_sum)(logits)


# PyTorch's own: it makes an instance of each autograd.Function that it traces.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_compile_keeps_the_loss_in_one_graph(rng, reduction):
    logits, *lengths = random_batch(rng, 20, 3, 6, 4)
    weights = torch.tensor([1.0, 2.0, 3.0])

    def weighted(x):
        losses = ctc_loss(2 * x, *lengths, reduction=reduction, from_logits=True)
        return (losses * weights).sum()

    x, y = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    compiled = torch.compile(weighted, fullgraph=True, backend="aot_eager")(x)
    compiled.backward()
    weighted(y).backward()

    torch.testing.assert_close(compiled, weighted(y))
    torch.testing.assert_close(x.grad, y.grad)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_fake_tensors_have_the_shape_dtype_and_device_of_the_loss(device, reduction, dtype):
    with FakeTensorMode(), torch.device(device):
        logits = torch.randn(20, 3, 6, dtype=dtype, requires_grad=True)
        lengths = torch.ones(3, 4, dtype=torch.long), [20, 18, 15], torch.tensor([4, 3, 2])

        losses = ctc_loss(logits, *lengths, reduction=reduction, from_logits=True)

    assert losses.shape == ((3,) if reduction == "none" else ())
    assert losses.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert losses.device.type == device
    assert losses.requires_grad


def test_operator_passes_the_checks_of_pytorch(rng):
    logits, *lengths = random_batch(rng, 20, 3, 6, 4)
    ctc_loss(logits, *lengths)  # registers

    for reduction in ("none", "mean"):
        torch.library.opcheck(ctc_loss_and_gradient, (logits, *lengths, 0, reduction, False, True))
    torch.library.opcheck(
        ctc_loss_and_gradient,
        (logits[:, 0], lengths[0][0, :2], torch.tensor(20), torch.tensor(2), 0, "none", True, True),
    )
