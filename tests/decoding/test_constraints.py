"""Lexicon, hotwords and grammar: what they do to a text and what they refuse."""

import logging
import math
import pickle
from pathlib import Path

import numpy as np
import pytest

from asr.decoding import BeamSearchDecoder, NGramLM
from asr.decoding.grammar import compile_grammar

LETTERS = ["<blank>", " ", "a", "b", "c", "d"]


def spell(text, height=0.9, letters=LETTERS):
    """(T, C) ln probabilities of a spelled text, a blank after each letter."""
    classes = [c for letter in text for c in (letters.index(letter), 0)]
    probs = np.full((len(classes), len(letters)), (1 - height) / (len(letters) - 1))
    probs[np.arange(len(classes)), classes] = height
    return np.log(probs)


def decode(log_probs, **options):
    """Text of the best hypothesis."""
    return BeamSearchDecoder(LETTERS, token_min_logp=-20, **options)(log_probs)[0][0].text


def test_lexicon_allows_only_its_words():
    assert decode(spell("abd cab")) == "abd cab"
    assert decode(spell("abd cab"), lexicon=["abc", "cab"]) == "abc cab"


def test_lexicon_shows_words_and_not_spellings():
    lexicon = {"doctor": ["ab", "ac"], "d": "d"}

    assert decode(spell("ab d ac"), lexicon=lexicon) == "doctor d doctor"


@pytest.mark.parametrize("suffix", ["", "\n"])
def test_lexicon_file_holds_words_and_spellings(tmp_path, suffix):
    path = tmp_path / "words.txt"
    path.write_text("doctor\tab\tac\n\nd" + suffix)

    assert decode(spell("ab d"), lexicon=path) == "doctor d"


def in_pieces(decoder, log_probs):
    stream = decoder.stream()
    for frame in log_probs:
        stream.push(frame[np.newaxis])
    return stream.finish()


@pytest.mark.parametrize("beam_width", [1, 64])
def test_utterance_cut_within_a_word_keeps_the_words_before_it(beam_width):
    log_probs = spell("a bc", 0.9999)
    decoder = BeamSearchDecoder(LETTERS, lexicon=["a", "bcd"], beam_width=beam_width)

    ((hypothesis,),) = decoder(log_probs)

    assert hypothesis.text == "a"
    assert math.isfinite(hypothesis.score)
    assert not hypothesis.bound_hit
    assert in_pieces(decoder, log_probs) == [hypothesis]


def test_cut_short_of_every_sentence_gives_the_words_heard():
    decoder = BeamSearchDecoder(LETTERS, grammar="a ab cd")
    log_probs = spell("a ab c", 0.9999)

    ((hypothesis,),) = decoder(log_probs)

    assert hypothesis.text == "a ab"
    assert hypothesis.score == -math.inf
    assert hypothesis.bound_hit
    assert in_pieces(decoder, log_probs) == [hypothesis]


@pytest.mark.parametrize(
    ("lexicon", "error", "message"),
    [
        (["x", "y"], ValueError, "lexicon must hold a word that the tokens can spell, got 'x'$"),
        (["AB"], ValueError, "can spell, got 'AB'; they can spell 'ab'"),
        ([1], TypeError, "lexicon: words and spellings must be strings, got 1"),
        (["blank"], ValueError, "lexicon must hold a word that the tokens can spell"),
        ([], ValueError, "lexicon must hold a word that the tokens can spell"),
        (["a b"], ValueError, "one word without spaces, got 'a b'"),
        ([""], ValueError, "one word without spaces, got ''"),
        ({"a": "b", "c": "b"}, ValueError, "'b' spells 'a' and 'c'"),
        ("a", TypeError, "lexicon must be words, a mapping or a path"),
    ],
)
def test_lexicon_refuses_malformed(lexicon, error, message):
    with pytest.raises(error, match=message):
        BeamSearchDecoder(LETTERS, lexicon=lexicon)


def test_lexicon_reports_words_it_cannot_spell(caplog):
    with caplog.at_level(logging.WARNING, logger="asr.decoding"):
        BeamSearchDecoder(LETTERS, lexicon=["a", "x", "y"])

    assert "2 of 3 spellings need letters that no token has, such as 'x'" in caplog.text


def test_hotword_lifts_a_word():
    log_probs = np.logaddexp(spell("ab") + math.log(0.4), spell("ac") + math.log(0.6))

    assert decode(log_probs) == "ac"
    assert decode(log_probs, hotwords=["ab"], hotword_weight=2.0) == "ab"


def test_hotword_matches_whole_words_only():
    log_probs = spell("abc", 0.99)

    ((plain,),) = BeamSearchDecoder(LETTERS)(log_probs)
    ((boosted,),) = BeamSearchDecoder(LETTERS, hotwords=["ab", "bc"], hotword_weight=3.0)(log_probs)

    assert boosted.score == pytest.approx(plain.score)


def test_hotword_phrase_broken_off_gives_its_boost_back():
    options = {"hotwords": ["ab cd"], "hotword_weight": 3.0}

    ((plain,),) = BeamSearchDecoder(LETTERS)(spell("ab c", 0.99))
    ((broken,),) = BeamSearchDecoder(LETTERS, **options)(spell("ab c", 0.99))
    ((heard,),) = BeamSearchDecoder(LETTERS, **options)(spell("ab cd", 0.99))

    assert broken.text == "ab c"
    assert broken.score == pytest.approx(plain.score)
    assert heard.score == pytest.approx(heard.acoustic_score + 2 * 3.0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"hotwords": ["a"]}, ValueError, "hotword_weight must be > 0 with hotwords, got 0.0"),
        ({"hotwords": ["a"], "hotword_weight": math.nan}, ValueError, "must be > 0"),
        ({"hotwords": [" "], "hotword_weight": 1.0}, ValueError, "empty phrase"),
        ({"hotwords": ["ax"], "hotword_weight": 1.0}, ValueError, "the letter 'x' of 'ax'"),
        ({"hotwords": ["blank"], "hotword_weight": 1.0}, ValueError, "letter 'l' of 'blank'"),
        ({"hotwords": "ab", "hotword_weight": 1.0}, TypeError, "not one string"),
    ],
)
def test_hotwords_refuse_malformed(options, error, message):
    with pytest.raises(error, match=message):
        BeamSearchDecoder(LETTERS, **options)


def test_grammar_result_is_a_sentence_of_it():
    grammar = "(a | ab) [(c | d)+]"

    assert decode(spell("ab c d"), grammar=grammar) == "ab c d"
    assert decode(spell("b c d"), grammar=grammar) in ("ab c d", "a c d")


def test_grammar_of_any_noise_gives_a_sentence(rng):
    log_probs = np.log(rng.dirichlet(np.full(len(LETTERS), 0.3), size=(20, 30)) + 1e-9)
    decoder = BeamSearchDecoder(LETTERS, grammar="abc dd dd | ab (cab | dd)+", beam_width=8)
    automaton = compile_grammar("abc dd dd | ab (cab | dd)+")

    for (hypothesis,) in decoder(log_probs):
        assert accepts(automaton, hypothesis.text)
        assert math.isfinite(hypothesis.score)


@pytest.mark.parametrize(
    ("name", "kind"), [("calls.jsgf", Path), ("calls.jsgf", str), ("calls.GRAM", str), ("x", Path)]
)
def test_grammar_file_is_a_path_or_a_name_that_says_so(tmp_path, name, kind):
    path = tmp_path / name
    path.write_text("#JSGF V1.0;\ngrammar calls;\npublic <call> = ab <d>;\n<d> = c | d;\n")

    assert decode(spell("ab a"), grammar=kind(path)) in ("ab c", "ab d")


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("calls.jsgf", b"(one", "grammar:1: "),
        ("calls.jsgf", b"zz", "grammar: no token has the letter 'z'"),
        ("calls.jsgf", b"a\xff", "is not UTF-8 at byte 1"),
        ("words.txt", b"a b", "lexicon: a word must be one word without spaces, got 'a b'"),
        ("words.txt", b"zz", "lexicon must hold a word that the tokens can spell"),
        ("words.txt", b"a\xff", "is not UTF-8 at byte 1"),
    ],
)
def test_file_that_is_refused_is_named_once(tmp_path, name, content, rule):
    path = tmp_path / name
    path.write_bytes(content)
    option = "grammar" if name == "calls.jsgf" else "lexicon"

    with pytest.raises(ValueError, match=name) as refusal:
        BeamSearchDecoder(LETTERS, **{option: path})

    assert str(refusal.value).startswith(f"{path}: {rule}")
    assert str(refusal.value).count(name) == 1


def test_grammar_file_that_does_not_exist_is_an_os_error():
    with pytest.raises(FileNotFoundError, match=r"none\.jsgf"):
        BeamSearchDecoder(LETTERS, grammar="none.jsgf")


@pytest.mark.parametrize(
    ("grammar", "message"),
    [
        ("ab | AB", "no token has the letter 'A' of 'AB'; the tokens have 'a'"),
        ('"ab cx"', "no token has the letter 'x' of 'cx'$"),
        # Letters of the blank's name are none.
        ("blank", "no token has the letter 'l' of 'blank'$"),
    ],
)
def test_grammar_refuses_words_that_no_token_spells(grammar, message):
    with pytest.raises(ValueError, match=f"grammar: {message}"):
        BeamSearchDecoder(LETTERS, grammar=grammar)


def accepts(automaton, text):
    arcs = {(state, byte): following for state, byte, following in automaton.arcs}
    state = 0
    for byte in "".join(f"{word} " for word in text.split()).encode():
        state = arcs.get((state, byte))
        if state is None:
            return False
    return automaton.accepting[state]


@pytest.mark.parametrize(
    ("grammar", "accepted", "refused"),
    [
        ("(one | two)+ [please]", ["one", "two one please"], ["", "please", "one please two"]),
        ("a*", ["", "a", "a a"], ["b", "a b"]),
        ('"twenty one" | one', ["twenty one", "one"], ["twenty", "twenty one one"]),
        ("a {tag} b // comment\n/* more */ c", ["a b c"], ["a b", "a tag b c"]),
        (
            "#JSGF V1.0;\ngrammar g;\n<x> = y | z;\npublic <m> = a <x>* (b | <x> c);",
            ["a b", "a y c", "a y z b"],
            ["a y", "b", "y"],
        ),
    ],
)
def test_compile_grammar_accepts_its_sentences(grammar, accepted, refused):
    automaton = compile_grammar(grammar)

    assert [accepts(automaton, text) for text in accepted] == [True] * len(accepted)
    assert [accepts(automaton, text) for text in refused] == [False] * len(refused)


@pytest.mark.parametrize(
    ("grammar", "message"),
    [
        ("(one", r"grammar:1: '\(' must be closed by '\)'"),
        ("one |", "grammar:1: expected a word, rule or group before 'end'"),
        ("", "grammar:1: expected a word"),
        ("a\n<x>", "grammar:2: rule <x> is not defined"),
        ("one /2/ two", "grammar:1: unexpected '/'"),
        ("a )", r"grammar:1: unexpected '\)'"),
        ('a "b', "grammar:1: unexpected '\"'"),
        ("#JSGF V1.0;\npublic <a> = x\n | <a>;", "grammar:3: rule <a> must not refer to itself"),
        ("#JSGF V1.0;\npublic <a> = b\n", "grammar:3: the last statement must end with ';'"),
        ("#JSGF V1.0;\n<a> = b;", "there must be one public rule, got 0"),
        ("#JSGF V1.0;\npublic <a> = b;\n<a> = c;", "grammar:3: rule <a> is defined twice"),
        ("#JSGF V1.0;\nimport <x.y>;", "grammar:2: expected '<rule> = ...;'"),
        ("a\n" + "(" * 2000 + "b" + ")" * 2000, "grammar:2: groups and rules .* at most 100 deep"),
        (
            "#JSGF;public <s0> = <s1>;"
            + "".join(f"<s{i}> = <s{i + 1}>;" for i in range(1, 2000))
            + "<s2000> = b;",
            "groups and rules must be nested at most 100 deep",
        ),
    ],
)
def test_compile_grammar_names_line_and_rule(grammar, message):
    with pytest.raises(ValueError, match=message):
        compile_grammar(grammar)


@pytest.mark.parametrize(
    ("limit", "grammar", "message"),
    [
        # Every further "(a|b)" doubles the automaton, every further rule the network.
        ("_MAX_WORK", "(a|b)*a" + "(a|b)" * 12, "grammar must be simpler"),
        (
            "_MAX_STATES",
            "#JSGF;public<a>=<b><b>;<b>=<c><c>;<c>=<d><d>;<d>=<e><e>;<e>=<f><f>;<f>=x;",
            "grammar must have at most 99 states",
        ),
    ],
)
def test_short_grammar_of_many_states_is_refused_before_they_are_made(
    monkeypatch, limit, grammar, message
):
    monkeypatch.setattr(f"asr.decoding.grammar.{limit}", 99)

    with pytest.raises(ValueError, match=message):
        compile_grammar(grammar)


def test_decoder_with_constraints_survives_pickling(tmp_path, monkeypatch):
    (tmp_path / "words.txt").write_text("ab\ncd\n")
    monkeypatch.chdir(tmp_path)
    options = {"hotwords": ["ab"], "hotword_weight": 1.0, "grammar": "ab cd | cd+"}
    decoder = BeamSearchDecoder(LETTERS, lexicon=Path("words.txt"), n_best=3, **options)
    pickled = pickle.dumps(decoder)
    monkeypatch.chdir("/")

    assert pickle.loads(pickled)(spell("ab cd")) == decoder(spell("ab cd"))


def write_model(path, words):
    rows = "".join(f"-1.0\t{word}\n" for word in ["<unk>", "<s>", "</s>", *words])
    path.write_text(f"\\data\\\nngram 1={len(words) + 3}\n\n\\1-grams:\n{rows}\n\\end\\\n")
    return NGramLM(path)


def test_model_in_the_other_case_is_refused(tmp_path):
    lm = write_model(tmp_path / "lm.arpa", ["ABBA", "CAB"])

    message = "lm: the tokens can spell none of its words, such as 'ABBA'; they can spell 'abba'"
    with pytest.raises(ValueError, match=message):
        BeamSearchDecoder(LETTERS, lm=lm)


def test_model_of_words_that_the_tokens_can_hardly_spell_is_said(tmp_path, caplog):
    lm = write_model(tmp_path / "lm.arpa", ["ab", "cup", "sup"])

    assert decode(spell("ab"), lm=lm) == "ab"
    assert "lm: 2 of 3 of its words need letters that no token has, such as 'cup'" in caplog.text


def test_model_of_characters_is_no_model_of_words(tmp_path):
    lm = write_model(tmp_path / "lm.arpa", ["\u2581", "a", "b"])

    with pytest.raises(
        ValueError, match="lm: it is a model of characters or pieces, such as '\u2581'"
    ):
        BeamSearchDecoder(LETTERS, lm=lm)
    assert BeamSearchDecoder(LETTERS, lm=NGramLM(lm.path, unit="token"))


def test_model_in_another_encoding_is_said(tmp_path, caplog):
    path = write_model(tmp_path / "lm.arpa", ["ab", "b\xfc", "\xe4"]).path
    path.write_bytes(path.read_text("utf-8").encode("latin-1"))

    assert decode(spell("ab"), lm=NGramLM(path)) == "ab"
    assert "lm: 2 of 3 of its words need letters that no token has" in caplog.text


def test_words_that_a_lexicon_shows_need_no_letters(tmp_path, caplog):
    lm = write_model(tmp_path / "lm.arpa", ["TAXI"])

    assert decode(spell("cab"), lm=lm, lexicon={"TAXI": "cab"}) == "TAXI"
    assert caplog.text == ""


def test_lexicon_file_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("\ufeffcab\r\nad\r\n".encode())

    assert decode(spell("cab ad"), lexicon=path) == "cab ad"
