"""The greedy stream equals one call, and keeps a frame for each stretch of one class."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.decoding import GreedyDecoder

TOKENS = ["<blank>", " ", "a", "b", "c"]
PIECES = ["<blank>", "\u2581", "\u2581a", "b", "\u2581c"]


def path(*classes):
    """Log-probabilities whose best class is known, (T, C): 0.6 for it, 0.1 for the others."""
    rows = np.full((len(classes), len(TOKENS)), 0.1)
    rows[np.arange(len(classes)), list(classes)] = 0.6
    return np.log(rows)


def in_pieces(log_probs, sizes, decoder):
    stream = decoder.stream()
    for piece in np.split(log_probs, np.minimum(np.cumsum(sizes, dtype=int), len(log_probs))):
        stream.push(piece)
    return stream.finish()


@given(
    seed=st.integers(0, 2**32 - 1),
    length=st.integers(0, 60),
    sizes=st.lists(st.integers(0, 20), max_size=6),
    blank=st.sampled_from([0, 2]),
    kind=st.sampled_from([np.float32, np.float64]),
)
@settings(max_examples=60)
def test_any_pieces_equal_one_call(seed, length, sizes, blank, kind):
    rng = np.random.default_rng(seed)
    # Rounded, so that spikes of equal height occur.
    log_probs = np.log(rng.dirichlet(np.full(5, 0.2), size=length).round(1) * 0.9 + 0.02)
    decoder = GreedyDecoder(TOKENS, blank=blank)

    (pieces,) = in_pieces(log_probs.astype(kind), sizes, decoder)

    (whole,) = decoder(log_probs.astype(kind))[0]
    assert pieces._replace(score=0, acoustic_score=0) == whole._replace(score=0, acoustic_score=0)
    assert pieces.score == pieces.acoustic_score == pytest.approx(whole.score)


@pytest.mark.parametrize(
    ("tokens", "pieces", "expected"),
    [
        (TOKENS, [[2], [0, 3, 3], [1], [2], [0]], ["a|", "ab|", "ab|ab", "ab a|ab", "ab a|ab"]),
        (PIECES, [[2], [0, 3, 3], [4], [1]], ["a|", "ab|", "ab c|ab", "ab c|ab c"]),
    ],
)  # fmt: skip
def test_words_are_stable_that_nothing_can_go_on(tokens, pieces, expected):
    stream = GreedyDecoder(tokens).stream()
    seen = []
    for piece in pieces:
        stream.push(path(*piece))
        partial = stream.partial()
        seen.append(f"{partial.text}|{partial.stable_text}")

    assert seen == expected
    assert partial.words == partial.best.words
    assert partial.words[0][:3] == ("ab", 0, 3)


def test_memory_grows_with_the_text_alone():
    stream = GreedyDecoder(TOKENS).stream()
    for _ in range(50):
        stream.push(path(*[0] * 40))
    stream.push(path(2, 2, 0))

    assert stream._rows.shape == (3, 5)
    assert stream.finish()[0].words[0][:3] == ("a", 2000, 2001)


def test_impossible_frames_give_an_empty_text():
    stream = GreedyDecoder(TOKENS).stream()
    stream.push(np.concatenate([path(2), np.full((1, 5), -np.inf)]))
    stream.push(path(0))

    (hypothesis,) = stream.finish()

    assert (hypothesis.text, hypothesis.score) == ("", -np.inf)


def test_refused_values_are_named_and_not_added():
    stream = GreedyDecoder(TOKENS).stream()
    stream.push(path(2, 0))

    with pytest.raises(ValueError, match="frame 1, class 3, counted from frame 2"):
        stream.push(np.where([[0, 0, 0, 0, 0], [0, 0, 0, 1, 0]], np.nan, path(2, 2)))
    with pytest.raises(ValueError, match=r"must be \(T, C\) in a stream, got 2 utterances"):
        stream.push(np.stack([path(2, 3), path(2, 3)]))
    stream.push(path(3))

    assert stream.finish()[0].text == "ab"


def test_finished_stream_refuses_more_and_keeps_its_result():
    stream = GreedyDecoder(TOKENS).stream()
    stream.push(path(2))
    finished = stream.finish()

    with pytest.raises(ValueError, match=r"nothing can be pushed after finish\(\)"):
        stream.push(path(3))
    assert stream.finish() == finished
