"""NGramLM against kenlm on random sentences, and against the definition where kenlm has no say."""

import math

import kenlm
import numpy as np
import pytest
from ngram_texts import draw_sentences
from oracles.ngram import Arpa

from asr.decoding import NGramLM
from asr.ngram.estimation import NGramOptions, estimate_ngram


def draw_queries(rng, sentences, size):
    """Sentences of the text, sentences of random words, and both with unknown words in them."""
    words = sorted({word for sentence in sentences for word in sentence.split()})
    for _ in range(size):
        query = sentences[rng.integers(len(sentences))].split()
        if rng.random() < 0.5:
            query = [str(word) for word in rng.choice(words, size=rng.integers(0, 15))]
        query = [word if rng.random() < 0.9 else "zebra" for word in query]
        yield " ".join(query), bool(rng.integers(2)), bool(rng.integers(2))


def assert_scores_equal_kenlm(tmp_path, rng, order, size, **options):
    sentences = draw_sentences(rng, 2000, words=300)
    path = tmp_path / "lm.arpa"
    estimate_ngram(sentences, order, path, NGramOptions(**options))
    ours, theirs = NGramLM(path), kenlm.Model(str(path))
    ours.save(tmp_path / "lm.bin")
    compiled = NGramLM(tmp_path / "lm.bin")

    for query, bos, eos in draw_queries(rng, sentences, size):
        # kenlm.Model.score adds in float32; its single probabilities are exact enough.
        expected = math.fsum(p for p, _, _ in theirs.full_scores(query, bos=bos, eos=eos))
        score = ours.score(query, bos, eos)
        assert score / math.log(10) == pytest.approx(expected, abs=1e-5), query
        assert compiled.score(query, bos, eos) == score


@pytest.mark.parametrize("order", [2, 3, 4, 5, 6])
def test_scores_equal_kenlm(tmp_path, rng, order):
    assert_scores_equal_kenlm(tmp_path, rng, order, 500)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"prune": (0, 1)}, {"prune_entropy": 1e-5}], ids=str)
@pytest.mark.parametrize("order", [2, 3, 4, 5, 6])
def test_scores_equal_kenlm_on_10000_sentences(tmp_path, rng, order, options):
    assert_scores_equal_kenlm(tmp_path, rng, order, 10_000, **options)


def test_unigram_scores_equal_the_definition(tmp_path, rng):
    # kenlm refuses models of order 1.
    sentences = draw_sentences(rng, 200)
    estimate_ngram(sentences, 1, tmp_path / "lm.arpa")
    ours, arpa = NGramLM(tmp_path / "lm.arpa"), Arpa(tmp_path / "lm.arpa")

    for query, bos, eos in draw_queries(rng, sentences, 500):
        words = [*query.split(), "</s>"] if eos else query.split()
        expected = math.fsum(arpa.log10(word, ()) for word in words)
        assert ours.score(query, bos, eos) / math.log(10) == pytest.approx(expected, abs=1e-5)


def test_every_distribution_of_a_compiled_model_sums_to_one(tmp_path, rng):
    estimate_ngram(draw_sentences(rng, 300), 3, tmp_path / "lm.arpa")
    NGramLM(tmp_path / "lm.arpa").save(tmp_path / "lm.bin")
    lm = NGramLM(tmp_path / "lm.bin")
    words = [word for word in lm.words() if word not in ("<s>", "</s>")]

    for context in ["", "a", "b c", "zebra a", "a a a a"]:
        so_far, end = lm.score(context, eos=False), lm.score(context)
        ln_p = [lm.score(f"{context} {word}", eos=False) - so_far for word in words]
        assert np.exp([*ln_p, end - so_far]).sum() == pytest.approx(1, abs=1e-5)
