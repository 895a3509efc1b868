"""What a narrow beam keeps: prefixes that differ in what matters, words that the model expects."""

import math

import numpy as np
import pytest

from asr.decoding import BeamSearchDecoder, NGramLM

LETTERS = ["<blank>", " ", "a", "b"]
PIECES = ["<blank>", "\u2581x", "\u2581y", "\u2581z"]
# y is rare, but not after x.
FOLLOWERS = """\\data\\
ngram 1=6
ngram 2=1

\\1-grams:
-3.0\t<unk>
-99\t<s>\t0.0
-1.0\t</s>
-0.5\tx\t0.0
-6.0\ty
-0.4\tz

\\2-grams:
-0.05\tx y

\\end\\
"""


def ln(probabilities):
    return np.log(np.asarray(probabilities, np.float64))


def test_word_expected_after_the_last_one_survives_a_beam_of_one(tmp_path):
    path = tmp_path / "lm.arpa"
    path.write_text(FOLLOWERS)
    log_probs = ln([[0.02, 0.94, 0.02, 0.02], [0.1, 0.01, 0.79, 0.1], [0.9, 0.03, 0.04, 0.03]])

    decoder = BeamSearchDecoder(PIECES, beam_width=1, lm=NGramLM(path), lm_alpha=1.0, lm_beta=0.0)

    assert decoder(log_probs)[0][0].text == "x y"


def scores(log_probs, **options):
    decoder = BeamSearchDecoder(
        LETTERS, lexicon=["a", "b", "ab"], token_min_logp=-math.inf, **options
    )
    return np.array([hypotheses[0].score for hypotheses in decoder(log_probs)])


def test_full_beam_keeps_one_of_the_prefixes_with_equal_futures(rng):
    logits = 3 * rng.normal(size=(60, 30, 4))
    log_probs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    exact = scores(log_probs, beam_width=20_000, beam_prune_logp=-25)

    merged = exact - scores(log_probs, beam_width=4, beam_prune_logp=-math.inf)
    unmerged = exact - scores(log_probs, beam_width=4, beam_prune_logp=-math.inf, n_best=2)

    assert merged.mean() < 0.8 * unmerged.mean()
    assert (merged < unmerged - 1e-9).sum() > 3 * (merged > unmerged + 1e-9).sum()


def test_words_that_go_on_in_different_ways_have_different_futures():
    log_probs = ln(
        [
            [0.6, 0.4, 1e-9, 1e-9, 1e-9],
            [1e-9, 1e-9, 1.0, 1e-9, 1e-9],
            [1e-9, 1e-9, 1e-9, 0.1, 0.9],
        ]
    )

    decoder = BeamSearchDecoder(["<blank>", *"bacd"], beam_width=2, lexicon=["ac", "bad"])

    assert decoder(log_probs)[0][0].text == "bad"


def test_beam_that_is_not_full_merges_nothing(rng):
    logits = rng.normal(size=(20, 6, 4))
    log_probs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)

    options = {"beam_width": 5000, "beam_prune_logp": -math.inf}
    np.testing.assert_array_equal(
        scores(log_probs, **options), scores(log_probs, n_best=2, **options)
    )


@pytest.mark.parametrize("top_n", [1, 2, 3, 7])
@pytest.mark.parametrize("lexicon", [None, "abcdefg"])
def test_only_the_top_tokens_of_a_frame_start_prefixes(rng, top_n, lexicon):
    letters = list("abcdefg")
    logits = rng.normal(size=(1, 8))
    log_probs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)

    decoder = BeamSearchDecoder(
        ["<blank>", *letters], lexicon=lexicon and letters, n_best=99, beam_prune_logp=-99,
        token_min_logp=-math.inf, token_top_n=top_n,
    )  # fmt: skip

    best = np.argsort(-log_probs[0, 1:])[:top_n]
    assert {h.text for h in decoder(log_probs)[0]} == {"", *(letters[i] for i in best)}


def test_top_n_of_all_tokens_limits_nothing(rng):
    logits = 2 * rng.normal(size=(5, 20, 30))
    log_probs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    tokens = ["<blank>", *(chr(0x4E00 + c) for c in range(29))]

    free, limited = (
        BeamSearchDecoder(tokens, token_top_n=n, token_min_logp=-math.inf) for n in (None, 29)
    )

    assert limited(log_probs) == free(log_probs)
    assert BeamSearchDecoder(tokens, token_top_n=2)(log_probs) != free(log_probs)


def test_equally_probable_tokens_are_all_among_the_top():
    log_probs = ln([[0.1, 0.3, 0.3, 0.3]])

    texts = {
        h.text
        for h in BeamSearchDecoder(["<blank>", *"abc"], token_top_n=1, n_best=9)(log_probs)[0]
    }

    assert texts == {"", "a", "b", "c"}
