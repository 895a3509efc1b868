import numpy as np
import pytest

from asr.recognition.segments import Segmenter, find_pause

# One letter a frame; "-" is the blank.
TOKENS = ["-", " ", "a", "b"]
PIECES = ["-", "\u2581a", "b"]


def rows(frames, tokens):
    log_probs = np.full((len(frames), len(tokens)), np.log(0.02), np.float32)
    log_probs[range(len(frames)), [tokens.index(token) for token in frames]] = np.log(0.9)
    return log_probs


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ("ab--- a-b---b", 4),  # the longest blanks are inside a word
        ("ab -a -b", 6),  # of equals, the last
        ("---ab-a", 1),  # what comes before the first word
        ("ab-ab---", 5),  # no word may be known to follow: the surest blank
        ("--------", 4),
    ],
)
def test_pause_between_words_of_letters(frames, expected):
    assert find_pause(rows(frames, TOKENS), TOKENS, spaced=True) == expected


def test_pause_before_a_piece_that_opens_a_word():
    frames = ["\u2581a", "-", "-", "-", "b", "-", "\u2581a", "b"]

    assert find_pause(rows(frames, PIECES), PIECES, spaced=True) == 5


def test_every_blank_parts_tokens_that_are_words():
    assert find_pause(rows("ab--ab", TOKENS), TOKENS, spaced=False) == 3


def test_without_a_pause_the_surest_blank_of_the_later_half_is_cut():
    log_probs = rows("aabbaabb", TOKENS)
    log_probs[[2, 5], 0] = np.log([0.08, 0.05])

    assert find_pause(log_probs, TOKENS, spaced=True) == 5


@pytest.mark.parametrize("sizes", [[40], [7] * 5 + [5], [1] * 40])
def test_segments_cover_all_frames_whatever_the_pieces(sizes):
    segmenter = Segmenter(TOKENS, 15, spaced=True)
    log_probs = np.log(np.random.default_rng(0).dirichlet(np.ones(4), 40))

    segments, start = [], 0
    for size in sizes:
        start += size
        part = log_probs[start - size : start]
        segments += segmenter.push(part, ends_in_silence=start == 40, is_last=start == 40)

    np.testing.assert_array_equal(np.concatenate(segments), log_probs)
    assert all(0 < len(segment) <= 15 for segment in segments)


def test_silence_ends_a_segment():
    segmenter = Segmenter(TOKENS, 100, spaced=True)
    part = np.zeros((10, 4), np.float32)

    assert segmenter.push(part, ends_in_silence=False, is_last=False) == []
    (joined,) = segmenter.push(part, ends_in_silence=True, is_last=False)
    (last,) = segmenter.push(part[:3], ends_in_silence=True, is_last=True)

    assert (len(joined), len(last)) == (20, 3)
