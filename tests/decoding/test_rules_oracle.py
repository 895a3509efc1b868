"""Lexicon, hotwords, grammar, token models and streams against enumeration, alone and combined."""

import math
import os

import numpy as np
import pytest

from asr.decoding import BeamSearchDecoder, NGramLM
from tests.decoding.test_oracle import (
    ALPHABETS,
    UNPRUNED,
    assert_same_ranking,
    random_log_probs,
)
from tests.oracles.decoding import TextRules, distinct_texts, random_model, readings

# The acceptance run: ASR_ORACLE_CASES=10000.
NUM_CASES = int(os.environ.get("ASR_ORACLE_CASES", "120"))
WORDS = ["a", "b", "ab", "ba", "aa", "bb"]
GRAMMARS = {
    "a | b a | (a b)+": lambda w: (
        w in (["a"], ["b", "a"])
        or (len(w) > 0 and len(w) % 2 == 0 and w == ["a", "b"] * (len(w) // 2))
    ),
    "(a | ab)* [b]": lambda w: (
        all(x in ("a", "ab") for x in w[:-1]) and (not w or w[-1] in ("a", "ab", "b"))
    ),
    "ba a*": lambda w: w[:1] == ["ba"] and all(x == "a" for x in w[1:]),
}


def random_lm(rng, tmp_path, tokens, name):
    """Options of a decoder and of the oracle for a random model of words or tokens."""
    unit = str(rng.choice(["word", "token"]))
    units = [t.replace(" ", "\u2581") for t in tokens[1:]] if unit == "token" else WORDS
    vocabulary = [u for u in units if rng.random() < 0.8]
    model = random_model(rng, vocabulary, int(rng.integers(1, 4)))
    path = tmp_path / f"{name}.arpa"
    path.write_text(model.arpa())
    weights = {"lm_alpha": float(rng.uniform(0, 2)), "lm_beta": float(rng.uniform(-1, 2))}
    weights["unk_score"] = float(rng.uniform(-5, 0.5))
    return (
        {"lm": NGramLM(path, unit), **weights},
        {"lm": model, "lm_unit": unit, **weights},
    )


def add_hotwords(rng, phrases, otherwise, options, rules):
    """Some of the phrases, for a decoder and for the oracle."""
    chosen = tuple(p for p in phrases if rng.random() < 0.4) or (otherwise,)
    options["hotwords"] = rules["hotwords"] = chosen
    options["hotword_weight"] = rules["hotword_weight"] = float(rng.uniform(0.1, 5))


def add_grammar(rng, grammars, options, rules):
    """One of the grammars, and the predicate that it is."""
    options["grammar"] = str(rng.choice(list(grammars)))
    rules["grammar"] = grammars[options["grammar"]]


def random_rules(rng, tmp_path, tokens, features, name):
    """The same rules as options of a decoder and as the oracle's."""
    options, rules = {}, {}
    if "lm" in features:
        options, rules = random_lm(rng, tmp_path, tokens, name)
    if "lexicon" in features:
        chosen = [w for w in WORDS if rng.random() < 0.6] or ["a"]
        words = {word: word if rng.random() < 0.7 else f"{word}x" for word in chosen}
        options["lexicon"] = {word: [] for word in words.values()}
        for spelling, word in words.items():
            options["lexicon"][word].append(spelling)
        rules["lexicon"] = words
    if "hotwords" in features:
        phrases = ("a", "ab", "a b", "b a", "ba a", "a a", "b")
        add_hotwords(rng, phrases, "ab", options, rules)
    if "grammar" in features:
        add_grammar(rng, GRAMMARS, options, rules)
    return options, TextRules(**rules)


@pytest.mark.parametrize("alphabet", ["separator", "pieces"])
@pytest.mark.parametrize(
    "features",
    ["lm", "lexicon", "hotwords", "grammar", "lm lexicon", "lm hotwords", "lm grammar",
     "lexicon hotwords grammar", "lm lexicon hotwords grammar"],
)  # fmt: skip
def test_beam_search_with_text_rules_equals_enumeration(rng, tmp_path, alphabet, features):
    tokens = ALPHABETS[alphabet]
    for case in range(NUM_CASES // 10):
        options, rules = random_rules(rng, tmp_path, tokens, features.split(), case)
        decoder = BeamSearchDecoder(tokens, n_best=6, **options, **UNPRUNED)
        for _ in range(10):
            log_probs = random_log_probs(rng, int(rng.integers(1, 6)), len(tokens))

            (hypotheses,) = decoder(log_probs)

            expected = readings(log_probs, tokens, rules=rules)
            if expected:
                ranked = distinct_texts(expected, tokens, 6, rules)
                assert_same_ranking(hypotheses, ranked, tokens)
            else:
                assert [h.score for h in hypotheses] == [-math.inf]


@pytest.mark.parametrize("features", ["", "lm", "lm hotwords", "lexicon", "grammar"])
@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_stream_in_any_chunks_equals_one_call(rng, tmp_path, alphabet, features):
    tokens = ALPHABETS[alphabet]
    for case in range(20):
        options, _ = random_rules(rng, tmp_path, tokens, features.split(), case)
        decoder = BeamSearchDecoder(tokens, beam_width=50, n_best=5, **options)
        log_probs = random_log_probs(rng, 25, len(tokens))
        cuts = sorted(rng.integers(0, 26, size=rng.integers(0, 6)))

        stream = decoder.stream()
        for chunk in np.split(log_probs, cuts):
            stream.push(chunk)

        assert [stream.finish()] == decoder(log_probs)
