"""Best paths against the oracle and torchaudio; occupancies against the oracle."""

import numpy as np
import pytest
import torch
import torchaudio

from asr.ctc import ctc_loss, forced_align, occupancies
from tests.oracles import ctc as oracle


def random_log_probs(rng, *shape):
    return torch.from_numpy(oracle.log_softmax(2 * rng.normal(size=shape))).float()


@pytest.mark.parametrize("blank", [0, 4])
@pytest.mark.parametrize("target", [[], [1], [1, 1], [2, 1, 1, 3]])
def test_forced_align_finds_the_best_path(rng, target, blank):
    log_probs = random_log_probs(rng, 9, 5)

    path, scores = forced_align(log_probs, target, [9], [len(target)], blank)

    assert path.tolist() == oracle.viterbi(log_probs, target, blank)
    assert torch.equal(scores, log_probs[torch.arange(9), path])


@pytest.mark.parametrize("shape", [(60, 29, 12), (300, 29, 90), (40, 300, 15), (33, 6, 25)])
def test_forced_align_equals_torchaudio(rng, shape):
    num_frames, num_classes, num_labels = shape
    log_probs = random_log_probs(rng, num_frames, num_classes)
    target = torch.from_numpy(rng.permutation(num_labels) % (num_classes - 1) + 1)

    path, scores = forced_align(log_probs, target, [num_frames], [num_labels])

    expected = torchaudio.functional.forced_align(log_probs[None], target[None], blank=0)
    assert torch.equal(path, expected[0][0].long())
    torch.testing.assert_close(scores, expected[1][0])


def test_forced_align_of_a_batch_is_that_of_each(rng):
    log_probs = random_log_probs(rng, 30, 4, 8)
    targets = torch.from_numpy(rng.integers(1, 8, (4, 7)))
    input_lengths, target_lengths = torch.tensor([30, 21, 18, 25]), torch.tensor([7, 0, 3, 5])

    paths, scores = forced_align(log_probs, targets, input_lengths, target_lengths)

    assert paths.shape == scores.shape == (4, 30)
    for n in range(4):
        num_frames, num_labels = input_lengths[n], target_lengths[n]
        alone = forced_align(
            log_probs[:num_frames, n], targets[n, :num_labels], [num_frames], [num_labels]
        )
        assert torch.equal(paths[n, :num_frames], alone[0])
        assert (paths[n, num_frames:] == 0).all()
        assert (scores[n, num_frames:] == 0).all()


def test_forced_align_spells_the_target(rng):
    log_probs = random_log_probs(rng, 50, 6)
    target = rng.integers(1, 6, 20)

    path, _ = forced_align(log_probs, target, [50], [20])

    assert oracle.collapse(path.tolist()) == tuple(target)


def test_forced_align_refuses_a_target_that_does_not_fit(rng):
    with pytest.raises(ValueError, match=r"utterance 1 cannot be aligned: T = 2 .* at least 3"):
        forced_align(random_log_probs(rng, 4, 2, 5), [[1, 2], [1, 1]], [4, 2], [2, 2])


def test_forced_align_refuses_nan(rng):
    log_probs = random_log_probs(rng, 4, 1, 5)
    log_probs[2] = np.nan

    with pytest.raises(ValueError, match="utterance 0"):
        forced_align(log_probs, [[1, 2]], [4], [2])


def test_occupancies_equal_oracle(rng):
    log_probs, target = random_log_probs(rng, 20, 6), rng.integers(1, 6, 7)

    found = occupancies(log_probs, target, [20], [7])

    np.testing.assert_allclose(found, oracle.forward_backward(log_probs, target)[2], atol=1e-6)


def test_occupancies_are_those_of_the_gradient(rng):
    log_probs = random_log_probs(rng, 40, 3, 8).requires_grad_()
    targets = torch.from_numpy(rng.integers(1, 8, (3, 9)))
    input_lengths, target_lengths = [40, 30, 35], [9, 4, 0]
    ctc_loss(log_probs, targets, input_lengths, target_lengths, reduction="sum").backward()

    found = occupancies(log_probs, targets, input_lengths, target_lengths)

    assert found.shape == (3, 40, 9)
    for n in range(3):
        for k in range(1, 8):
            of_class = found[n, :, : target_lengths[n]][:, targets[n, : target_lengths[n]] == k]
            torch.testing.assert_close(of_class.sum(1), -log_probs.grad[:, n, k], atol=1e-6, rtol=0)
        assert (found[n, input_lengths[n] :] == 0).all()
        assert (found[n, :, target_lengths[n] :] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("function", [forced_align, occupancies])
def test_log_probabilities_of_any_dtype_are_taken(rng, function, dtype):
    log_probs = (20 * torch.from_numpy(rng.normal(size=(50, 2, 300)))).log_softmax(-1).to(dtype)

    function(log_probs, [[1, 2], [3, 4]], [50, 40], [2, 2])


@pytest.mark.parametrize("function", [forced_align, occupancies])
@pytest.mark.parametrize("wrong", ["probabilities", "logits", "negative logits", "last frame"])
def test_rows_that_are_no_log_probabilities_are_refused(rng, function, wrong):
    logits = torch.from_numpy(rng.normal(size=(16, 2, 5))).float()
    log_probs = logits.log_softmax(-1)
    log_probs[:, 1] = {
        "probabilities": logits.softmax(-1),
        "logits": logits,
        "negative logits": logits - 9,
        "last frame": torch.cat([logits.log_softmax(-1)[:15], logits[15:]]),
    }[wrong][:, 1]
    frame = 15 if wrong == "last frame" else 0

    with pytest.raises(ValueError, match=f"of utterance 1 are no log-prob.* frame {frame} sum to"):
        function(
            log_probs.transpose(0, 1).contiguous().transpose(0, 1), [[1], [2]], [16] * 2, [1] * 2
        )


def test_forced_align_of_a_long_recording_with_runs_and_repeats(rng):
    # Segments of the way back begin and end anywhere; float64 and classes that are apart too.
    log_probs = random_log_probs(rng, 700, 12).double()
    target = np.repeat(rng.integers(1, 12, 60), rng.integers(1, 4, 60))
    apart = torch.stack([log_probs, log_probs], -1)[..., 0]

    path, _ = forced_align(apart, target, [700], [len(target)])

    assert path.tolist() == oracle.viterbi(log_probs, target)
