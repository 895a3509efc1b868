"""Relative-entropy pruning against its definition."""

import math

import kenlm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ngram_texts import draw_sentences
from oracles.ngram import Arpa, EntropyPruned, KneserNey

from asr.decoding import NGramLM
from asr.ngram.estimation import NGramOptions, estimate_ngram


def prune(tmp_path, lines, order, threshold, **options):
    path = tmp_path / "pruned.arpa"
    options = NGramOptions(prune_entropy=threshold, **options)
    report = estimate_ngram(lines, order, path, options)
    return Arpa(path), report


def textbook(lines, order, threshold, counts=()):
    full = [*counts, *[counts[-1] if counts else 0] * (order - len(counts))]
    return EntropyPruned(KneserNey([line.split() for line in lines], order, full), threshold)


@pytest.mark.parametrize("counts", [(), (0, 1)], ids=["all", "counted"])
@pytest.mark.parametrize("threshold", [1e-5, 1e-3, 0.01])
@pytest.mark.parametrize("order", [2, 3, 4])
def test_pruned_model_equals_the_definition(tmp_path, rng, order, threshold, counts):
    lines = draw_sentences(rng, 40)
    expected = textbook(lines, order, threshold, counts)

    arpa, _ = prune(tmp_path, lines, order, threshold, prune=counts)

    assert {gram for gram in arpa.grams if len(gram) > 1} == expected.retained
    assert len(expected.retained) < len(expected.explicit) or threshold < 1e-3
    for _ in range(200):
        context = tuple(rng.choice(expected.words, size=rng.integers(order)))
        word = str(rng.choice(expected.words))
        p = expected.probability(word, context)
        assert arpa.log10(word, context) == pytest.approx(math.log10(p), abs=1e-6)


@pytest.mark.parametrize("threshold", [1e-4, 0.01])
@pytest.mark.parametrize("order", [2, 3, 6])
def test_every_context_sums_to_one(tmp_path, rng, order, threshold):
    arpa, _ = prune(tmp_path, draw_sentences(rng, 150), order, threshold)
    words = [gram[0] for gram in arpa.grams if len(gram) == 1 and gram != ("<s>",)]

    contexts = [gram for gram in arpa.grams if len(gram) < order and gram[-1] != "</s>"]
    for context in [(), *contexts, ("a", "<unk>")]:
        total = sum(10 ** arpa.log10(word, context) for word in words)
        assert total == pytest.approx(1, abs=1e-6), context


def test_what_remains_is_as_it_was(tmp_path, rng):
    lines = draw_sentences(rng, 150)
    estimate_ngram(lines, 4, tmp_path / "whole.arpa")
    whole = Arpa(tmp_path / "whole.arpa")

    pruned, report = prune(tmp_path, lines, 4, 1e-3)

    assert all(whole.grams[gram][0] == p for gram, (p, _) in pruned.grams.items())
    assert [pruned.declared[n] for n in (1, 2, 3, 4)] == report.num_ngrams
    for gram in (gram for gram in pruned.grams if len(gram) > 1):
        assert gram[:-1] in pruned.grams
        assert gram[1:] in pruned.grams


def test_a_threshold_below_all_losses_changes_nothing(tmp_path, rng):
    lines = draw_sentences(rng, 100)
    estimate_ngram(lines, 3, tmp_path / "whole.arpa")

    prune(tmp_path, lines, 3, 1e-30)

    whole = (tmp_path / "whole.arpa").read_bytes()
    assert (tmp_path / "pruned.arpa").read_bytes() == whole


def test_a_huge_threshold_leaves_unigrams(tmp_path, rng):
    lines = draw_sentences(rng, 100)
    estimate_ngram(lines, 3, tmp_path / "whole.arpa")
    words = {g: p for g, (p, _) in Arpa(tmp_path / "whole.arpa").grams.items() if len(g) == 1}

    arpa, report = prune(tmp_path, lines, 3, 1e9)

    assert report.num_ngrams[1:] == [0, 0]
    assert arpa.grams == {gram: (p, 0) for gram, p in words.items()}


def test_context_that_every_word_follows(tmp_path):
    # Nothing is left to the shorter context, <unk> included: the vocabulary limit makes some.
    words = [*"abc", "</s>"]
    lines = [f"a {word}" if word != "</s>" else "a" for word in "abcdefgh"] * 3 + ["a"] * 5
    lines += ["b a", "c a"]

    arpa, _ = prune(tmp_path, lines, 2, 1e-3, vocab_size=3)

    for context in (("a",), ("b",), ("<unk>",)):
        total = sum(10 ** arpa.log10(word, context) for word in [*words, "<unk>"])
        assert total == pytest.approx(1, abs=1e-6)


def test_pruning_does_not_depend_on_memory(tmp_path, rng):
    lines = draw_sentences(rng, 3000, words=200)
    options = {"prune": (0, 0, 1), "vocab_size": 150}
    prune(tmp_path, lines, 4, 1e-6, **options)
    plenty = (tmp_path / "pruned.arpa").read_bytes()

    prune(tmp_path, lines, 4, 1e-6, memory=1, **options)

    assert (tmp_path / "pruned.arpa").read_bytes() == plenty


def test_kenlm_reads_and_scores_the_file(tmp_path, rng):
    arpa, _ = prune(tmp_path, draw_sentences(rng, 150), 4, 1e-3)
    path = tmp_path / "pruned.arpa"
    theirs, ours = kenlm.Model(str(path)), NGramLM(path)

    for sentence in ["", "a", "zebra", *draw_sentences(rng, 100)]:
        expected = arpa.score(sentence)
        assert theirs.score(sentence) == pytest.approx(expected, abs=1e-5)
        assert ours.score(sentence) == pytest.approx(expected * math.log(10), abs=1e-4)


@settings(deadline=None)
@given(
    lines=st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=5), min_size=1),
    order=st.integers(2, 4),
    exponent=st.floats(-6, 0),
)
def test_any_text_equals_the_definition(tmp_path_factory, lines, order, exponent):
    lines = [" ".join(line) for line in lines]
    arpa, _ = prune(tmp_path_factory.mktemp("any"), lines, order, 10**exponent)
    expected = textbook(lines, order, 10**exponent)

    assert {gram for gram in arpa.grams if len(gram) > 1} == expected.retained
    words = [gram[0] for gram in arpa.grams if len(gram) == 1 and gram != ("<s>",)]
    for context in {gram[:-1] for gram in expected.explicit}:
        p = [10 ** arpa.log10(word, context) for word in words]
        assert np.sum(p) == pytest.approx(1, abs=1e-6)
