"""Words found among phones: against enumeration, and what a lexicon of pronunciations may hold."""

import logging
import math
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from asr.decoding import BeamSearchDecoder, NGramLM
from tests.decoding.test_oracle import UNPRUNED, random_log_probs
from tests.decoding.test_rules_oracle import add_grammar, add_hotwords
from tests.oracles.decoding import FREE_TEXT, TextRules, labelling_probabilities, random_model

# "NG" begins as "N" does: what is spelled N G is not NG.
PHONES = ["<blank>", "N", "NG", "G"]
# Homophones, words that are parts of words, and several pronunciations of one word.
LEXICON = {
    "en": [["N"]],
    "inn": [["N"]],
    "ing": [["NG"]],
    "gin": [["G", "N"], ["NG", "N"]],
    "go": [["G"]],
    "gogh": [["G"], ["G", "G"]],
    "eng": [["N", "G"]],
}
GRAMMARS = {
    "(inn | go)+": lambda words: len(words) > 0 and set(words) <= {"inn", "go"},
    "en gin* | eng": lambda words: (
        words == ["eng"] or (words[:1] == ["en"] and set(words[1:]) <= {"gin"})
    ),
}
# The acceptance run: ASR_ORACLE_CASES=10000.
NUM_CASES = int(os.environ.get("ASR_ORACLE_CASES", "120"))


def splits(phones, lexicon):
    """All ways to take a row of phones for words."""
    if not phones:
        yield []
    for word, ways in lexicon.items():
        for way in ways:
            if phones[: len(way)] == list(way):
                yield from ([word, *rest] for rest in splits(phones[len(way) :], lexicon))


def ranked_texts(log_probs, lexicon, rules=FREE_TEXT):
    """(score, text, acoustic score) of every text, the best of its pronunciations, best first."""
    best = {}
    for labelling, probability in labelling_probabilities(log_probs, 0).items():
        for words in splits([PHONES[c] for c in labelling], lexicon):
            if probability == 0.0 or (rules.grammar and not rules.grammar(words)):
                continue
            acoustic = math.log(probability)
            score = acoustic + rules.hotword_bonus(words)
            if rules.lm:
                score += rules.lm_alpha * rules.lm.sentence(words) + rules.lm_beta * len(words)
                score += rules.unk_score * sum((w,) not in rules.lm.ngrams for w in words)
            text = " ".join(words)
            best[text] = max(best.get(text, (-math.inf, "", 0.0)), (score, text, acoustic))
    return sorted(best.values(), reverse=True)


def random_rules(rng, tmp_path, features):
    """The same rules as options of a decoder and as the oracle's."""
    options, rules = {}, {}
    if "lm" in features:
        # A word of the lexicon that the model lacks, and one of the model that the lexicon lacks.
        words = [word for word in LEXICON if rng.random() < 0.8]
        model = random_model(rng, [*words, "other"], int(rng.integers(1, 4)))
        path = tmp_path / "lm.arpa"
        path.write_text(model.arpa())
        weights = {"lm_alpha": float(rng.uniform(0, 2)), "lm_beta": float(rng.uniform(-1, 2))}
        weights["unk_score"] = float(rng.uniform(-5, 0.5))
        options |= {"lm": NGramLM(path), **weights}
        rules |= {"lm": model, **weights}
    if "hotwords" in features:
        phrases = ("inn", "gin go", "go go", "eng", "en en")
        add_hotwords(rng, phrases, "inn", options, rules)
    if "grammar" in features:
        add_grammar(rng, GRAMMARS, options, rules)
    return options, TextRules(**rules)


def test_the_oracle_splits_by_hand():
    assert list(splits(["N", "G"], LEXICON)) == [
        ["en", "go"],
        ["en", "gogh"],
        ["inn", "go"],
        ["inn", "gogh"],
        ["eng"],
    ]
    # One frame of N or G, half each: two words each.
    log_probs = np.log(np.array([[1e-300, 0.5, 1e-300, 0.5]]))
    assert [(text, round(math.exp(s), 6)) for s, text, _ in ranked_texts(log_probs, LEXICON)][
        :4
    ] == [("inn", 0.5), ("gogh", 0.5), ("go", 0.5), ("en", 0.5)]


@pytest.mark.parametrize(
    "features", ["lm", "hotwords", "grammar", "lm hotwords", "lm grammar", "lm hotwords grammar"]
)
def test_phones_with_text_rules_equal_enumeration(rng, tmp_path, features):
    for _ in range(NUM_CASES // 10):
        options, rules = random_rules(rng, tmp_path, features.split())
        decoder = BeamSearchDecoder(PHONES, lexicon=LEXICON, n_best=6, **options, **UNPRUNED)
        for _ in range(6):
            log_probs = random_log_probs(rng, int(rng.integers(1, 6)), len(PHONES))

            (hypotheses,) = decoder(log_probs)

            expected = ranked_texts(log_probs, LEXICON, rules)
            if not expected:
                assert [h.score for h in hypotheses] == [-math.inf]
                continue
            scores = np.array([score for score, _, _ in expected])
            assert len(hypotheses) == min(6, len(scores))
            np.testing.assert_allclose([h.score for h in hypotheses], scores[:6], rtol=0, atol=5e-6)
            for hypothesis, (score, text, acoustic) in zip(hypotheses, expected, strict=False):
                if np.sum(np.abs(scores - score) < 1e-5) == 1:
                    assert hypothesis.text == text
                    assert hypothesis.acoustic_score == pytest.approx(acoustic, abs=1e-6)
                assert " ".join(word.word for word in hypothesis.words) == hypothesis.text


def test_without_anything_that_tells_them_apart_the_first_of_homophones_is_written(rng):
    decoder = BeamSearchDecoder(PHONES, lexicon=LEXICON, n_best=6, **UNPRUNED)
    first_ones = LEXICON | {"inn": [], "gogh": [["G", "G"]]}
    for _ in range(NUM_CASES // 4):
        log_probs = random_log_probs(rng, int(rng.integers(1, 6)), len(PHONES))

        (hypotheses,) = decoder(log_probs)

        expected = ranked_texts(log_probs, first_ones)[:6]
        np.testing.assert_allclose(
            [h.score for h in hypotheses], [score for score, _, _ in expected], rtol=0, atol=1e-6
        )


def test_words_have_times_and_tokens_are_phones():
    log_probs = np.log(np.full((6, 4), 0.02))
    for frame, phone in enumerate([1, 3, 3, 0, 3, 2]):
        log_probs[frame, phone] = math.log(0.94)

    (hypothesis,) = BeamSearchDecoder(
        PHONES, lexicon={"eng": [["N", "G"]], "going": [["G", "NG"]]}, **UNPRUNED
    )(log_probs)[0]

    assert hypothesis.text == "eng going"
    assert hypothesis.tokens == ("N", "G", "G", "NG")
    assert hypothesis.token_ids == (1, 3, 3, 2)
    assert [(w.word, w.start_frame, w.end_frame) for w in hypothesis.words] == [
        ("eng", 0, 2),
        ("going", 4, 6),
    ]


def test_the_mark_of_a_word_before_phones_makes_no_difference(rng):
    marked = [PHONES[0], *("\u2581" + phone for phone in PHONES[1:])]
    log_probs = random_log_probs(rng, 8, len(PHONES))

    one, other = (
        BeamSearchDecoder(tokens, lexicon=LEXICON)(log_probs)[0][0] for tokens in (PHONES, marked)
    )

    assert one.text == other.text
    assert one.score == other.score


@pytest.mark.parametrize("features", ["", "lm", "lm hotwords", "grammar"])
def test_stream_in_any_chunks_equals_one_call(rng, tmp_path, features):
    for _ in range(10):
        options, _ = random_rules(rng, tmp_path, features.split())
        decoder = BeamSearchDecoder(PHONES, lexicon=LEXICON, beam_width=50, n_best=4, **options)
        log_probs = random_log_probs(rng, 25, len(PHONES))
        stream = decoder.stream()
        known = set(LEXICON)

        for chunk in np.split(log_probs, sorted(rng.integers(0, 26, size=3))):
            stream.push(chunk)
            # A word that is said in part is not shown.
            assert set(stream.partial().text.split()) <= known

        assert [stream.finish()] == decoder(log_probs)


def test_a_dictionary_is_read_with_all_pronunciations(tmp_path):
    path = tmp_path / "few.dict"
    path.write_text("EN  N\nGIN  G N\ngin(2)  NG1 N\n")
    log_probs = np.log(np.full((2, 4), 0.02))
    log_probs[0, 2] = log_probs[1, 1] = math.log(0.94)

    decoder = BeamSearchDecoder(PHONES, lexicon=path)

    assert decoder(log_probs)[0][0].text == "gin"
    assert pickle.loads(pickle.dumps(decoder))(log_probs)[0][0].text == "gin"


def test_words_that_the_tokens_cannot_say_are_counted(caplog):
    with caplog.at_level(logging.WARNING):
        BeamSearchDecoder(PHONES, lexicon={"en": [["N"]], "zoo": [["Z", "UW"], ["G"]]})

    assert (
        "1 of 3 pronunciations need phones that no token is, such as Z UW of 'zoo'" in caplog.text
    )


def test_words_of_the_model_that_cannot_be_said_are_counted(tmp_path, rng, caplog):
    (tmp_path / "lm.arpa").write_text(random_model(rng, ["en", "out", "up"], 1).arpa())
    (tmp_path / "known.arpa").write_text(random_model(rng, ["en", "go"], 1).arpa())

    with caplog.at_level(logging.INFO):
        BeamSearchDecoder(PHONES, lexicon=LEXICON, lm=NGramLM(tmp_path / "known.arpa"))
        assert not caplog.records
        BeamSearchDecoder(PHONES, lexicon=LEXICON, lm=NGramLM(tmp_path / "lm.arpa"))

    (record,) = caplog.records
    assert "of 3 of its words 2 have no pronunciation and cannot be said" in record.message
    assert record.levelno == logging.WARNING


@pytest.mark.parametrize(
    ("lexicon", "error", "message"),
    [
        ({"zoo": [["Z"]]}, ValueError, "a word that the tokens can say, got Z of 'zoo'"),
        ({"a b": [["N"]]}, ValueError, "must be one word without spaces"),
        ({"en": [["N"]], "go": ["G"]}, TypeError, "must be a sequence of phones, got 'G'"),
        ({"en": [["N"]], "go": "G"}, TypeError, "must be a sequence of phones, got 'G'"),
        ({"en": [["N"]], "go": [[3]]}, TypeError, r"phones must be strings, got \[3\]"),
        ({"en": [["N"]], 3: [["G"]]}, TypeError, "words must be strings, got 3"),
        ({"en": [[]], "go": [[]]}, ValueError, "got no phones of 'en'"),
        (Path("missing.dict"), ValueError, "missing.dict"),
    ],
)
def test_lexicons_that_are_refused(lexicon, error, message):
    with pytest.raises(error, match=message):
        BeamSearchDecoder(PHONES, lexicon=lexicon)


def test_what_does_not_go_with_pronunciations_is_refused(tmp_path, rng):
    with pytest.raises(ValueError, match="tokens that are phones, got a separator"):
        BeamSearchDecoder(["<blank>", " ", "N"], lexicon={"en": [["N"]]})
    with pytest.raises(ValueError, match="hotwords: the lexicon lacks 'out'"):
        BeamSearchDecoder(PHONES, lexicon=LEXICON, hotwords=["inn out"], hotword_weight=1)
    with pytest.raises(ValueError, match="grammar: the lexicon lacks 'out'"):
        BeamSearchDecoder(PHONES, lexicon=LEXICON, grammar="inn | out")
    (tmp_path / "lm.arpa").write_text(random_model(rng, ["N", "G"], 1).arpa())
    with pytest.raises(ValueError, match="the lm must be one of words"):
        BeamSearchDecoder(PHONES, lexicon=LEXICON, lm=NGramLM(tmp_path / "lm.arpa", "token"))
    path = tmp_path / "bad.dict"
    path.write_text("zoo  Z UW\n")
    with pytest.raises(ValueError, match=r"bad\.dict: lexicon must hold a word that the tokens"):
        BeamSearchDecoder(PHONES, lexicon=path)
