"""The decoders against enumeration of all alignments, with a beam that cannot prune."""

import math

import numpy as np
import pytest

from asr.decoding import BeamSearchDecoder, GreedyDecoder, NGramLM, PrefixSearchDecoder
from tests.oracles.decoding import TextRules, distinct_texts, random_model, readings

UNPRUNED = {"beam_width": 10_000, "token_min_logp": -math.inf, "beam_prune_logp": -math.inf}
ALPHABETS = {
    "letters": ["<blank>", "a", "b"],
    "separator": ["<blank>", "a", " ", "b"],
    "pieces": ["<blank>", "\u2581a", "b", "\u2581"],
}


def random_log_probs(rng, num_frames, num_classes):
    """Rows from nearly uniform to nearly one-hot, some with impossible classes."""
    sharpness = rng.choice([0.1, 0.5, 2.0])
    probs = rng.dirichlet(np.full(num_classes, sharpness), size=num_frames)
    probs[rng.random(probs.shape) < 0.05] = 0.0
    probs += 1e-3 * (probs.sum(axis=1, keepdims=True) == 0)
    with np.errstate(divide="ignore"):
        return np.log(probs / probs.sum(axis=1, keepdims=True))


def assert_same_ranking(hypotheses, expected, tokens):
    """Equal scores rank by rank; equal labellings wherever the score is not shared."""
    assert len(hypotheses) == len(expected)
    scores = np.array([reading.score for _, reading in expected])
    # A model keeps each of its numbers, up to 7 nats with weights up to 2, as float32.
    tolerance = 5e-6 if any(reading.lm_score for _, reading in expected) else 1e-6
    np.testing.assert_allclose([h.score for h in hypotheses], scores, rtol=0, atol=tolerance)
    for rank, (hypothesis, (text, reading)) in enumerate(zip(hypotheses, expected, strict=True)):
        if np.sum(np.abs(scores - scores[rank]) < tolerance) == 1 and rank + 1 < len(expected):
            assert hypothesis.token_ids == reading.labelling
            assert hypothesis.text == text
            assert hypothesis.acoustic_score == pytest.approx(reading.acoustic_score, abs=1e-6)
            assert hypothesis.lm_score == pytest.approx(reading.lm_score, abs=1e-4)
        assert hypothesis.tokens == tuple(tokens[c] for c in hypothesis.token_ids)
        assert " ".join(w.word for w in hypothesis.words) == hypothesis.text


@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("num_frames", [1, 2, 3, 4, 5])
def test_beam_search_n_best_equals_enumeration(rng, alphabet, num_frames):
    tokens = ALPHABETS[alphabet]
    decoder = BeamSearchDecoder(tokens, n_best=8, **UNPRUNED)
    for _ in range(60):
        log_probs = random_log_probs(rng, num_frames, len(tokens))

        (hypotheses,) = decoder(log_probs)

        expected = distinct_texts(readings(log_probs, tokens), tokens, 8)
        assert_same_ranking(hypotheses, expected, tokens)


@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_beam_search_with_language_model_equals_enumeration(rng, tmp_path, alphabet, order):
    tokens = ALPHABETS[alphabet]
    for case in range(8):
        model = random_model(rng, ["a", "b", "ab", "ba"][case % 4 :], order)
        path = tmp_path / f"{case}.arpa"
        path.write_text(model.arpa())
        weights = {"lm_alpha": float(rng.uniform(0, 2)), "lm_beta": float(rng.uniform(-1, 2))}
        weights["unk_score"] = float(rng.uniform(-3, 0))
        decoder = BeamSearchDecoder(tokens, lm=NGramLM(path), n_best=8, **weights, **UNPRUNED)
        for _ in range(15):
            log_probs = random_log_probs(rng, int(rng.integers(1, 6)), len(tokens))

            (hypotheses,) = decoder(log_probs)

            expected = readings(log_probs, tokens, rules=TextRules(model, **weights))
            assert_same_ranking(hypotheses, distinct_texts(expected, tokens, 8), tokens)


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_prefix_search_best_equals_enumeration(rng, alphabet):
    tokens = ALPHABETS[alphabet]
    decoder = PrefixSearchDecoder(tokens)
    for case in range(200):
        log_probs = random_log_probs(rng, case % 5 + 1, len(tokens))

        ((hypothesis,),) = decoder(log_probs)

        best, *others = readings(log_probs, tokens)
        assert hypothesis.score == pytest.approx(best.score, abs=1e-6)
        if others and others[0].score < best.score - 1e-6:
            assert hypothesis.token_ids == best.labelling
        assert not hypothesis.bound_hit


@pytest.mark.parametrize("blank", [1, 2])
def test_decoders_agree_with_enumeration_for_any_blank(rng, blank):
    tokens = ["a", "b", "c"]
    tokens[blank] = "<blank>"
    for _ in range(50):
        log_probs = random_log_probs(rng, 4, 3)
        best = readings(log_probs, tokens, blank=blank)[0]

        ((beam,),) = BeamSearchDecoder(tokens, blank, **UNPRUNED)(log_probs)
        ((prefix,),) = PrefixSearchDecoder(tokens, blank)(log_probs)

        assert beam.score == pytest.approx(best.score, abs=1e-6)
        assert prefix.score == pytest.approx(best.score, abs=1e-6)


def test_greedy_equals_collapsed_argmax(rng):
    tokens = ALPHABETS["separator"]
    for case in range(200):
        log_probs = random_log_probs(rng, case % 6 + 1, len(tokens))

        ((hypothesis,),) = GreedyDecoder(tokens)(log_probs)

        path = log_probs.argmax(axis=1)
        kept = [int(c) for t, c in enumerate(path) if c != 0 and (t == 0 or path[t - 1] != c)]
        assert list(hypothesis.token_ids) == kept
        assert hypothesis.score == pytest.approx(log_probs.max(axis=1).sum(), abs=1e-6)


@pytest.mark.parametrize(
    ("decoder", "text", "probability"),
    [(GreedyDecoder, "", 0.36), (PrefixSearchDecoder, "D", 0.64), (BeamSearchDecoder, "D", 0.64)],
)
def test_textbook_case_where_the_best_path_is_wrong(decoder, text, probability):
    # Graves 2012, figure 7.5: two frames of P(blank) = 0.6, P(D) = 0.4.
    log_probs = np.log([[0.6, 0.4], [0.6, 0.4]])

    ((hypothesis,),) = decoder(["<blank>", "D"])(log_probs)

    assert hypothesis.text == text
    assert hypothesis.score == pytest.approx(math.log(probability))
