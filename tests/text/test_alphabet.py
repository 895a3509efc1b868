import unicodedata

import pytest

from asr.text import CharTokenizer
from asr.text.alphabet import (
    ENGLISH,
    count_characters,
    gather_alphabet,
    language_alphabet,
    read_alphabet,
)
from asr.text.letters import LETTERS


@pytest.mark.parametrize("language", LETTERS)
def test_letters_are_small_composed_and_each_once(language):
    letters = LETTERS[language]

    assert CharTokenizer(language_alphabet(language)).alphabet.endswith(letters)
    assert letters == letters.lower()
    assert all(unicodedata.is_normalized("NFC", letter) for letter in letters)
    assert not any(letter.isspace() or letter == "'" for letter in letters)


@pytest.mark.parametrize(
    ("language", "members", "strangers"),
    [
        ("de", " äöüß", "'éẞ"),
        ("tr", " ıiğş", "'İqwx"),
        ("fr", " 'éçœ", "ñ"),
        ("ru", " ёйъ", "і"),
        ("th", "กๆ์", " "),
    ],
)
def test_alphabet_of_a_language(language, members, strangers):
    alphabet = set(language_alphabet(language))

    assert alphabet.issuperset(members)
    assert not alphabet.intersection(strangers)


def test_english_is_what_models_have_had():
    assert ENGLISH == language_alphabet("en") == " 'abcdefghijklmnopqrstuvwxyz"


def test_language_of_thousands_of_characters_has_no_table():
    with pytest.raises(ValueError, match="no table of the letters of 'zh': give auto"):
        language_alphabet("zh")


@pytest.mark.parametrize(
    "content", [" 'ab\u00e9\n", "<space>\n'\na\nb\ne\u0301\n", " 'a\r\nb\u00e9"]
)
def test_alphabet_of_a_file(tmp_path, content):
    path = tmp_path / "letters.txt"
    path.write_text(content, encoding="utf-8", newline="")

    assert read_alphabet(path) == " 'ab\u00e9"


@pytest.mark.parametrize(("content", "message"), [("", "at least one"), ("aba", "'a' 2 times")])
def test_bad_file_is_named(tmp_path, content, message):
    path = tmp_path / "letters.txt"
    path.write_text(content)

    with pytest.raises(ValueError, match=rf"letters\.txt: .*{message}"):
        read_alphabet(path)


def test_characters_are_counted_with_an_example_and_signs_are_left_out():
    characters = count_characters(["it's 3", "so\u266a it is", "e\u0301"])

    by_name = {c.character: c for c in characters}
    assert [c.character for c in characters[:3]] == [" ", "i", "s"]
    assert by_name["i"].times == 3
    assert by_name["\u266a"].example == "so\u266a it is"
    assert str(by_name["3"]) == "'3' (U+0033) DIGIT THREE: 1 times, as in \"it's 3\""
    assert {c.character for c in characters if not c.is_written} == {"3", "\u266a"}
    assert gather_alphabet(characters) == " 'eiost\u0301"


def test_no_texts_have_no_characters():
    assert count_characters([]) == []
    assert gather_alphabet([]) == ""
