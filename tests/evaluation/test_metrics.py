import math
import os
import shutil
import subprocess

import jiwer
import kaldialign
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.scoring import edit_distance, edits, sclite_split

from asr.evaluation.metrics import (
    METRICS,
    ErrorRate,
    RateDifference,
    align,
    character_error_rate,
    choose_metric,
    compare_error_rates,
    order_metrics,
    word_error_rate,
    write_trn,
)

texts = st.lists(st.sampled_from("abc"), max_size=6).map(" ".join)


def draw_corpus(rng, size, vocabulary=20, longest=12):
    """Unrelated pairs: every kind of error, references never empty (jiwer refuses those)."""

    def draw(shortest):
        return " ".join(
            str(w) for w in rng.integers(vocabulary, size=rng.integers(shortest, longest))
        )

    return [draw(1) for _ in range(size)], [draw(0) for _ in range(size)]


def perturb(rng, references):
    """What a recogniser does: a tenth of the words replaced, dropped or doubled."""
    hypotheses = []
    for reference in references:
        words = []
        for word in reference.split():
            kind = rng.random()
            words += [] if kind < 0.05 else [word, word] if kind < 0.08 else [word]
            if words and kind > 0.93:
                words[-1] = str(rng.integers(1000))
        hypotheses.append(" ".join(words))
    return hypotheses


def test_textbook_corpus():
    score = word_error_rate(["the cat sat", "a dog"], ["the cat sat down", "dog"])

    assert score[:5] == (2 / 5, 1, 1, 0, 5)


def test_rate_is_micro_averaged():
    # One of one word and none of nine: 10 %, where the mean of rates would be 50 %.
    score = word_error_rate(["a", "b c d e f g h i j"], ["x", "b c d e f g h i j"])

    assert score.rate == 0.1


def test_characters_count_spaces():
    score = character_error_rate(["a b"], ["ab"])

    assert score[:5] == (1 / 3, 0, 1, 0, 3)


def test_white_space_does_not_matter_to_words():
    assert word_error_rate(["  a\tb "], ["a b"]).rate == 0


def test_case_matters():
    assert word_error_rate(["A"], ["a"]).substitutions == 1


@pytest.mark.parametrize("rate", [word_error_rate, character_error_rate])
@pytest.mark.parametrize(
    ("references", "hypotheses", "expected"),
    [
        ([], [], (0.0, 0, 0, 0, 0, 0.0, 0.0)),
        ([""], [""], (0.0, 0, 0, 0, 0, 0.0, 0.0)),
        ([""], ["a"], (math.inf, 1, 0, 0, 0, math.inf, math.inf)),
        (["a"], [""], (1.0, 0, 1, 0, 1, 1.0, 1.0)),
        (["", "a"], ["", "a"], (0.0, 0, 0, 0, 1, 0.0, 0.0)),
        (["", "a"], ["b", "a"], (1.0, 1, 0, 0, 1, 0.0, math.inf)),
    ],
)
def test_empty_texts_are_scored(rate, references, hypotheses, expected):
    assert rate(references, hypotheses) == ErrorRate(*expected)


@pytest.mark.parametrize("rate", [word_error_rate, character_error_rate])
def test_unequal_numbers_of_texts_are_refused(rate):
    with pytest.raises(ValueError, match="got 1 and 2"):
        rate(["a"], ["a", "b"])


@pytest.mark.parametrize("rate", [word_error_rate, character_error_rate])
def test_one_string_is_refused(rate):
    with pytest.raises(TypeError, match="sequences of texts"):
        rate("abc", "abd")


def test_word_errors_are_as_many_as_jiwers(rng):
    references, hypotheses = draw_corpus(rng, 500)

    score = word_error_rate(references, hypotheses)

    theirs = jiwer.process_words(references, hypotheses)
    errors = score.insertions + score.deletions + score.substitutions
    assert errors == theirs.insertions + theirs.deletions + theirs.substitutions
    assert score.rate == pytest.approx(theirs.wer, abs=1e-15)


def test_character_errors_are_as_many_as_jiwers(rng):
    references, hypotheses = draw_corpus(rng, 200)

    score = character_error_rate(references, hypotheses)

    assert score.rate == pytest.approx(jiwer.cer(references, hypotheses), abs=1e-15)


def test_split_of_a_recognisers_errors_is_sclites(rng):
    references, _ = draw_corpus(rng, 300, vocabulary=200, longest=30)
    hypotheses = perturb(rng, references)

    score = word_error_rate(references, hypotheses)

    pairs = zip(references, hypotheses, strict=True)
    counts = [kaldialign.edit_distance(r.split(), h.split(), sclite_mode=True) for r, h in pairs]
    assert score.insertions == sum(c["ins"] for c in counts) > 0
    assert score.deletions == sum(c["del"] for c in counts) > 0
    assert score.substitutions == sum(c["sub"] for c in counts) > 0


def test_split_of_unrelated_texts_is_sclites_where_that_has_fewest_errors(rng):
    for reference, hypothesis in zip(*draw_corpus(rng, 500, vocabulary=5), strict=True):
        sclite = kaldialign.edit_distance(reference.split(), hypothesis.split(), sclite_mode=True)
        fewest = kaldialign.edit_distance(reference.split(), hypothesis.split())["total"]
        if sclite["total"] == fewest:
            score = word_error_rate([reference], [hypothesis])
            assert score[1:4] == (sclite["ins"], sclite["del"], sclite["sub"])


@pytest.mark.skipif(shutil.which("sclite", path="/usr/lib/sctk/bin") is None, reason="no sclite")
def test_split_equals_the_sclite_program(rng, tmp_path):
    references, _ = draw_corpus(rng, 100, vocabulary=50, longest=20)
    references += ["a ; b {c} d@ @ e* \\f (g) h", "x"]
    hypotheses = perturb(rng, references)
    hypotheses[-1] = ""
    ids = [f"s_{i}" for i in range(len(references))]
    write_trn(tmp_path / "ref.trn", ids, references)
    write_trn(tmp_path / "hyp.trn", ids, hypotheses)

    command = "sclite -s -e utf-8 -r ref.trn trn -h hyp.trn trn -i spu_id -o pra stdout"
    printed = subprocess.run(
        command.split(),
        cwd=tmp_path,
        env=os.environ | {"PATH": "/usr/lib/sctk/bin"},
        capture_output=True,
        check=True,
    ).stdout.decode()

    rows = [line.split()[-4:] for line in printed.splitlines() if line.startswith("Scores:")]
    _, substitutions, deletions, insertions = np.array(rows, dtype=int).sum(axis=0)
    score = word_error_rate(references, hypotheses)
    assert len(rows) == len(references)
    assert score[1:4] == (insertions, deletions, substitutions)


@settings(deadline=None)
@given(reference=texts, hypothesis=texts)
def test_counts_are_fewest_errors_split_as_sclite(reference, hypothesis):
    r, h = reference.split(), hypothesis.split()
    _, *counts, _, _, _ = word_error_rate([reference], [hypothesis])

    assert sum(counts) == edit_distance(r, h)
    fewest = {c for c in edits(r, h) if sum(c) == edit_distance(r, h)}
    assert tuple(counts) == min(fewest, key=lambda c: c[2])
    if sclite_split(r, h) & fewest:
        assert tuple(counts) in sclite_split(r, h)


def test_errors_are_fewest_where_sclite_takes_more():
    score = word_error_rate(["x y z a b"], ["a b p q r"])

    assert score[:4] == (1.0, 0, 0, 5)


@settings(deadline=None)
@given(reference=texts, hypothesis=texts)
def test_alignment_spells_both_sides(reference, hypothesis):
    pairs = align(reference.split(), hypothesis.split())

    assert [r for r, _ in pairs if r is not None] == reference.split()
    assert [h for _, h in pairs if h is not None] == hypothesis.split()
    assert (None, None) not in pairs


def test_alignment_of_a_textbook_pair():
    pairs = align(["the", "cat", "sat"], ["the", "black", "cat"])

    assert pairs == [("the", "the"), (None, "black"), ("cat", "cat"), ("sat", None)]


def test_alignment_takes_any_word():
    assert align(["*", ""], ["*"]) == [("*", "*"), ("", None)]


def test_interval_is_reproducible_and_depends_on_the_seed(rng):
    corpus = draw_corpus(rng, 60)

    assert word_error_rate(*corpus) == word_error_rate(*corpus)
    assert word_error_rate(*corpus, seed=1) != word_error_rate(*corpus, seed=2)


def test_interval_holds_the_rate_and_narrows_with_the_corpus(rng):
    references, hypotheses = draw_corpus(rng, 400)
    few = word_error_rate(references[:40], hypotheses[:40])
    many = word_error_rate(references, hypotheses)

    assert few.low < few.rate < few.high
    assert many.low < many.rate < many.high
    assert many.high - many.low < 0.6 * (few.high - few.low)


def test_interval_agrees_with_the_binomial(rng):
    # One word an utterance makes the bootstrap a binomial: +- 1.96 sqrt(p (1 - p) / n).
    wrong = rng.random(1000) < 0.2
    score = word_error_rate(["a"] * 1000, ["b" if w else "a" for w in wrong])

    half = 1.96 * math.sqrt(score.rate * (1 - score.rate) / 1000)
    assert score.low == pytest.approx(score.rate - half, abs=0.003)
    assert score.high == pytest.approx(score.rate + half, abs=0.003)


def test_trn_lines(tmp_path):
    write_trn(tmp_path / "a.trn", ["s1_u1", "s1_u2"], ["the  cat", ""])

    assert (tmp_path / "a.trn").read_text() == "the cat (s1_u1)\n (s1_u2)\n"
    assert [p.name for p in tmp_path.iterdir()] == ["a.trn"]


def test_trn_replaces_markup(tmp_path):
    write_trn(tmp_path / "a.trn", ["u"], ["{a/b} @ ;;c*\\"])

    line = (tmp_path / "a.trn").read_text(encoding="utf-8")
    assert not set("{}@;*\\") & set(line)
    assert len(line) == len("{a/b} @ ;;c*\\ (u)\n")


@pytest.mark.parametrize("ids", [["a", "a"], ["a b", "c"], ["a(", "c"], ["", "c"]])
def test_trn_refuses_bad_ids_and_leaves_the_file(tmp_path, ids):
    path = tmp_path / "a.trn"
    path.write_text("before")

    with pytest.raises(ValueError, match="ids must be unique"):
        write_trn(path, ids, ["x", "y"])
    assert path.read_text() == "before"


def test_trn_refuses_unequal_numbers(tmp_path):
    with pytest.raises(ValueError, match="got 1 and 2"):
        write_trn(tmp_path / "a.trn", ["a"], ["x", "y"])


def test_difference_is_that_of_the_two_rates(rng):
    references, _ = draw_corpus(rng, 40)
    first, second = perturb(rng, references), perturb(rng, references)

    found = compare_error_rates(references, first, second)

    rates = [word_error_rate(references, texts).rate for texts in (first, second)]
    assert found.difference == pytest.approx(rates[0] - rates[1])
    assert found.low < found.difference < found.high
    turned = compare_error_rates(references, second, first)
    assert turned.difference == -found.difference
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_difference_is_taken_on_the_same_utterances():
    """What is hard for both cancels out: one word more is one word more in every draw."""
    references = ["a b c d"] * 20
    first = ["x x x x", "a b c d"] * 10
    second = ["x x x x", "a b c x"] * 10

    alone = word_error_rate(references, first)
    found = compare_error_rates(references, first, second)

    assert found.difference == pytest.approx(-1 / 8)
    # A draw of 20 has 14 or 15 of the other kind at the upper 2.5 % of the binomial distribution.
    assert -15 / 80 <= found.low <= -14 / 80
    assert -6 / 80 <= found.high <= -5 / 80
    assert found.high - found.low < 0.3 * (alone.high - alone.low)


def test_difference_of_equal_hypotheses_is_zero():
    same = compare_error_rates(["a b", "c"], ["a", "x"], ["b", "y"])

    assert same == RateDifference(0.0, 0.0, 0.0, 0.0)
    assert compare_error_rates(["", ""], ["a", ""], ["", ""]) == (0.0, 0.0, 0.0, 0.0)
    assert compare_error_rates([], [], []) == (0.0, 0.0, 0.0, 0.0)


def test_probability_of_improvement_is_that_of_the_draws():
    """One utterance in two is better by a word: every draw is, but the one in 2 ^ 6 without it."""
    references = ["a b"] * 6
    first, second = ["a b"] * 6, ["a b", "a x"] * 3

    found = compare_error_rates(references, first, second)
    turned = compare_error_rates(references, second, first)

    assert found.better == pytest.approx(1 - 1 / 64, abs=0.01)
    assert turned.better == 0.0


def test_difference_wants_as_many_hypotheses():
    with pytest.raises(ValueError, match="got 2 and 1"):
        compare_error_rates(["a", "b"], ["a", "b"], ["a"])


@pytest.mark.parametrize(
    ("name", "separates_words", "metric"),
    [("auto", True, "wer"), ("auto", False, "cer"), ("cer", True, "cer"), ("wer", False, "wer")],
)
def test_metric_is_of_characters_where_words_have_no_spaces(name, separates_words, metric):
    assert choose_metric(name, separates_words) == metric


def test_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="metric must be auto, wer, cer or per, got 'mer'"):
        choose_metric("mer", True)


@pytest.mark.parametrize("name", ["auto", "per"])
def test_metric_of_phones_is_per(name):
    assert choose_metric(name, separates_words=True, says_phones=True) == "per"


def test_phones_are_no_words_and_words_no_phones():
    with pytest.raises(ValueError, match=r"must be auto or per for .* are phones, got 'wer'"):
        choose_metric("wer", separates_words=True, says_phones=True)
    with pytest.raises(ValueError, match=r"must be auto, wer or cer for .* not phones, got 'per'"):
        choose_metric("per", separates_words=True)


def test_phones_are_counted_whole():
    # HH AH L OW heard as HH EH L OW Z: a substitution and an insertion of four phones.
    found = METRICS["per"](["HH AH L OW", "Y EH S"], ["HH EH L OW Z", "Y EH S"])

    assert (found.substitutions, found.insertions, found.deletions) == (1, 1, 0)
    assert found.rate == 2 / 7
    assert order_metrics("per") == ("per",)


def test_differences_of_characters():
    # One and three of four characters are wrong, and one word of one each time.
    found = compare_error_rates(["abcd"], ["abcx"], ["axyz"], metric="cer")

    assert found.difference == 1 / 4 - 3 / 4
    assert compare_error_rates(["abcd"], ["abcx"], ["axyz"]).difference == 0
