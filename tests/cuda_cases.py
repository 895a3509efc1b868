"""Losses and gradients of the CTC loss on a GPU: `ctc/test_cuda.py` runs this file."""

import numpy as np
import pytest
import torch

from asr.ctc import ctc_loss, cuda_kernels, cuda_loss
from tests import fuzz_ctc
from tests.ctc_batches import assert_agree, random_batch, torch_fit
from tests.cuda_device import DEVICE, SIMULATED, fit_cuda, kernels  # noqa: F401
from tests.oracles import ctc as oracle

# Against the oracles.


@pytest.mark.parametrize("target", [(), (1,), (2, 1), (1, 1), (1, 2, 1), (2, 2, 1)])
@pytest.mark.parametrize("blank", [0, 3])
def test_loss_equals_enumeration(rng, target, blank):
    log_probs = oracle.log_softmax(rng.normal(size=(5, 4)))

    found = ctc_loss(
        torch.from_numpy(log_probs).float().to(DEVICE),
        list(target),
        [5],
        [len(target)],
        blank,
        "sum",
    )

    assert found.item() == pytest.approx(oracle.enumerate_loss(log_probs, target, blank), rel=1e-6)


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_loss_and_gradient_equal_oracle(rng, from_logits, scale):
    logits = torch.from_numpy(rng.normal(size=(14, 1, 6), scale=scale)).float()
    target = rng.integers(1, 6, 5)
    given = logits if from_logits else logits.log_softmax(-1)
    log_probs = oracle.log_softmax(logits[:, 0]) if from_logits else given[:, 0].double().numpy()
    expected, by_class, _ = oracle.forward_backward(log_probs, target)

    losses, grad = fit_cuda(given, target[None], [14], [5], from_logits=from_logits)

    assert losses.item() == pytest.approx(expected, rel=1e-6)
    want = np.exp(log_probs) * from_logits - by_class
    np.testing.assert_allclose(grad[:, 0].numpy(), want, atol=1e-6)


def test_float64_is_float64(rng):
    logits, *lengths = random_batch(rng, 12, 2, 5, 4)
    logits = logits.double()

    losses, grad = fit_cuda(logits, *lengths)

    expected = torch_fit(logits, *lengths)
    assert losses.dtype == grad.dtype == torch.float64
    torch.testing.assert_close(losses, expected[0], rtol=1e-13, atol=0)
    torch.testing.assert_close(grad, expected[1], rtol=0, atol=1e-13)


def smallest_case(kind, seeds=200):
    """Seed of the case of that kind which takes the simulator least."""

    def work(seed):
        case = fuzz_ctc.make_case(seed)
        frames, utterances, _ = case["logits"].shape
        # Two frames for the recursion to be one; some labels for it to be about something.
        trivial = kind not in ("one frame", "empty targets") and (
            frames < 8 or case["lengths"][2].max() < 3
        )
        return trivial, frames * utterances

    first = fuzz_ctc.KINDS.index(kind)
    return min(range(first, seeds, len(fuzz_ctc.KINDS)), key=work)


@pytest.mark.parametrize("kind", fuzz_ctc.KINDS)
def test_every_kind_of_the_fuzzer(kind, monkeypatch):
    monkeypatch.setattr(
        fuzz_ctc, "ctc_loss", lambda x, *a, **options: ctc_loss(x.to(DEVICE), *a, **options).cpu()
    )
    first = fuzz_ctc.KINDS.index(kind)
    seeds = [smallest_case(kind)] if SIMULATED else range(first, 1300, len(fuzz_ctc.KINDS))

    assert [message for message in map(fuzz_ctc.check, seeds) if message] == []


@pytest.mark.skipif(not SIMULATED, reason="calls functions of the device")
@pytest.mark.parametrize(
    ("m", "k", "expected"),
    [
        (1.0, 3, (1.0, 3)),
        (2.0**-240, 3, (1.0, 2)),
        (2.0**241, 3, (2.0, 4)),
        (0.0, 3, (0.0, cuda_kernels.LOWEST)),  # else it could hide what is added to it
        (1.0, cuda_kernels.LOWEST - 1, (0.0, cuda_kernels.LOWEST)),
    ],
)
def test_numbers_are_brought_into_their_range(m, k, expected):
    assert cuda_kernels._normalised(m, np.int32(k)) == expected


# Sizes.


@pytest.mark.parametrize("num_labels", [257, pytest.param(600, marks=pytest.mark.slow)])
def test_target_longer_than_256(rng, num_labels):
    num_frames = num_labels + 12
    logits = torch.from_numpy(rng.normal(size=(num_frames, 1, 20))).float()
    arguments = logits, torch.arange(num_labels)[None] % 19 + 1, [num_frames], [num_labels]

    assert_agree(fit_cuda(*arguments), torch_fit(*arguments), atol=1e-6)


@pytest.mark.parametrize("num_labels", [0, 1, 31, 32, pytest.param(63, marks=pytest.mark.slow), 64])
def test_target_at_the_edges_of_lanes(rng, num_labels):
    logits = torch.from_numpy(rng.normal(size=(num_labels + 1, 1, 70))).float()
    targets = torch.arange(num_labels)[None] % 69 + 1
    arguments = logits, targets, [num_labels + 1], [num_labels]

    assert_agree(fit_cuda(*arguments), torch_fit(*arguments), atol=1e-6)


@pytest.mark.parametrize(
    ("num_labels", "warps", "pairs"),
    [(0, 1, 1), (31, 1, 1), (32, 1, 2), (95, 1, 3), (127, 1, 4), (128, 1, 6), (191, 1, 6),
     (192, 2, 4), (256, 2, 6), (511, 4, 4), (512, 4, 6), (1000, 8, 4), (1535, 8, 6),
     (1536, 8, 8), (2500, 8, 12)],
)  # fmt: skip
def test_shape_of_direction(num_labels, warps, pairs):
    assert cuda_loss.shape_of_direction(num_labels) == (warps, pairs)
    assert warps * pairs * cuda_kernels.WARP > num_labels


def test_one_frame(rng):
    logits = torch.from_numpy(rng.normal(size=(1, 2, 4))).float()
    arguments = logits, torch.tensor([[2], [0]]), [1, 1], [1, 0]

    assert_agree(fit_cuda(*arguments), torch_fit(*arguments), atol=1e-6)


def test_without_frames(rng):
    logits = torch.from_numpy(rng.normal(size=(3, 3, 5))).float()

    losses, grad = fit_cuda(logits, [[1, 1], [1, 2], [1, 2]], [0, 0, 3], [0, 2, 2])

    assert losses[:2].tolist() == [0.0, np.inf]
    assert torch.isfinite(losses[2])
    assert (grad[:, :2] == 0).all()


def test_no_frames_at_all():
    losses, _ = fit_cuda(torch.zeros((0, 2, 4)), [[1], [1]], [0, 0], [0, 1])
    assert losses.tolist() == [0.0, np.inf]


@pytest.mark.parametrize("blank", [0, 3, 7])
def test_any_blank(rng, blank):
    logits = torch.from_numpy(rng.normal(size=(10, 2, 8))).float()
    labels = [k for k in range(8) if k != blank]
    targets = torch.from_numpy(rng.choice(labels, (2, 4)))
    arguments = logits, targets, torch.tensor([10, 8]), torch.tensor([4, 3])

    found = fit_cuda(*arguments, blank=blank)

    assert_agree(found, torch_fit(*arguments, blank=blank), atol=1e-6)


# What comes in, comes out of that utterance only.


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_ill_frames_stay_in_their_utterance(rng, from_logits, value):
    logits = torch.from_numpy(rng.normal(size=(6, 3, 5))).float()
    logits[2, 1, 4] = value

    losses, grad = fit_cuda(logits, [[1], [2], [3]], [6, 6, 6], [1, 1, 1], from_logits=from_logits)

    assert torch.isnan(losses).tolist() == [False, True, False]
    assert torch.isnan(grad).all(0).all(1).tolist() == [False, True, False]
    assert torch.isfinite(grad[:, [0, 2]]).all()


def test_frame_of_logits_without_any_probability_is_ill():
    logits = torch.zeros((2, 1, 3))
    logits[1] = -torch.inf

    losses, grad = fit_cuda(logits, [[1]], [2], [1])

    assert torch.isnan(losses).all()
    assert torch.isnan(grad).all()


def test_zero_infinity_does_not_hide_ill_frames():
    losses, grad = fit_cuda(torch.full((2, 1, 3), torch.nan), [[1]], [2], [1], zero_infinity=True)

    assert torch.isnan(losses).all()
    assert torch.isnan(grad).all()


def test_impossible_target_has_an_infinite_loss_whatever_its_frames_hold():
    logits = torch.full((3, 2, 5), torch.nan)

    assert fit_cuda(logits, [[1, 1], [1, 2]], [2, 3], [2, 2])[0].isinf().tolist() == [True, False]


def test_frames_beyond_the_input_length_are_not_looked_at(rng):
    logits = torch.from_numpy(rng.normal(size=(8, 1, 5))).float()
    logits[6:] = np.nan

    losses, grad = fit_cuda(logits, [[1]], [6], [1])

    assert torch.isfinite(losses).all()
    assert (grad[6:] == 0).all()


@pytest.mark.parametrize("value", [-np.inf, -1e9])
def test_masked_class(rng, value):
    logits = torch.from_numpy(rng.normal(size=(10, 1, 6))).float()
    logits[:, :, 5] = value
    log_probs = oracle.log_softmax(logits[:, 0, :5].numpy())
    expected, by_class, _ = oracle.forward_backward(log_probs, [1, 2])

    losses, grad = fit_cuda(logits, [[1, 2]], [10], [2])

    assert losses.item() == pytest.approx(expected, rel=1e-6)
    want = logits[:, 0, :5].softmax(-1).numpy() - by_class
    np.testing.assert_allclose(grad[:, 0, :5].numpy(), want, atol=1e-6)
    assert (grad[:, 0, 5] == 0).all()


def test_masked_label_has_an_infinite_loss(rng):
    logits = torch.from_numpy(rng.normal(size=(8, 1, 6))).float()
    logits[:, :, 2] = -np.inf

    assert fit_cuda(logits, [[1, 2]], [8], [2])[0].item() == np.inf
    assert fit_cuda(logits, [[1, 2]], [8], [2], zero_infinity=True)[1].abs().max() == 0


def test_label_masked_by_a_large_number_has_a_large_loss(rng):
    logits = torch.from_numpy(rng.normal(size=(8, 1, 6))).float()
    logits[:, :, 2] = -1e9

    losses, grad = fit_cuda(logits, [[2, 2]], [8], [2])

    assert losses.item() == pytest.approx(2e9, rel=1e-6)
    assert torch.isfinite(grad).all()


needs_gpu = pytest.mark.skipif(SIMULATED, reason="needs a CUDA device")


@needs_gpu
@pytest.mark.parametrize(
    "shape", [(400, 16, 29, 80), (750, 32, 29, 150), (300, 4, 5000, 60), (1500, 4, 29, 400)]
)
def test_large_batches_equal_torch_in_float64(rng, shape):
    arguments = random_batch(rng, *shape)

    assert_agree(fit_cuda(*arguments), torch_fit(*arguments), atol=1e-6)
