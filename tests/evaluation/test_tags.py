"""Accuracy and areas under curves, on cases computed by hand."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.data.loading import Batch
from asr.evaluation.tags import Tags, area_under_curve

TOKENS = ["<blank>", "▁dog", "▁rain"]


@pytest.mark.parametrize(
    ("is_label", "scores", "area"),
    [
        # Of 3 x 2 pairs: .9 beats both, .4 beats one, .3 beats one.
        ([1, 0, 1, 1, 0], [0.9, 0.5, 0.4, 0.3, 0.2], 4 / 6),
        ([1, 1, 0], [0.9, 0.8, 0.1], 1.0),
        ([0, 1], [0.9, 0.8], 0.0),
        # Equal scores count half: (0.5 + 1 + 0.5 + 1) / 4.
        ([1, 1, 0, 0], [0.5, 0.5, 0.5, 0.1], 0.75),
        ([1, 0, 0], [0.5, 0.5, 0.5], 0.5),
        ([1, 1], [0.1, 0.2], None),
        ([0, 0], [0.1, 0.2], None),
        ([], [], None),
    ],
)
def test_area_by_hand(is_label, scores, area):
    assert area_under_curve(np.array(is_label, bool), np.array(scores)) == (
        area if area is None else pytest.approx(area)
    )


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=12))
def test_area_is_the_share_of_pairs_in_order(clips):
    pairs = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for is_a, a in clips
        if is_a
        for is_b, b in clips
        if not is_b
    ]

    area = area_under_curve(
        np.array([c for c, _ in clips], bool), np.array([s for _, s in clips], float)
    )

    assert area == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)


def batch_of(*texts):
    nothing = torch.zeros(len(texts), 0)
    ids = [f"u{n}" for n in range(len(texts))]
    return Batch(ids, list(texts), nothing, nothing, nothing, nothing)


def tags_of(*clips):
    """Tags of (text, probabilities of blank, dog and rain)."""
    tags = Tags(TOKENS)
    texts, rows = zip(*clips, strict=True)
    log_probs = torch.tensor(rows, dtype=torch.float64).log()[:, None]  # (N, 1, C)
    tags.add(batch_of(*texts), log_probs, torch.ones(len(clips), dtype=torch.int64))
    return tags


def test_scores_of_clips(tmp_path):
    tags = tags_of(
        ("dog", [0.1, 0.7, 0.2]),
        ("dog", [0.6, 0.3, 0.1]),  # none of them is likeliest
        ("rain", [0.1, 0.5, 0.4]),
        ("snow", [0.1, 0.1, 0.8]),  # no label of the model
    )

    scored = tags.write(tmp_path)

    # dog: .7 beats both others, .3 beats one of two; rain: .4 beats two of three.
    assert scored.accuracy == 0.25
    assert scored.auc == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert scored.describe().startswith("accuracy 25.00 % of 4 clips; AUC 0.7083, ")
    table = json.loads((tmp_path / "tags.json").read_text())
    assert table["num_clips"] == 4
    assert table["clips"][0]["probabilities"] == {"<blank>": 0.1, "dog": 0.7, "rain": 0.2}


def test_no_label_to_rank_and_no_frame_to_hear(tmp_path):
    tags = Tags(TOKENS)
    tags.add(batch_of("dog"), torch.zeros(1, 1, 3), torch.tensor([0]))

    scored = tags.write(tmp_path)

    assert scored.accuracy == 0.0
    assert math.isnan(scored.auc)
    assert "no AUC" in scored.describe()
    table = json.loads((tmp_path / "tags.json").read_text())
    assert table["auc"] is None
    assert table["clips"][0]["probabilities"] == {"<blank>": 1.0, "dog": 0.0, "rain": 0.0}


def test_set_of_no_clip():
    assert Tags(TOKENS).score() == (0.0, pytest.approx(math.nan, nan_ok=True), 0, 0)


def test_several_labels_a_clip(tmp_path):
    """Frame k says label k or the blank; dog and rain are right together in two of three clips."""
    tags = Tags(TOKENS, several=True)
    rows = [[(0.3, 0.7), (0.2, 0.8)], [(0.9, 0.1), (0.4, 0.6)], [(0.8, 0.2), (0.7, 0.3)]]
    probabilities = torch.zeros(3, 2, 3, dtype=torch.float64)
    for n, frames in enumerate(rows):
        for k, (blank, label) in enumerate(frames):
            probabilities[n, k, 0], probabilities[n, k, k + 1] = blank, label
    tags.add(batch_of("dog rain", "rain", "dog"), probabilities.log(), torch.tensor([2, 2, 2]))

    scored = tags.write(tmp_path)

    assert scored.accuracy == pytest.approx(2 / 3)
    # dog: .7 and .2 beat .1; rain: .8 and .6 beat .3.
    assert scored.auc == 1.0
    table = json.loads((tmp_path / "tags.json").read_text())
    assert table["clips"][0]["probabilities"] == {"<blank>": 0.06, "dog": 0.7, "rain": 0.8}
