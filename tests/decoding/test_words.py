"""Words, their frames and confidences; the text of each kind of alphabet."""

import itertools
import math

import numpy as np
import pytest

from asr.decoding import BeamSearchDecoder, GreedyDecoder, PrefixSearchDecoder
from tests.oracles.decoding import collapse

LETTERS = ["<blank>", " ", "a", "b", "c"]
every_decoder = pytest.mark.parametrize(
    "decoder_class", [GreedyDecoder, PrefixSearchDecoder, BeamSearchDecoder]
)


def spikes(classes, num_classes, height=0.9):
    """(T, C) ln probabilities with `height` on the given class of each frame."""
    probs = np.full((len(classes), num_classes), (1 - height) / (num_classes - 1))
    probs[np.arange(len(classes)), classes] = height
    return np.log(probs)


@every_decoder
def test_words_have_frames_of_their_spikes(decoder_class):
    #                      a  a     b        _  c
    log_probs = spikes([0, 2, 2, 0, 3, 0, 0, 1, 4, 0], len(LETTERS))
    log_probs[2] = np.log([0.01, 0.01, 0.96, 0.01, 0.01])

    ((hypothesis,),) = decoder_class(LETTERS)(log_probs)

    assert hypothesis.text == "ab c"
    assert hypothesis.token_frames == (2, 4, 7, 8)
    assert [(w.word, w.start_frame, w.end_frame) for w in hypothesis.words] == [
        ("ab", 2, 5),
        ("c", 8, 9),
    ]
    assert hypothesis.words[0].confidence == pytest.approx(0.96 * 0.9, abs=1e-6)
    assert hypothesis.words[1].confidence == pytest.approx(0.9, abs=1e-6)


@every_decoder
def test_repeated_token_after_blank_keeps_two_spikes(decoder_class):
    ((hypothesis,),) = decoder_class(LETTERS)(spikes([2, 2, 0, 2, 0], len(LETTERS), 0.97))

    assert hypothesis.text == "aa"
    assert hypothesis.token_frames[0] in (0, 1)
    assert hypothesis.token_frames[1] == 3


@every_decoder
def test_repeated_last_frame_is_absorbed(decoder_class):
    ((hypothesis,),) = decoder_class(LETTERS)(spikes([2, 3, 3, 3], len(LETTERS), 0.99))

    assert hypothesis.text == "ab"


@every_decoder
@pytest.mark.parametrize("classes", [[2, 1, 3], [1, 2, 1, 3, 1], [2, 1, 0, 1, 3]])
def test_separators_around_words_do_not_show_in_the_text(decoder_class, classes):
    ((hypothesis,),) = decoder_class(LETTERS)(spikes(classes, len(LETTERS), 0.99))

    assert hypothesis.text == "a b"
    assert [w.word for w in hypothesis.words] == ["a", "b"]
    assert hypothesis.tokens == tuple(LETTERS[c] for c in classes if c)


@every_decoder
def test_pieces_join_to_words(decoder_class):
    tokens = ["<blank>", "\u2581the", "\u2581c", "at", "\u2581"]

    ((hypothesis,),) = decoder_class(tokens)(spikes([1, 0, 2, 3, 4, 3], len(tokens), 0.99))

    assert hypothesis.text == "the cat at"
    assert [(w.word, w.start_frame) for w in hypothesis.words] == [
        ("the", 0),
        ("cat", 2),
        ("at", 5),
    ]


@every_decoder
def test_alphabet_without_boundaries_writes_one_word(decoder_class):
    ((hypothesis,),) = decoder_class(["<blank>", "\u4f60", "\u597d"])(spikes([1, 2], 3, 0.99))

    assert hypothesis.text == "\u4f60\u597d"
    assert len(hypothesis.words) == 1


@every_decoder
def test_words_of_random_input_are_ordered_and_confidences_are_probabilities(decoder_class, rng):
    log_probs = np.log(rng.dirichlet(np.full(5, 0.2), size=(10, 25)) + 1e-9)

    for hypothesis, *_ in decoder_class(LETTERS)(log_probs):
        frames = hypothesis.token_frames
        assert all(a < b for a, b in itertools.pairwise(frames))
        assert len(frames) == len(hypothesis.tokens) == len(hypothesis.token_ids)
        assert " ".join(w.word for w in hypothesis.words) == hypothesis.text
        assert all(0.0 <= w.confidence <= 1.0 for w in hypothesis.words)
        assert all(w.start_frame < w.end_frame <= 25 for w in hypothesis.words)


def test_beam_search_frames_are_those_of_the_best_alignment(rng):
    """The spikes lie on a path whose tokens, in order, give the labelling its best path score."""
    tokens = ["<blank>", "a", "b"]
    decoder = BeamSearchDecoder(
        tokens, beam_width=10_000, token_min_logp=-math.inf, beam_prune_logp=-math.inf
    )
    for _ in range(50):
        log_probs = np.log(rng.dirichlet(np.full(3, 0.5), size=6) + 1e-6)

        ((hypothesis,),) = decoder(log_probs)

        path = best_path_of(log_probs, hypothesis.token_ids)
        runs = token_runs(path)
        assert [c for c, _ in runs] == list(hypothesis.token_ids)
        for (c, frames), spike in zip(runs, hypothesis.token_frames, strict=True):
            assert spike == max(frames, key=lambda t: log_probs[t, c])


def best_path_of(log_probs, labelling):
    """Most probable alignment of a labelling, by enumeration."""
    paths = (
        path
        for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs))
        if collapse(path, 0) == tuple(labelling)
    )
    return max(paths, key=lambda path: sum(log_probs[t, c] for t, c in enumerate(path)))


def token_runs(path):
    """(class, frames) of each run of one token."""
    runs = []
    for t, c in enumerate(path):
        if c == 0:
            continue
        if t > 0 and path[t - 1] == c:
            runs[-1][1].append(t)
        else:
            runs.append((c, [t]))
    return runs
