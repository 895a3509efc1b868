"""What the pictures of docs/concepts.md show is true."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.ctc import ctc_loss, occupancies
from manual.pictures import TOKENS, WORD, beam_steps, example_log_probs, state_rows, state_shares

PAGE = (Path(__file__).parents[2] / "docs/concepts.md").read_text()


@pytest.mark.parametrize(
    ("path", "target", "rows"),
    [
        ([0, 2, 0, 1, 1, 0, 3, 0], [2, 1, 3], [0, 1, 2, 3, 3, 4, 5, 6]),
        ([2, 2, 1, 3], [2, 1, 3], [1, 1, 3, 5]),
        ([1, 0, 1], [1, 1], [1, 2, 3]),
        ([0, 0], [], [0, 0]),
    ],
)
def test_rows_of_a_path_by_hand(path, target, rows):
    assert state_rows(path, target) == rows


def test_shares_of_states_are_those_of_all_paths():
    log_probs = example_log_probs()[1:5]
    target = [2, 1]
    shares = np.zeros((4, 5))
    for path in itertools.product(range(4), repeat=4):
        written = [token for token, _ in itertools.groupby(path) if token]
        if written == target:
            probability = np.exp(sum(log_probs[t, token].item() for t, token in enumerate(path)))
            for t, state in enumerate(state_rows(list(path), target)):
                shares[t, state] += probability
    lengths = torch.tensor([4]), torch.tensor([2])
    gamma = occupancies(log_probs, torch.tensor(target), *lengths)

    found = state_shares(log_probs, target, gamma)

    np.testing.assert_allclose(found, shares / shares[0].sum(), atol=1e-5)


def test_page_has_the_numbers_of_the_pictures():
    log_probs = example_log_probs()
    target = torch.tensor([TOKENS.index(letter) for letter in WORD])
    loss = ctc_loss(log_probs, target, [len(log_probs)], [len(target)], reduction="sum")
    _, steps = beam_steps(width=3)
    best = steps[1][0]

    assert f"{np.exp(-loss.item()):.3f}" in PAGE
    assert "".join(best.tokens) == "a"
    assert f'"a" is ahead with {np.exp(best.score):.2f}' in PAGE


def test_rows_of_probabilities_sum_to_one():
    torch.testing.assert_close(example_log_probs().exp().sum(1), torch.ones(8))
