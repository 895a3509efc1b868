import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.text import (
    CharTokenizer,
    TextError,
    TextNormalizer,
    normalizer_from_state,
    read_normalizer,
    write_normalizer,
)
from asr.text.alphabet import ENGLISH, language_alphabet
from asr.text.letters import LETTERS, WITHOUT_SPACES
from asr.text.steps import STEPS


def of_language(language, **options):
    return TextNormalizer(language_alphabet(language), language=language, **options)


@pytest.mark.parametrize(
    ("text", "normal", "changes"),
    [
        ("the cat", "the cat", {}),
        ("", "", {}),
        ("The CAT", "the cat", {"lower-cased": 4}),
        ("it\u2019s", "it's", {"straightened apostrophes": 1}),
        ("it\u00b4s", "it's", {"straightened apostrophes": 1}),
        ("\ufb01ne", "fine", {"unicode NFC (texts)": 1}),
        (" a   b ", "a b", {"collapsed spaces": 4}),
        ("a\tb\nc", "a b c", {"white space made a space": 2}),
        ("why??  no", "why no", {"punctuation made spaces": 2, "collapsed spaces": 3}),
        ("a-b", "a b", {"hyphens and dashes made spaces": 1}),
        ("co\u00adop", "coop", {"soft hyphens removed": 1}),
        ("a\u200bb", "ab", {"invisible characters removed": 1}),
        ("\u266a a \u266a", "a", {"removed '\u266a'": 2, "collapsed spaces": 2}),
        ("[noise]a", "a", {"remarks in brackets removed": 1, "collapsed spaces": 1}),
        (">> a", "a", {"speaker labels removed": 1, "collapsed spaces": 1}),
        ("a & b", "a and b", {"abbreviations written out": 1}),
        ("a 3 b", "a three b", {"numbers spelled out": 1}),
        ("'a b'", "a b", {"punctuation made spaces": 2, "collapsed spaces": 2}),
    ],
)
def test_normalizer_counts_what_it_changes(text, normal, changes):
    normalizer = TextNormalizer(ENGLISH, "remove", language="en")

    assert normalizer(text) == normal
    assert normalizer.changes == changes


@pytest.mark.parametrize(
    ("language", "text", "normal"),
    [
        (
            "de",
            "F\u00fcnf gr\u00f6\u00dfere Fl\u00fcsse flie\u00dfen hier",
            "fünf größere flüsse fließen hier",
        ),
        ("de", "GRO\u1e9eE STRASSE", "große strasse"),
        ("de", "u\u0308ber", "über"),
        ("tr", "IĞDIR'da ışık", "ığdırda ışık"),
        ("tr", "İSTANBUL\u2019un I\u0307pi", "istanbulun ipi"),
        (
            "fr",
            "L\u2019\u00e9t\u00e9, l\u2018eau, l\u02bcan, l`air, l\u00b4or, qu\u2032il",
            "l'été l'eau l'an l'air l'or qu'il",
        ),
        (
            "fr",
            "\u00ab Aujourd\u2019hui, c\u2019est-\u00e0-dire\u2026 \u00bb",
            "aujourd'hui c'est à dire",
        ),
        (
            "en",
            "Dr. Smith paid $20.50 on 3rd May [laughter]",
            "doctor smith paid twenty dollars fifty cents on third may",
        ),
        (
            "en",
            "\u2018Hello,\u2019 he said \u2014 it\u2019s the dogs\u2019 \u2018bone\u2019.",
            "hello he said it's the dogs' bone",
        ),
        ("en", "Speaker 1: yes", "yes"),
        ("en", "ANNA LEE: yes", "yes"),
        ("en", "NOTE: THIS IS ALL", "note this is all"),
        ("en", "so: yes", "so yes"),
        ("en", "U.S.A. (the states)", "u s a the states"),
        ("el", "ΟΔΟΣ ΣΑΣ", "οδος σας"),
        ("ca", "col\u00b7legi", "col\u00b7legi"),
    ],
)  # fmt: skip
def test_sentences_of_a_language(language, text, normal):
    assert of_language(language)(text) == normal


def test_chinese_is_written_without_spaces():
    normalizer = TextNormalizer(None, language="zh")

    assert (
        normalizer("\u201c\u4ed6\u201d \u6709\uff12\uff11\u4e2a\uff0c\u597d\u3002")
        == "他有二十一个好"
    )
    assert not normalizer.separates_words


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        (
            "caf\u00e9",
            "text outside the alphabet",
            r"'\u00e9' \(U\+00E9\) is not in the alphabet: 'caf",
        ),
        ("a @ b", "text outside the alphabet", r"'@' \(U\+0040\)"),
        ("a [b", "text outside the alphabet", r"'\[' \(U\+005B\)"),
        ("at 10:30", "number that cannot be spelled", r"cannot spell '10:30' \(en\): 'at 10:30'"),
        ("an MP3", "number that cannot be spelled", "'MP3'"),
        ("m\u00b2", "number that cannot be spelled", "'\u00b2'"),
    ],
)  # fmt: skip
def test_what_is_not_in_the_alphabet_is_refused(text, reason, message):
    normalizer = TextNormalizer(ENGLISH, language="en")

    with pytest.raises(TextError, match=message) as caught:
        normalizer(text)

    assert caught.value.reason == reason
    assert normalizer.changes == {}


@pytest.mark.parametrize("text", ["caf\u00e9", "at 10:30", "m\u00b2", "\u4f60", "a\u0301b"])
def test_letters_digits_and_marks_are_never_removed(text):
    with pytest.raises(TextError):
        TextNormalizer(" b", "remove", language="en")(text)


@settings(deadline=None)
@given(text=st.text(max_size=20), language=st.sampled_from(["en", "de", "tr", "th"]))
def test_what_comes_out_is_in_the_alphabet_and_a_fixed_point(text, language):
    normalizer = of_language(language, unknown="remove")
    try:
        normal = normalizer(text)
    except TextError:
        return

    tokenizer = CharTokenizer(normalizer.alphabet)
    assert tokenizer.decode(tokenizer.encode(normal)) == normal
    assert of_language(language)(normal) == normal
    joint = "" if language in WITHOUT_SPACES else " "
    assert normal == joint.join(normal.split())


@settings(deadline=None)
@given(text=st.text(st.characters(categories=["L", "N", "M", "P", "S", "Z"]), max_size=20))
def test_without_remarks_and_speakers_no_letter_is_lost(text):
    normalizer = TextNormalizer(
        None, steps=[name for name in STEPS if name not in ("remarks", "speakers", "unicode")]
    )

    def letters(text):
        kept = [c for c in text.lower() if unicodedata.category(c)[0] in "LNM"]
        # A modifier letter may stand for an apostrophe.
        return [c for c in kept if unicodedata.category(c) != "Lm"]

    assert letters(normalizer(text)) == letters(text)


@pytest.mark.parametrize("step", STEPS)
def test_each_step_can_be_left_out(step):
    text = {
        "unicode": "e\u0301",
        "remarks": "a [b]",
        "speakers": "Speaker one: a",
        "apostrophes": "a\u2019b",
        "abbreviations": "Dr. a",
        "numbers": "a 3",
        "case": "A",
        "hyphens": "a-b",
        "punctuation": "a, b",
        "spaces": "a  b",
    }[step]
    every = TextNormalizer(None, language="en")
    others = TextNormalizer(None, language="en", steps=[name for name in STEPS if name != step])

    assert every(text) != others(text)
    assert others.steps == [name for name in STEPS if name != step]


def test_reference_keeps_what_cannot_be_brought_into_the_alphabet():
    normalizer = TextNormalizer(ENGLISH, language="en")

    assert normalizer.normalize_reference("Caf\u00e9 at 3, A4!") == "caf\u00e9 at three a4"
    assert normalizer.unspelled == {"A4!": 1}


def test_numbers_without_a_language_are_refused_with_the_reason():
    with pytest.raises(TextError, match=r"cannot be spelled \(no language was given\): 'a 3'"):
        TextNormalizer(ENGLISH)("a 3")


def test_digits_of_the_alphabet_stay():
    assert TextNormalizer(ENGLISH + "0123456789", language="en")("Room 101") == "room 101"


def test_changes_are_counted_over_calls():
    normalizer = TextNormalizer(ENGLISH, "remove")

    normalizer("A\u266a")
    normalizer("B\u266a")

    assert normalizer.changes == {"lower-cased": 2, "removed '\u266a'": 2}


@pytest.mark.parametrize(
    ("alphabet", "language", "text", "normal"),
    [
        (" ABCDEFGHIJKLMNOPQRSTUVWXYZ", None, "the Cat", "THE CAT"),
        ("ABI\u0130R", "tr", "b\u0131ri", "BIR\u0130"),
        ("ADEGORST\u1e9e", "de", "gro\u00df", "GRO\u1e9e"),
        ("ADEGORST", "de", "gro\u00df", "GROSS"),
        ("aBc", None, "AbC", "aBc"),
        ("ab\u2019", None, "a\u2019b", "a\u2019b"),
        ("a-b", None, "a-b", "a-b"),
    ],
)
def test_letters_and_signs_take_the_form_of_the_alphabet(alphabet, language, text, normal):
    assert TextNormalizer("".join(dict.fromkeys(alphabet)), language=language)(text) == normal


def test_alphabet_without_a_space_refuses_spaces():
    with pytest.raises(ValueError, match=r"U\+0020"):
        TextNormalizer("ab")("a b")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alphabet": "ab", "unknown": "ignore"}, "got 'ignore'"),
        ({"alphabet": "a\ufb01"}, r"plain forms, got .*U\+FB01"),
        ({"alphabet": "ab", "language": "klingon"}, "language must be one of .* got 'klingon'"),
        ({"alphabet": "ab", "steps": ["case", "magic"]}, "steps must be of unicode, .* 'magic'"),
    ],
)
def test_bad_normalizer_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TextNormalizer(**arguments)


@pytest.mark.parametrize("language", LETTERS)
def test_every_language_has_a_normalizer_for_its_own_letters(language):
    normalizer = of_language(language)

    assert all(normalizer.normalize_reference(letter) == letter for letter in LETTERS[language])


def test_file_round_trip(tmp_path):
    path = tmp_path / "normalizer.json"
    normalizer = TextNormalizer(
        " abcç", "remove", language="tr", steps=["case"], abbreviations={"c.": "ab"}
    )

    write_normalizer(path, normalizer)

    assert read_normalizer(path).state() == normalizer.state()
    assert "ç" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"alphabet": 3},
        {"alphabet": ["a"]},
        {"unknown": []},
        {"language": {}},
        {"steps": "case"},
        {"steps": [["case"]]},
        {"abbreviations": {"a": 1}},
        {"abbreviations": {"": "b"}},
        {"abbreviations": {"Ab.": "ab. c"}},
    ],
)
def test_hostile_file_is_named(tmp_path, change):
    path = tmp_path / "normalizer.json"
    content = {"format": 1} | TextNormalizer("ab").state() | change
    path.write_text(json.dumps(content))

    with pytest.raises(ValueError, match=r"normalizer\.json: not a normaliser's file"):
        read_normalizer(path)


@pytest.mark.parametrize("state", [None, [], {"alphabet": "a"}])
def test_state_of_something_else_is_refused(state):
    with pytest.raises(ValueError, match="not a normaliser"):
        normalizer_from_state(state)
