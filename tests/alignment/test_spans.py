"""Best paths to spans, words and seconds: by hand, by enumeration, and at the edges."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from asr.alignment.spans import (
    FramedAlignment,
    Span,
    align_labels,
    group_words,
    merge_frames,
    time_alignment,
)
from asr.text import CharTokenizer, SentencePieceTokenizer

TOKENS = ["<blank>", " ", "a", "b"]


def log_probs_of(path, peak, num_classes=4):
    """Rows (T, C) whose class of the path has that probability, the others share the rest."""
    rows = np.full((len(path), num_classes), 0.0)
    for row, label, p in zip(rows, path, peak, strict=True):
        row[:] = (1 - p) / (num_classes - 1)
        row[label] = p
    return torch.from_numpy(np.log(rows))


def test_hand_computed_path_becomes_words():
    # blank a a blank b | space blank | b b
    path = [0, 2, 2, 0, 3, 1, 0, 3, 3]
    peak = [0.9, 0.6, 0.8, 0.9, 0.5, 0.9, 0.9, 0.7, 0.6]

    (aligned,) = align_labels([log_probs_of(path, peak)], [[2, 3, 1, 3]], TOKENS)

    assert isinstance(aligned, FramedAlignment)
    assert [w[:3] for w in aligned.words] == [("ab", 1, 5), ("b", 7, 9)]
    assert [t[:3] for t in aligned.tokens] == [("a", 1, 3), ("b", 4, 5), ("b", 7, 9)]
    assert [t.confidence for t in aligned.tokens] == pytest.approx([0.8, 0.5, 0.7])
    assert [w.confidence for w in aligned.words] == pytest.approx([0.8 * 0.5, 0.7])
    assert aligned.score == pytest.approx(sum(math.log(p) for p in peak))


def test_any_blank_gives_the_same_spans(rng):
    log_probs = torch.from_numpy(rng.normal(size=(12, 4))).log_softmax(-1)
    moved = log_probs.roll(-1, 1)  # " ", "a", "b", blank

    (expected,) = align_labels([log_probs], [[2, 3, 1, 3]], TOKENS)
    (found,) = align_labels([moved], [[1, 2, 0, 2]], [*TOKENS[1:], TOKENS[0]], blank=3)

    assert found == expected


def test_tokens_that_are_not_as_many_as_the_classes_are_refused(rng):
    log_probs = torch.from_numpy(rng.normal(size=(12, 4))).log_softmax(-1)

    with pytest.raises(ValueError, match="tokens must be 4, one a class, got 3"):
        align_labels([log_probs], [[2]], TOKENS[1:])


def test_frames_become_seconds_and_end_with_the_recording():
    framed = FramedAlignment([Span("ab", 1, 5, 0.25)], [Span("a", 1, 2, 0.5)], -3.0)

    alignment = time_alignment(framed, 0.04, 0.19)

    assert alignment.words == [("ab", 0.04, 0.19, 0.25)]
    assert alignment.tokens == [("a", 0.04, 0.08, 0.5)]
    assert (alignment.duration_s, alignment.score) == (0.19, -3.0)


def test_repeated_letters_stay_two_tokens():
    spans = merge_frames([2, 0, 2, 2], [math.log(0.5)] * 4, TOKENS)

    assert [s[:3] for s in spans] == [("a", 0, 1), ("a", 2, 4)]


def test_confidence_stays_at_most_one_when_a_score_is_rounded_above_zero():
    assert merge_frames([2], [1e-7], TOKENS)[0].confidence == 1.0


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ("a", ["a"]),
        ("ab", ["ab"]),
        ("a b", ["a", "b"]),
        (" a  b ", ["a", "b"]),
        (["\u2581a", "b", "\u2581b"], ["ab", "b"]),
        (["a", "\u2581", "b"], ["a", "b"]),
        (["\u2581", "a", "b", "\u2581", "\u2581b"], ["ab", "b"]),
        ("", []),
        (" ", []),
    ],
)
def test_words_end_at_separators(tokens, words):
    spans = [Span(token, 2 * i, 2 * i + 1, 0.5) for i, token in enumerate(tokens)]

    grouped = group_words(spans)

    assert [w.word for w in grouped] == words


def test_a_separator_of_its_own_gives_a_word_no_time():
    spans = [Span("\u2581", 0, 4, 0.1), Span("a", 5, 6, 0.5), Span("b", 8, 9, 0.5)]

    assert group_words(spans) == [("ab", 5, 9, 0.25)]


def test_sentencepiece_texts_come_back_word_by_word(rng):
    text = "turn the light on and turn the radio off"
    tokenizer = SentencePieceTokenizer.train([text] * 10, 18)
    labels = tokenizer.encode(text)
    log_probs = torch.from_numpy(rng.normal(size=(60, len(tokenizer.tokens)))).log_softmax(-1)

    (aligned,) = align_labels([log_probs], [labels], tokenizer.tokens)

    assert [w.word for w in aligned.words] == text.split()
    assert "".join(t.word for t in aligned.tokens).replace("\u2581", "") == text.replace(" ", "")


def best_by_enumeration(log_probs, target):
    """The score of the best path that collapses to the target, over all paths."""
    best = -math.inf
    for path in product(range(log_probs.shape[1]), repeat=len(log_probs)):
        collapsed = [k for k, last in zip(path, (0, *path), strict=False) if k not in (0, last)]
        if collapsed == target:
            best = max(best, float(sum(log_probs[t, k] for t, k in enumerate(path))))
    return best


def test_score_is_the_best_of_all_paths(rng):
    for target in ([2, 3], [2, 2], [2, 1, 3], []):
        log_probs = torch.from_numpy(rng.normal(size=(6, 4))).log_softmax(-1)

        (aligned,) = align_labels([log_probs], [target], TOKENS)

        assert aligned.score == pytest.approx(best_by_enumeration(log_probs, target))


def test_batch_equals_one_by_one_and_failures_stand_where_they_were(rng):
    targets = [[2, 3], [2, 2, 2, 2, 2], [3, 1, 2], [2], []]
    log_probs = [torch.from_numpy(rng.normal(size=(t, 4))).log_softmax(-1) for t in (9, 8, 5, 3, 2)]
    log_probs[3][1, 2] = torch.nan

    batch = align_labels(log_probs, targets, TOKENS)

    alone = [align_labels([x], [y], TOKENS)[0] for x, y in zip(log_probs, targets, strict=True)]
    assert batch == alone
    assert "8 frames are too few for S = 5 labels with 4 repeats" in batch[1]
    assert "frame 1 holds NaN" in batch[3]
    assert [w.word for w in batch[2].words] == ["b", "a"]
    assert batch[4].words == batch[4].tokens == []


def test_nothing_to_align_gives_nothing():
    assert align_labels([], [], TOKENS) == []


def test_label_outside_the_vocabulary_is_named():
    log_probs = torch.zeros(5, 4)

    (reason,) = align_labels([log_probs], [[7]], TOKENS)

    assert "must be in 0..3, got 7" in reason


def test_character_words_equal_the_text():
    tokenizer = CharTokenizer(" ab")
    log_probs = torch.zeros(30, 4).log_softmax(-1)

    (aligned,) = align_labels([log_probs], [tokenizer.encode("ab ba a")], tokenizer.tokens)

    assert [w.word for w in aligned.words] == ["ab", "ba", "a"]
