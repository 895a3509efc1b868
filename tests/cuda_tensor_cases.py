"""The CTC loss on a GPU as a function of tensors: `ctc/test_cuda.py` runs this file."""

import pytest
import torch

from asr.ctc import ctc_loss
from tests.ctc_batches import assert_agree, random_batch, torch_fit
from tests.cuda_device import DEVICE, SIMULATED, fit_cuda, kernels, to_gpu  # noqa: F401

# Options and tensors.


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_reductions(rng, reduction):
    logits, *lengths = random_batch(rng, 9, 3, 5, 3)

    found = fit_cuda(logits, *lengths, reduction=reduction)

    assert_agree(found, torch_fit(logits, *lengths, reduction=reduction), atol=1e-6)


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_impossible_targets(rng, zero_infinity):
    logits = torch.from_numpy(rng.normal(size=(3, 3, 5))).float()
    arguments = logits, torch.tensor([[1, 1, 2], [1, 2, 3], [1, 2, 3]]), [3, 3, 2], [3, 3, 3]

    found = fit_cuda(*arguments, zero_infinity=zero_infinity)
    expected = torch_fit(*arguments, zero_infinity=zero_infinity)

    torch.testing.assert_close(found[0].double(), expected[0])
    torch.testing.assert_close(found[1].double(), expected[1], equal_nan=True, rtol=0, atol=1e-6)


@pytest.mark.parametrize("layout", ["NTC", "NCT", "sliced", "expanded"])
def test_any_strides(rng, layout):
    logits, *lengths = random_batch(rng, 8, 2, 5, 3)
    logits = {
        "NTC": logits.permute(1, 0, 2).contiguous().permute(1, 0, 2),
        "NCT": logits.permute(1, 2, 0).contiguous().permute(2, 0, 1),
        "sliced": torch.nn.functional.pad(logits, (2, 3, 1, 1, 1, 0))[1:, 1:-1, 2:-3],
        "expanded": logits[:, :1].expand(-1, 2, -1),
    }[layout]

    assert_agree(fit_cuda(logits, *lengths), torch_fit(logits, *lengths), atol=1e-6)


def test_without_batch_dimension(rng):
    logits = torch.from_numpy(rng.normal(size=(8, 5))).float()
    arguments = logits, torch.tensor([1, 2, 2]), torch.tensor(8), torch.tensor(3)

    found = fit_cuda(*arguments)

    assert found[0].shape == ()
    assert_agree(found, torch_fit(*arguments), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(rng, dtype):
    logits, *lengths = random_batch(rng, 8, 2, 5, 3)
    logits = logits.to(dtype)

    losses, grad = fit_cuda(logits, *lengths)

    expected = fit_cuda(logits.float(), *lengths)
    assert losses.dtype == torch.float32
    assert torch.equal(losses, expected[0])
    assert grad.dtype == dtype
    assert torch.equal(grad, expected[1].to(dtype))


def test_gradient_of_half_precision_is_scaled_in_float32(rng):
    logits, *lengths = random_batch(rng, 8, 2, 5, 3)
    x = logits.half().to(DEVICE).requires_grad_()
    loss = ctc_loss(x, *lengths, from_logits=True)

    # In float16 alone the factor would be infinite, and what it multiplies would lose its digits.
    (grad,) = torch.autograd.grad(2.0**17 * loss, x)

    exact = logits.half().float().to(DEVICE).requires_grad_()
    (expected,) = torch.autograd.grad(ctc_loss(exact, *lengths, from_logits=True), exact)
    assert torch.equal(grad, (2.0**17 * expected).half())


def test_each_utterance_has_its_factor(rng):
    logits, *lengths = random_batch(rng, 8, 3, 5, 3)
    factors = torch.tensor([2.0, 0.0, -0.5], device=DEVICE)
    x = logits.to(DEVICE, copy=True).requires_grad_()

    losses = ctc_loss(x, *lengths, reduction="none", from_logits=True)
    (found,) = torch.autograd.grad(losses, x, factors)

    expected = fit_cuda(logits, *lengths)[1] * factors.cpu()[:, None]
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-6, atol=0)


def test_same_value_with_and_without_gradient(rng):
    logits, *lengths = random_batch(rng, 9, 3, 5, 3)

    alone = ctc_loss(logits.to(DEVICE), *lengths, reduction="none", from_logits=True)

    assert not alone.requires_grad
    assert torch.equal(alone.cpu(), fit_cuda(logits, *lengths)[0])


def test_same_bits_again_and_alone(rng):
    arguments = random_batch(rng, 10, 3, 4, 5)
    losses, grad = fit_cuda(*arguments)

    again = fit_cuda(*arguments)
    assert torch.equal(again[0], losses)
    assert torch.equal(again[1], grad)
    for n in range(3):
        alone = fit_cuda(*(a[:, n : n + 1] if a.dim() == 3 else a[n : n + 1] for a in arguments))
        assert torch.equal(alone[0][0], losses[n])
        assert torch.equal(alone[1][:, 0], grad[:, n])


def test_retained_graph_gives_the_same_gradient_again(rng):
    logits, *lengths = random_batch(rng, 8, 2, 5, 3)
    x = logits.to(DEVICE).requires_grad_()
    found = 3.0 * ctc_loss(x, *lengths, from_logits=True)

    (first,) = torch.autograd.grad(found, x, retain_graph=True)
    kept = first.clone()
    first.mul_(7.0)
    (second,) = torch.autograd.grad(found, x)

    assert torch.equal(second, kept)


def test_second_derivative_is_refused(rng):
    logits, *lengths = random_batch(rng, 8, 2, 5, 3)
    x = logits.to(DEVICE).requires_grad_()
    (grad,) = torch.autograd.grad(ctc_loss(x, *lengths, from_logits=True), x, create_graph=True)

    with pytest.raises(RuntimeError, match="ctc_loss cannot be differentiated twice"):
        grad.sum().backward()


# Lengths and targets on either side.


@pytest.mark.parametrize("on_gpu", ["targets", "input_lengths", "target_lengths", "all"])
@pytest.mark.parametrize("kind", ["padded", "concatenated"])
def test_lengths_and_targets_on_the_gpu(rng, on_gpu, kind):
    logits, targets, input_lengths, target_lengths = random_batch(rng, 9, 3, 5, 4)
    if kind == "concatenated":
        targets = torch.cat([y[:s] for y, s in zip(targets, target_lengths, strict=True)])
    given = {
        "targets": targets,
        "input_lengths": input_lengths,
        "target_lengths": target_lengths,
    }
    expected = fit_cuda(logits, *given.values())

    for name in given if on_gpu == "all" else [on_gpu]:
        given[name] = to_gpu(given[name])
    found = fit_cuda(logits, *given.values())

    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


@pytest.mark.parametrize(
    ("targets", "input_lengths", "target_lengths"),
    [
        ([[1, 5], [1, 2]], [4, 4], [2, 2]),
        ([[1, -1], [1, 2]], [4, 4], [2, 2]),
        ([[1, 0], [1, 2]], [4, 4], [2, 2]),
        ([[1, 5, 1, 2, 3], [1, 2, 0, 0, 0]], [4, 4], [5, 2]),  # impossible besides
        ([[1, 2], [1, 2]], [5, 4], [2, 2]),
        ([[1, 2], [1, 2]], [-1, 4], [2, 2]),
        ([[1, 2], [1, 2]], [4, 4], [3, 2]),
        ([[1, 2], [1, 2]], [4, 4], [-1, 2]),
    ],
)
def test_values_on_the_gpu_that_do_not_fit_give_nan(targets, input_lengths, target_lengths):
    lengths = map(to_gpu, (targets, input_lengths, target_lengths))

    losses, grad = fit_cuda(torch.zeros(4, 2, 5), *lengths)

    assert torch.isnan(losses).tolist() == [True, False]
    assert torch.isnan(grad[:, 0]).all()
    assert torch.isfinite(grad[:, 1]).all()


def test_negative_length_in_a_concatenation_on_the_gpu_gives_nan_throughout():
    lengths = map(to_gpu, ([1, 2, 3, 4], [4, 4, 4], [2, -1, 2]))

    assert torch.isnan(fit_cuda(torch.zeros(4, 3, 5), *lengths)[0]).all()


@pytest.mark.parametrize(
    ("targets", "input_lengths", "target_lengths", "message"),
    [
        ([[1, 5]], [4], [2], r"utterance 0: a label must be in 0..4, got 5 at position 1"),
        ([[1, 2]], [5], [2], r"input_lengths\[0\] must be in 0..4, got 5"),
        ([[1, 2]], [4], [3], r"target_lengths\[0\] must be <= 2"),
        ([[1, 2]], [4, 4], [2], r"input_lengths must have 1 entries, got 2"),
        (to_gpu([[1, 2]]), [4], [3], r"target_lengths\[0\] must be <= 2"),
        (to_gpu([[1, 2]]), to_gpu([4, 4]), to_gpu([2]), r"input_lengths must have 1 entries"),
        (to_gpu([[1, 2]]), [4], to_gpu([2, 2]), r"must have 2 rows"),
    ],
)
def test_what_the_host_can_see_is_checked(targets, input_lengths, target_lengths, message):
    with pytest.raises(ValueError, match=message):
        ctc_loss(torch.zeros(4, 1, 5, device=DEVICE), targets, input_lengths, target_lengths)


def test_log_probs_are_checked():
    arguments = [[1]], [4], [1]

    with pytest.raises(ValueError, match=r"blank must be in 0..4, got 5"):
        ctc_loss(torch.zeros(4, 1, 5, device=DEVICE), *arguments, blank=5)
    with pytest.raises(TypeError, match="floating"):
        ctc_loss(torch.zeros(4, 1, 5, device=DEVICE, dtype=torch.int64), *arguments)
    with pytest.raises(ValueError, match="must have shape"):
        ctc_loss(torch.zeros(4, device=DEVICE), *arguments)


# On a GPU alone.

needs_gpu = pytest.mark.skipif(SIMULATED, reason="needs a CUDA device")


@needs_gpu
def test_nobody_waits_for_the_gpu(rng):
    logits, *lengths = random_batch(rng, 40, 4, 29, 10)
    x, lengths = logits.cuda().requires_grad_(), [v.cuda() for v in lengths]
    ctc_loss(x, *lengths, from_logits=True).backward()
    torch.cuda.synchronize()

    torch.cuda.set_sync_debug_mode("error")
    try:
        ctc_loss(x, *lengths, from_logits=True).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@needs_gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_second_gpu(rng):
    logits, *lengths = random_batch(rng, 40, 4, 29, 10)
    expected = fit_cuda(logits, *lengths)
    x = logits.to("cuda:1").requires_grad_()

    losses = ctc_loss(x, *lengths, reduction="none", from_logits=True)
    losses.sum().backward()

    assert losses.device == x.grad.device == torch.device("cuda:1")
    assert torch.equal(losses.cpu(), expected[0])
    assert torch.equal(x.grad.cpu(), expected[1])


@needs_gpu
def test_stream_of_the_caller_is_used(rng):
    logits, *lengths = random_batch(rng, 40, 4, 29, 10)
    expected = fit_cuda(logits, *lengths)
    stream = torch.cuda.Stream()

    with torch.cuda.stream(stream):
        torch.cuda._sleep(10_000_000)
        found = fit_cuda(logits, *lengths)

    assert torch.equal(found[1], expected[1])
