import numpy as np
import pytest

from asr.decoding import BeamSearchDecoder, GreedyDecoder
from asr.decoding.hypothesis import separates_words, split_by_token

TOKENS = ["<blank>", "你", "好"]
# Frames: 你, 你, blank, 好.
PROBS = np.array([[0.1, 0.6, 0.3], [0.1, 0.8, 0.1], [0.9, 0.05, 0.05], [0.2, 0.1, 0.7]])


@pytest.mark.parametrize(
    ("tokens", "separates"),
    [
        (TOKENS, False),
        (["<blank>", " ", "a"], True),
        (["<blank>", "\u2581a", "b"], True),
        ([], False),
    ],
)
def test_space_or_pieces_separate_words(tokens, separates):
    assert separates_words(tokens) is separates


@pytest.mark.parametrize("kind", [GreedyDecoder, BeamSearchDecoder])
def test_every_token_is_a_word_with_its_own_frame_and_probability(kind):
    log_probs = np.log(PROBS)
    (hypothesis,) = kind(TOKENS)(log_probs)[0]

    words = split_by_token(hypothesis, log_probs).words

    assert [word[:3] for word in words] == [("你", 1, 2), ("好", 3, 4)]
    assert [word.confidence for word in words] == pytest.approx([0.8, 0.7])
    assert hypothesis.text == "你好"


def test_words_that_a_lexicon_spelled_stay():
    log_probs = np.log(PROBS)
    (hypothesis,) = BeamSearchDecoder(TOKENS, lexicon={"hello": "你好"})(log_probs)[0]

    assert split_by_token(hypothesis, log_probs).words == hypothesis.words
    assert hypothesis.text == "hello"


def test_nothing_heard_has_no_words():
    log_probs = np.log(np.array([[0.8, 0.1, 0.1]]))
    (hypothesis,) = GreedyDecoder(TOKENS)(log_probs)[0]

    assert split_by_token(hypothesis, log_probs).words == ()
