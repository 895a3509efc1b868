import math

import numpy as np
import pytest

from tests.oracles.decoding import (
    LN10,
    BackoffModel,
    TextRules,
    collapse,
    distinct_texts,
    labelling_probabilities,
    random_model,
    readings,
    scored_tokens,
    words_of,
)


@pytest.mark.parametrize(
    ("path", "labelling"),
    [((0, 1, 1, 0, 1), (1, 1)), ((1, 1), (1,)), ((0, 0), ()), ((), ()), ((2, 1, 1, 2), (2, 1, 2))],
)
def test_collapse_merges_repeats_before_it_drops_blanks(path, labelling):
    assert collapse(path, 0) == labelling


def test_labelling_probabilities_of_the_textbook_case():
    log_probs = np.log([[0.6, 0.4], [0.6, 0.4]])

    masses = labelling_probabilities(log_probs, 0)

    assert masses == {(): pytest.approx(0.36), (1,): pytest.approx(0.64)}


def test_labelling_probabilities_sum_to_one(rng):
    log_probs = np.log(rng.dirichlet(np.ones(3), size=4))

    assert sum(labelling_probabilities(log_probs, 0).values()) == pytest.approx(1.0)


def test_words_of_separators_and_pieces():
    assert words_of((1, 2, 2, 1), ["", "a", " "]) == ["a", "a"]
    assert words_of((1, 2, 3), ["", "\u2581a", "b", "\u2581"]) == ["ab"]


MODEL = BackoffModel(
    {
        ("<s>",): (-99.0, -0.5),
        ("</s>",): (-1.0, 0.0),
        ("<unk>",): (-2.0, 0.0),
        ("a",): (-0.3, -0.2),
        ("<s>", "a"): (-0.1, 0.0),
    }
)


def test_backoff_model_of_a_hand_computed_sentence():
    # p(a | <s>) is a bigram, p(</s> | a) backs off from a.
    assert MODEL.sentence(["a"]) == pytest.approx((-0.1 - 0.2 - 1.0) * LN10)
    # p(<unk> | <s>) backs off from <s>; <unk> has no back-off weight.
    assert MODEL.sentence(["b"]) == pytest.approx((-0.5 - 2.0 - 1.0) * LN10)
    assert MODEL.sentence(["a"], bos=False, eos=False) == pytest.approx(-0.3 * LN10)


def test_readings_add_weighted_language_score():
    log_probs = np.log([[0.5, 0.5]])

    best, second = readings(log_probs, ["", "a"], rules=TextRules(MODEL, 2.0, 0.5))

    a_score = math.log(0.5) + 2.0 * MODEL.sentence(["a"]) + 0.5
    assert best.labelling == (1,)
    assert best.score == pytest.approx(a_score)
    assert second.score == pytest.approx(math.log(0.5) + 2.0 * MODEL.sentence([]))


def test_text_rules_of_hand_made_cases():
    rules = TextRules(
        lexicon={"dr": "doctor", "no": "no"},
        hotwords=("dr no", "no"),
        hotword_weight=2.0,
        grammar=lambda words: len(words) < 4,
    )

    assert rules.allow(["dr", "no"])
    assert not rules.allow(["doctor"])
    assert not rules.allow(["no"] * 4)
    assert rules.words(["dr", "no"]) == ["doctor", "no"]
    # "dr no" once for 2 words, "no" twice for 1.
    assert rules.hotword_bonus(["no", "dr", "no"]) == 8.0


def test_text_rules_lm_units():
    tokens = ["", "a", " "]

    assert TextRules().lm_units((1, 2, 1), tokens) == ["a", "a"]
    assert TextRules(lm_unit="token").lm_units((1, 2, 1), tokens) == ["a", "\u2581", "a"]


def test_scored_tokens_leave_out_separators_that_enclose_no_word():
    assert scored_tokens([" ", "a", " ", " ", "b", "c", " "]) == ["a", "\u2581", "b", "c"]
    assert scored_tokens(["\u2581", "\u2581", "a", "\u2581", "\u2581b", "\u2581"]) == [
        "\u2581", "a", "\u2581b"
    ]  # fmt: skip


def test_distinct_texts_keeps_the_best_reading_of_each():
    log_probs = np.log([[0.2, 0.5, 0.3]])

    kept = distinct_texts(readings(log_probs, ["", "a", " "]), ["", "a", " "], 5)

    assert [(text, reading.labelling) for text, reading in kept] == [("a", (1,)), ("", (2,))]


def test_random_model_has_every_context(rng):
    model = random_model(rng, ["a", "b"], 3)

    assert all(ngram[:-1] in model.ngrams for ngram in model.ngrams if len(ngram) > 1)
    assert "\\end\\" in model.arpa()
