"""The CTC loss against the float64 oracle, and against PyTorch where PyTorch is right."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.ctc import ctc_loss, forced_align
from tests import fuzz_ctc
from tests.ctc_batches import assert_agree, fit, random_batch, torch_ctc_loss, torch_fit
from tests.oracles import ctc as oracle

# Against the oracles.


@pytest.mark.parametrize("target", [(), (1,), (2, 1), (1, 1), (1, 2, 1), (2, 2, 1)])
@pytest.mark.parametrize("blank", [0, 3])
def test_ctc_loss_equals_enumeration(rng, target, blank):
    log_probs = oracle.log_softmax(rng.normal(size=(5, 4)))

    loss = ctc_loss(
        torch.from_numpy(log_probs).float(), list(target), [5], [len(target)], blank, "sum"
    )

    assert loss.item() == pytest.approx(oracle.enumerate_loss(log_probs, target, blank), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0, 1e4])
def test_ctc_loss_equals_oracle(rng, dtype, from_logits, scale):
    logits = torch.from_numpy(rng.normal(size=(40, 6), scale=scale)).to(dtype)
    target = rng.integers(1, 6, 9)
    given_ = logits if from_logits else logits.log_softmax(-1)
    log_probs = oracle.log_softmax(logits) if from_logits else given_.double().numpy()
    loss, by_class, _ = oracle.forward_backward(log_probs, target)

    found, grad = fit(given_, target, [40], [9], reduction="sum", from_logits=from_logits)

    assert found.item() == pytest.approx(loss, rel=1e-5)
    expected = np.exp(log_probs) * from_logits - by_class
    np.testing.assert_allclose(grad.numpy(), expected, atol=5e-6)


def test_ctc_loss_float64_gradient_passes_gradcheck(rng):
    logits = torch.from_numpy(rng.normal(size=(6, 2, 4))).requires_grad_()

    for from_logits in (True, False):
        assert torch.autograd.gradcheck(
            lambda x, f=from_logits: ctc_loss(x, [[1, 2], [3, 3]], [6, 5], [2, 2], from_logits=f),
            logits,
        )


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_frames=st.integers(1, 40),
    num_classes=st.integers(2, 40),
    num_labels=st.integers(0, 20),
    scale=st.sampled_from([0.1, 1.0, 10.0, 50.0]),
)
def test_ctc_loss_equals_torch_on_any_shape(seed, num_frames, num_classes, num_labels, scale):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(num_frames, 3, num_classes), scale=scale)).float()
    targets = torch.from_numpy(rng.integers(1, num_classes, (3, num_labels)))
    input_lengths = torch.from_numpy(rng.integers(1, num_frames + 1, 3))
    target_lengths = torch.from_numpy(rng.integers(0, num_labels + 1, 3))
    arguments = logits, targets, input_lengths, target_lengths

    assert_agree(fit(*arguments, zero_infinity=True), torch_fit(*arguments, zero_infinity=True))


@pytest.mark.parametrize(
    "shape", [(150, 3, 29, 60), (97, 2, 29, 40), (60, 2, 300, 20), (700, 2, 29, 290)]
)
def test_ctc_loss_equals_torch_on_long_inputs(rng, shape):
    arguments = random_batch(rng, *shape)

    assert_agree(fit(*arguments), torch_fit(*arguments), atol=1e-6)


def test_ctc_loss_with_confident_posteriors(rng):
    logits, targets, input_lengths, target_lengths = random_batch(rng, 200, 3, 29, 30)
    logits[..., 0] += 20.0

    arguments = logits, targets, input_lengths, target_lengths

    assert_agree(fit(*arguments), torch_fit(*arguments))


def test_ctc_loss_where_drifting_logits_leave_the_range_of_blocks(rng):
    logits, targets, input_lengths, target_lengths = random_batch(rng, 120, 2, 12, 20)
    logits += torch.linspace(0, 300, 120)[:, None, None] * torch.arange(12) / 11

    arguments = logits, targets, input_lengths, target_lengths

    assert_agree(fit(*arguments), torch_fit(*arguments))


@pytest.mark.parametrize("blanks_lead", [50, 60, 66, 74, 82, 200])
def test_ctc_loss_without_gradient_where_blanks_are_far_too_sure(rng, blanks_lead):
    logits = torch.from_numpy(rng.normal(size=(200, 4, 29))).float()
    logits[..., 0] += blanks_lead
    targets = torch.from_numpy(rng.integers(1, 29, (4, 60)))
    lengths = [200, 190, 150, 70], [60, 55, 60, 60]
    expected = torch_ctc_loss(logits.double().log_softmax(-1), targets, *lengths, reduction="none")

    losses = ctc_loss(logits, targets, *lengths, reduction="none", from_logits=True)

    torch.testing.assert_close(losses.double(), expected, rtol=1e-6, atol=0)


def test_ctc_loss_keeps_an_alignment_through_emissions_that_float32_cannot_hold():
    # Two alignments of about equal mass; each has a frame below exp(-88) of the frame's greatest.
    log_probs = torch.tensor([[-120.0, -60.0, 0.0], [0.0, -61.0, -1.0], [-90.0, -30.0, 0.0]])
    loss, by_class, _ = oracle.forward_backward(log_probs, [1])

    found, grad = fit(log_probs, [1], [3], [1], reduction="sum", from_logits=False)

    assert found.item() == pytest.approx(loss, rel=1e-6)
    np.testing.assert_allclose(grad.numpy(), -by_class, atol=1e-6)


# Named cases of PyTorch's own tests.


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("kind", ["tensor", "list", "int32", "tuple"])
def test_ctc_loss_reductions_and_kinds_of_lengths(rng, reduction, kind):
    logits, targets, input_lengths, target_lengths = random_batch(rng, 30, 4, 8, 10)
    convert = {
        "tensor": lambda v: v,
        "list": lambda v: v.tolist(),
        "int32": lambda v: v.int(),
        "tuple": lambda v: tuple(v.tolist()),
    }[kind]
    expected = torch_fit(logits, targets, input_lengths, target_lengths, reduction=reduction)

    found = fit(
        logits, targets, convert(input_lengths), convert(target_lengths), reduction=reduction
    )

    assert_agree(found, expected)


def test_ctc_loss_mean_divides_by_lengths_of_at_least_one(rng):
    logits = torch.from_numpy(rng.normal(size=(4, 2, 5))).float()
    arguments = logits, torch.tensor([[1, 2], [0, 0]]), [4, 4], [2, 0]

    assert_agree(fit(*arguments, reduction="mean"), torch_fit(*arguments, reduction="mean"))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_ctc_loss_concatenated_targets_equal_padded(rng, reduction):
    logits, targets, input_lengths, target_lengths = random_batch(rng, 30, 4, 8, 10)
    flat = torch.cat([y[:s] for y, s in zip(targets, target_lengths, strict=True)])

    padded = fit(logits, targets, input_lengths, target_lengths, reduction=reduction)
    concatenated = fit(logits, flat, input_lengths, target_lengths, reduction=reduction)

    assert torch.equal(padded[0], concatenated[0])
    assert torch.equal(padded[1], concatenated[1])


def test_ctc_loss_target_length_256(rng):
    logits = torch.from_numpy(rng.normal(size=(600, 2, 20))).float()
    targets = torch.from_numpy(rng.integers(1, 20, (2, 256)))
    arguments = logits, targets, torch.tensor([600, 560]), torch.tensor([256, 256])

    assert_agree(fit(*arguments), torch_fit(*arguments))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_ctc_loss_without_batch_dimension(rng, reduction):
    logits = torch.from_numpy(rng.normal(size=(12, 5))).float()
    arguments = logits, torch.tensor([1, 2, 2]), torch.tensor(12), torch.tensor(3)

    found = fit(*arguments, reduction=reduction)

    assert found[0].shape == ()
    assert_agree(found, torch_fit(*arguments, reduction=reduction))


@pytest.mark.parametrize("blank", [0, 3, 7])
def test_ctc_loss_any_blank(rng, blank):
    logits = torch.from_numpy(rng.normal(size=(20, 2, 8))).float()
    labels = [k for k in range(8) if k != blank]
    targets = torch.from_numpy(rng.choice(labels, (2, 6)))
    arguments = logits, targets, torch.tensor([20, 15]), torch.tensor([6, 4])

    assert_agree(fit(*arguments, blank=blank), torch_fit(*arguments, blank=blank))


def test_ctc_loss_empty_targets(rng):
    logits = torch.from_numpy(rng.normal(size=(9, 2, 4))).float()
    arguments = logits, torch.zeros((2, 0), dtype=torch.long), torch.tensor([9, 5]), [0, 0]

    found = fit(*arguments)

    expected = -logits.double().log_softmax(-1)[..., 0].cumsum(0)
    torch.testing.assert_close(found[0].double(), expected[[8, 4], [0, 1]])
    assert torch.isfinite(found[1]).all()


def test_ctc_loss_without_frames(rng):
    logits = torch.from_numpy(rng.normal(size=(3, 3, 5))).float()

    losses, grad = fit(logits, [[1, 1], [1, 2], [1, 2]], [0, 0, 3], [0, 2, 2])

    assert losses[0] == 0.0
    assert losses[1] == np.inf
    assert torch.isfinite(losses[2])
    assert (grad[:, :2] == 0).all()


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_ctc_loss_of_impossible_targets(rng, zero_infinity):
    logits = torch.from_numpy(rng.normal(size=(3, 2, 5))).float()
    arguments = logits, torch.tensor([[1, 1, 2], [1, 2, 3]]), [3, 3], [3, 3]

    found = fit(*arguments, zero_infinity=zero_infinity)
    expected = torch_fit(*arguments, zero_infinity=zero_infinity)

    torch.testing.assert_close(found[0].double(), expected[0])
    torch.testing.assert_close(found[1].double(), expected[1], equal_nan=True, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("targets", "input_lengths", "target_lengths", "message"),
    [
        ([[1, 5]], [4], [2], r"utterance 0: a label must be in 0..4, got 5 at position 1"),
        ([[1, -1]], [4], [2], r"utterance 0: a label must be in 0..4, got -1 at position 1"),
        ([[1, 2]], [5], [2], r"input_lengths\[0\] must be in 0..4, got 5"),
        ([[1, 2]], [-1], [2], r"input_lengths\[0\] must be in 0..4, got -1"),
        ([[1, 2]], [4], [3], r"target_lengths\[0\] must be <= 2"),
        ([[1, 2]], [4], [-1], r"target_lengths\[0\] must be >= 0, got -1"),
        ([1, 2], [4], [3], r"hold 2 labels, target_lengths sum to 3"),
        ([1, 2, 3], [4], [2], r"hold 3 labels, target_lengths sum to 2"),
        ([[1, 2]], [4, 4], [2], r"input_lengths must have 1 entries, got 2"),
        ([[0, 2]], [4], [2], r"utterance 0: the blank 0 must not occur in a target, got 0"),
    ],
)
def test_ctc_loss_refuses_what_kernels_could_not_index(
    targets, input_lengths, target_lengths, message
):
    with pytest.raises(ValueError, match=message):
        ctc_loss(torch.zeros(4, 1, 5), torch.tensor(targets), input_lengths, target_lengths)


def test_ctc_loss_ignores_what_lies_beyond_a_target(rng):
    logits = torch.from_numpy(rng.normal(size=(6, 1, 5))).float()

    padded = fit(logits, torch.tensor([[1, 2, 0, -1, 99]]), [6], [2])

    assert torch.equal(padded[0], fit(logits, torch.tensor([[1, 2]]), [6], [2])[0])


def test_ctc_loss_refuses_an_unknown_reduction():
    with pytest.raises(ValueError, match="reduction must be"):
        ctc_loss(torch.zeros(4, 1, 5), [[1]], [4], [1], reduction="average")


def test_ctc_loss_refuses_integers():
    with pytest.raises(TypeError, match="floating"):
        ctc_loss(torch.zeros(4, 1, 5, dtype=torch.int64), [[1]], [4], [1])


# What comes in, comes out of that utterance only.


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("value", [np.nan, -np.nan])
def test_ctc_loss_keeps_nan_to_its_utterance(rng, from_logits, value):
    logits = torch.from_numpy(rng.normal(size=(8, 3, 5))).float()
    bits = np.float32(value)
    logits[2, 1, 4] = float(np.copysign(np.float32(np.nan), bits))

    losses, grad = fit(logits, [[1], [2], [3]], [8, 8, 8], [1, 1, 1], from_logits=from_logits)

    assert torch.isnan(losses).tolist() == [False, True, False]
    assert torch.isnan(grad).any(0).any(1).tolist() == [False, True, False]


def test_ctc_loss_does_not_look_beyond_the_input_length(rng):
    logits = torch.from_numpy(rng.normal(size=(8, 1, 5))).float()
    logits[6:] = np.nan

    losses, grad = fit(logits, [[1]], [6], [1])

    assert torch.isfinite(losses).all()
    assert (grad[6:] == 0).all()


def test_ctc_loss_with_a_masked_class(rng):
    logits = torch.from_numpy(rng.normal(size=(10, 1, 6))).float()
    logits[:, :, 5] = -np.inf
    loss, by_class, _ = oracle.forward_backward(
        oracle.log_softmax(logits[:, 0, :5].numpy()), [1, 2]
    )

    losses, grad = fit(logits, [[1, 2]], [10], [2])

    assert losses.item() == pytest.approx(loss, rel=1e-6)
    expected = logits[:, 0, :5].softmax(-1).numpy() - by_class
    np.testing.assert_allclose(grad[:, 0, :5].numpy(), expected, atol=1e-6)
    assert (grad[:, 0, 5] == 0).all()


def test_ctc_loss_of_a_masked_label_is_infinite(rng):
    logits = torch.from_numpy(rng.normal(size=(10, 1, 6))).float()
    logits[:, :, 2] = -np.inf

    assert fit(logits, [[1, 2]], [10], [2])[0].item() == np.inf
    assert fit(logits, [[1, 2]], [10], [2], zero_infinity=True)[1].abs().max() == 0


def test_ctc_loss_does_not_depend_on_the_other_utterances(rng):
    arguments = random_batch(rng, 40, 5, 10, 8)
    losses, grad = fit(*arguments)

    for n in range(5):
        alone = fit(*(a[:, n : n + 1] if a.dim() == 3 else a[n : n + 1] for a in arguments))
        assert torch.equal(alone[0][0], losses[n])
        assert torch.equal(alone[1][:, 0], grad[:, n])


# Every kind of input at random.


def test_fuzz_of_every_kind_finds_no_mismatch():
    assert [message for message in map(fuzz_ctc.check, range(5200, 5340)) if message] == []


def test_fuzz_case_whose_occupancies_all_vanish_is_computed_exactly():
    # Once a division by 0: every occupancy of a frame underflowed.
    assert fuzz_ctc.check(20440, "confidently wrong") is None


def test_what_is_no_tensor_is_named():
    array = np.log(np.full((4, 1, 3), 1 / 3, np.float32))

    for function in (ctc_loss, forced_align):
        with pytest.raises(TypeError, match="log_probs must be a torch tensor, got ndarray"):
            function(array, [[1]], [4], [1])


def test_targets_of_different_lengths_are_told_to_be_padded():
    log_probs = torch.full((4, 2, 3), 1 / 3).log()

    with pytest.raises(ValueError, match="targets must be one array: pad lists of different"):
        ctc_loss(log_probs, [[1], [1, 2]], [4, 4], [1, 2])
