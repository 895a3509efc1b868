"""Alphabets of every size: the native loops take classes in blocks and keep candidates in bins."""

import math

import numpy as np
import pytest

from asr.decoding import BeamSearchDecoder, GreedyDecoder

SIZES = [*range(1, 71), 95, 96, 97, 128, 1024]

every_type = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def tokens_of(num_classes):
    return ["<blank>", *(chr(0x4E00 + c) for c in range(1, num_classes))]


def rows(rng, num_classes, dtype):
    """(T=30, C): random values, many of them equal, some impossible."""
    log_probs = np.log(rng.integers(0, 4, size=(30, num_classes)) / 4 + 1e-9).astype(dtype)
    log_probs[rng.random(log_probs.shape) < 0.1] = -math.inf
    log_probs[:, rng.integers(num_classes)] = np.log(0.25)
    return log_probs


@every_type
@pytest.mark.parametrize("num_classes", SIZES)
def test_greedy_takes_the_first_of_the_best_classes(rng, num_classes, dtype):
    log_probs = rows(rng, num_classes, dtype)

    ((hypothesis,),) = GreedyDecoder(tokens_of(num_classes))(log_probs)

    path = log_probs.argmax(axis=1)
    before = np.concatenate([[0], path[:-1]])
    assert list(hypothesis.token_ids) == list(path[(path != 0) & (path != before)])
    assert hypothesis.score == pytest.approx(log_probs.max(axis=1).astype(float).sum())


@every_type
@pytest.mark.parametrize("num_classes", SIZES)
def test_nan_is_found_in_every_class(rng, num_classes, dtype):
    decoder = GreedyDecoder(tokens_of(num_classes))
    for c in range(num_classes):
        log_probs = rows(rng, num_classes, dtype)
        log_probs[2, c] = math.nan

        with pytest.raises(ValueError, match=f"NaN in utterance 0, frame 2, class {c}$"):
            decoder(log_probs)


@every_type
@pytest.mark.parametrize("num_classes", SIZES)
def test_beam_of_one_frame_holds_the_most_probable_classes(rng, num_classes, dtype):
    tokens = tokens_of(num_classes)
    for beam_width in (1, 2, 7, 31, 64, 3000):
        for row in rows(rng, num_classes, dtype)[:3]:
            decoder = BeamSearchDecoder(
                tokens, beam_width=beam_width, n_best=3000, beam_prune_logp=-math.inf
            )

            (hypotheses,) = decoder(row[np.newaxis])

            likely = row[(row >= min(-5, row.max())) & (row > -math.inf)]
            kept = likely if row[0] in likely else np.append(likely, row[:1])
            best = np.sort(kept[kept > -math.inf])[::-1][:beam_width]
            np.testing.assert_allclose([h.score for h in hypotheses], best)


@pytest.mark.parametrize("prune", [0.0, -0.5, -3.0])
def test_beam_keeps_nothing_further_from_the_best_than_the_limit(rng, prune):
    tokens = tokens_of(300)
    for _ in range(20):
        row = np.log(rng.dirichlet(np.full(300, 0.3)) + 1e-9)
        decoder = BeamSearchDecoder(
            tokens, beam_width=50, n_best=300, token_min_logp=-math.inf, beam_prune_logp=prune
        )

        (hypotheses,) = decoder(row[np.newaxis])

        expected = np.sort(row[row >= row.max() + prune])[::-1][:50]
        np.testing.assert_allclose([h.score for h in hypotheses], expected)
