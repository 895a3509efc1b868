"""Passing over frames that are surely blank."""

import math
import pickle

import numpy as np
import pytest

from asr.decoding import BeamSearchDecoder

TOKENS = ["<blank>", "a", "b", " "]


def spiky_log_probs(rng, num_frames):
    """(T, C=4): every second frame or so is blank beyond 0.9, the others are anything."""
    probs = rng.dirichlet(np.full(len(TOKENS), 0.7), size=num_frames)
    sure = rng.random(num_frames) < 0.5
    probs[sure] = 0.05 * probs[sure] + [0.95, 0.0, 0.0, 0.0]
    return np.log(probs + 1e-12)


@pytest.mark.parametrize(
    "options",
    [{}, {"n_best": 5, "beam_width": 4}, {"lexicon": ["ab", "b", "a"]},
     {"grammar": "(a | ab | b)*"}, {"max_delay": 3}],
    ids=["plain", "n-best", "lexicon", "grammar", "delay"],
)  # fmt: skip
def test_skipping_equals_frames_in_which_nothing_but_blank_is_possible(rng, options):
    skipping = BeamSearchDecoder(TOKENS, blank_skip_threshold=0.9, **options)
    for _ in range(40):
        log_probs = spiky_log_probs(rng, 20)
        pure = log_probs.copy()
        pure[log_probs[:, 0] >= math.log(0.9), 1:] = -math.inf

        assert skipping(log_probs) == BeamSearchDecoder(TOKENS, **options)(pure)


def test_skipping_separates_what_a_sure_blank_divides():
    sure = [0.9999, 0.0001, 0.0, 0.0]
    with np.errstate(divide="ignore"):
        log_probs = np.log([[0.1, 0.9, 0.0, 0.0], sure, sure, [0.3, 0.7, 0.0, 0.0]])

    ((hypothesis,),) = BeamSearchDecoder(TOKENS, blank_skip_threshold=0.999)(log_probs)

    assert hypothesis.text == "aa"
    assert hypothesis.acoustic_score == pytest.approx(math.log(0.9 * 0.9999**2 * 0.7), abs=1e-6)
    assert hypothesis.token_frames == (0, 3)


def test_frames_below_the_threshold_are_searched(rng):
    log_probs = np.log(rng.dirichlet(np.full(4, 0.5), size=(5, 15)) + 1e-6)
    threshold = math.nextafter(float(np.exp(log_probs[..., 0].max())), 2) + 1e-9

    skipping = BeamSearchDecoder(TOKENS, blank_skip_threshold=min(1.0, threshold))

    assert skipping(log_probs) == BeamSearchDecoder(TOKENS)(log_probs)


def test_skipping_is_the_same_in_a_stream_and_after_pickling(rng):
    log_probs = spiky_log_probs(rng, 60)
    decoder = BeamSearchDecoder(TOKENS, blank_skip_threshold=0.9, n_best=3)

    stream = pickle.loads(pickle.dumps(decoder)).stream()
    for chunk in np.split(log_probs, [7, 8, 31]):
        stream.push(chunk)

    (whole,) = decoder(log_probs)
    assert stream.finish() == whole


def test_skipped_frames_are_still_checked():
    log_probs = np.log(np.full((2, 3, 4), 0.25))
    log_probs[1, 2] = [0.0, -math.inf, math.nan, -math.inf]

    with pytest.raises(ValueError, match="NaN in utterance 1, frame 2, class 2"):
        BeamSearchDecoder(TOKENS, blank_skip_threshold=0.9)(log_probs)


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.001, math.nan])
def test_blank_skip_threshold_out_of_range_is_refused(threshold):
    with pytest.raises(ValueError, match=r"blank_skip_threshold must be in \(0, 1\], got"):
        BeamSearchDecoder(TOKENS, blank_skip_threshold=threshold)
