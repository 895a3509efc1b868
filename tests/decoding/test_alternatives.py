"""Alternatives of each word from an n-best list."""

import math

import pytest

from asr.decoding import Hypothesis, Word, word_alternatives


def hypothesis(text, probability):
    words = tuple(Word(word, 0, 1, 1.0) for word in text.split())
    score = math.log(probability) if probability else -math.inf
    return Hypothesis(text, (), score, score, 0.0, words, (), ())


def test_word_alternatives_of_a_hand_computed_list():
    hypotheses = [
        hypothesis("the cat sat", 0.4),
        hypothesis("a cat sat", 0.2),
        hypothesis("the cat", 0.2),
        hypothesis("the fat cat sat", 0.1),
        hypothesis("the bat sat", 0.1),
    ]

    first, second, third = word_alternatives(hypotheses)

    assert [(a.word, pytest.approx(a.probability)) for a in first] == [("the", 0.8), ("a", 0.2)]
    assert [(a.word, pytest.approx(a.probability)) for a in second] == [("cat", 0.9), ("bat", 0.1)]
    assert [(a.word, pytest.approx(a.probability)) for a in third] == [("sat", 0.8), ("", 0.2)]


def test_word_alternatives_are_cut_to_top_k():
    hypotheses = [hypothesis(text, p) for text, p in [("a", 0.5), ("b", 0.3), ("c", 0.2)]]

    assert [a.word for a in word_alternatives(hypotheses, top_k=2)[0]] == ["a", "b"]
    with pytest.raises(ValueError, match="top_k must be >= 1, got 0"):
        word_alternatives(hypotheses, top_k=0)


def test_word_alternatives_of_empty_and_impossible_texts():
    assert word_alternatives([hypothesis("", 1.0)]) == []
    assert word_alternatives([hypothesis("a", 0.0)])[0][0] == ("a", 1.0)


def test_alternatives_of_no_list_are_refused():
    with pytest.raises(ValueError, match="hypotheses must be an n-best list, got none"):
        word_alternatives([])
