"""An utterance from frames whose best classes are known; a frame is 40 ms."""

from types import SimpleNamespace

import numpy as np
import pytest
import tones
import torch

from asr.acoustic.model import build_model
from asr.decoding import GreedyDecoder
from asr.recognition.endpoints import Endpoints
from asr.recognition.utterance import Utterance
from asr.text import CharTokenizer

SPACED, JOINED = (build_model(tones.STREAMING_CONFIG, CharTokenizer(a)) for a in (" ab", "ab"))
RULES = Endpoints(silence_s=0.12, long_s=0.4, long_silence_s=0.08, longest_s=0.6, empty_s=0.2)


def path(model, letters):
    """Log-probabilities (T, C) whose best class is a letter, "-" the blank: 0.7 for it."""
    tokens = model.tokenizer.tokens
    classes = [0 if letter == "-" else tokens.index(letter) for letter in letters]
    rows = np.full((len(letters), len(tokens)), 0.3 / (len(tokens) - 1))
    rows[np.arange(len(letters)), classes] = 0.7
    return torch.from_numpy(np.log(rows)).float()


def utterance(model=SPACED, first_frame=0):
    return Utterance(model, GreedyDecoder(model.tokenizer.tokens), first_frame)


@pytest.mark.parametrize(
    ("letters", "count", "text", "in_pause"),
    [
        ("--a-b---aa", 8, "ab", True),  # three silent frames after words
        ("--a-b - aa", 8, "ab", True),  # a space is silent too
        ("-----aa", 5, "", True),  # five without a word
        ("a-a-a-a-a-a--b", 13, "aaaaaa", True),  # two, once it lasts ten
        ("aabbaabbaabbaabb-a", 17, "abababab", False),  # one, once it lasts fifteen
        ("ab" * 15 + "a", 30, "ab" * 15, False),  # none, at thirty
        ("ab-", 3, "ab", False),  # it goes on
    ],
)
def test_ends_by_hand(letters, count, text, in_pause):
    own = utterance()

    assert own.push(path(SPACED, letters), RULES) == count
    assert own.has_ended(RULES) == (count < len(letters))
    assert own.ends_in_pause(RULES) == in_pause
    assert [s.text for s in own.finish(10.0)] == ([text] if text else [])


@pytest.mark.parametrize(
    ("letters", "is_in_word", "rest", "text"),
    [
        ("--a-b---", True, "b-a-", "abba"),
        ("--a-b---", True, "b a", "abb"),  # another word is the next utterance's
        ("--a-b --", False, None, "ab"),  # the word is closed
        ("--------", False, None, ""),
    ],
)
def test_rest_of_the_last_word_is_taken(letters, is_in_word, rest, text):
    own = utterance()
    own.push(path(SPACED, letters), None)

    assert own.is_in_word == is_in_word
    segments = own.finish(10.0, None if rest is None else path(SPACED, rest))
    assert [s.text for s in segments] == ([text] if text else [])


def test_rest_ends_where_a_piece_begins_a_word():
    tokenizer = SimpleNamespace(tokens=["", "\u2581a", "b"])
    model = SimpleNamespace(tokenizer=tokenizer, separates_words=True, seconds_per_frame=0.04)
    own = utterance(model)
    own.push(path(model, ["\u2581a", "-", "-"]), None)

    assert own.is_in_word
    (segment,) = own.finish(10.0, path(model, ["b", "-", "\u2581a", "b"]))
    assert segment.text == "ab"


def test_nothing_is_missing_where_tokens_are_words():
    own = utterance(JOINED)
    own.push(path(JOINED, "a--"), None)

    assert not own.is_in_word


def test_end_does_not_depend_on_the_pieces():
    own, rows = utterance(), path(SPACED, "--a-b---aa")

    counts = [own.push(rows[t : t + 1], RULES) for t in range(10)]

    assert counts == [1] * 8 + [0, 0]
    assert (own.num_frames, own.num_silent, own.end_frame) == (8, 3, 8)


def test_times_are_of_the_stream_and_not_beyond_what_was_heard():
    own = utterance(first_frame=100)
    own.push(path(SPACED, "-aa-b- a"), None)

    (segment,) = own.finish(4.25)

    words = [(w.word, round(w.start_s, 2), round(w.end_s, 2)) for w in segment.words]
    assert words == [("ab", 4.04, 4.2), ("a", 4.25, 4.25)]
    assert (segment.start_s, segment.end_s) == (words[0][1], words[1][2])


def test_tokens_are_words_where_no_spaces_separate_them():
    own = utterance(JOINED)
    own.push(path(JOINED, "-aa-b"), None)

    partial = own.partial(1.0)
    (segment,) = own.finish(1.0)

    assert partial.text == segment.text == "ab"
    assert partial.words == segment.words
    assert [(w.word, round(w.confidence, 3)) for w in segment.words] == [("a", 0.7), ("b", 0.7)]


def test_nothing_said_is_no_segment():
    assert utterance().finish(0.0) == []
    assert utterance().partial(0.0) == ("", "", [])
