"""Why an utterance has no finite loss."""

import numpy as np
import pytest
import torch

from asr.ctc import check_feasible, explain, minimum_input_length
from tests.ctc_batches import random_batch
from tests.oracles import ctc as oracle

# Feasibility.


@pytest.mark.parametrize(
    ("target", "least"), [([], 0), ([1], 1), ([1, 1], 3), ([1, 2, 2, 2], 6), ([1, 2, 1], 3)]
)
def test_minimum_input_length_counts_labels_and_repeats(target, least):
    assert minimum_input_length(target) == least


def test_check_feasible_names_utterance_and_numbers():
    problems = check_feasible([3, 3, 1], [[1, 1, 2], [1, 2, 3], [1, 0, 0]], [3, 3, 1])

    assert [n for n, _ in problems] == [0]
    for part in ("T = 3", "S = 3", "1 repeats", "at least 4"):
        assert part in problems[0][1]


# Explanation.


def test_explain_has_nothing_to_say_of_finite_losses(rng):
    assert explain(*random_batch(rng, 20, 3, 6, 8)) == []


@pytest.mark.parametrize(
    ("spoil", "targets", "parts"),
    [
        (lambda x: None, [1, 1, 2], ["T = 3", "S = 3", "1 repeats", "at least 4"]),
        (lambda x: None, [1, 7], ["a label must be in 0..4, got 7 at position 1"]),
        (lambda x: None, [0, 2], ["the blank 0 must not occur", "position 0"]),
        (lambda x: x[1, 3].fill_(np.nan), [1], ["frame 1 holds NaN"]),
        (lambda x: x[1:, 3].fill_(np.inf), [1], ["frame 1 holds +inf (and 1 more)"]),
        (lambda x: x[2].fill_(-np.inf), [1], ["frame 2 is -inf throughout"]),
        (lambda x: x[:, 1].fill_(-np.inf), [1], ["labels [1] are -inf at every frame"]),
        (lambda x: x[0, :2].fill_(-np.inf), [1, 2], ["every alignment passes a class"]),
    ],
)
def test_explain_names_the_reason(rng, spoil, targets, parts):
    log_probs = torch.from_numpy(oracle.log_softmax(rng.normal(size=(3, 5)))).float()
    spoil(log_probs)

    ((utterance, reason),) = explain(log_probs, targets, [3], [len(targets)])

    assert utterance == 0
    assert all(part in reason for part in parts), reason
