import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.text import BLANK, PhoneTokenizer, tokenizer_from_state
from asr.text.pronunciations import MAX_LINE, MAX_PHONES, parse_pronunciations, read_pronunciations

DICTIONARY = """\
;;; our own few words
OWL  AW1 L
owl(2)  AW0 EL0   # as some say
sea S IY1
'TIS  T IH1 Z

see  S IY1
to  T UW1 # short
TO(2)  T AH0
"""


@pytest.fixture
def tokenizer(tmp_path):
    path = tmp_path / "few.dict"
    path.write_text(DICTIONARY)
    return PhoneTokenizer.from_file(path)


def refuse(text, match):
    with pytest.raises(ValueError, match=match) as caught:
        parse_pronunciations(text, "few.dict")
    assert "\n" not in str(caught.value)


def test_first_pronunciations_without_stress_are_kept_and_others_counted():
    found = parse_pronunciations(DICTIONARY, "few.dict")

    assert found.phones_of == {
        "owl": ("AW", "L"),
        "sea": ("S", "IY"),
        "'tis": ("T", "IH", "Z"),
        "see": ("S", "IY"),
        "to": ("T", "UW"),
    }
    assert found.further == [("owl", ("AW", "EL")), ("to", ("T", "AH"))]
    assert found.all_of()["to"] == [("T", "UW"), ("T", "AH")]


def test_a_word_that_stands_twice_has_its_first_pronunciation():
    found = parse_pronunciations("read R EH D\nREAD R IY D\nread R EH D\n", "few.dict")

    assert found.phones_of == {"read": ("R", "EH", "D")}
    assert found.further == [("read", ("R", "IY", "D")), ("read", ("R", "EH", "D"))]


def test_an_alternative_alone_is_the_first():
    assert parse_pronunciations("a(2) EY1\na(3) AH0\n", "few.dict") == (
        {"a": ("EY",)},
        [("a", ("AH",))],
    )


def test_only_the_stress_of_arpabet_goes():
    found = parse_pronunciations("x AH3 a4 tɕ 5 AH1 AH\n", "few.dict")

    assert found.phones_of["x"] == ("AH3", "a4", "tɕ", "5", "AH", "AH")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "few.dict: must hold at least one word"),
        (";;; nothing\n\n# nothing\n", "must hold at least one word"),
        ("a EY\nb\n", "few.dict:2: word 'b' has no phones"),
        ("b # only a comment", "few.dict:1: word 'b' has no phones"),
        ("a \u2581EY", r"few.dict:1: '\u2581EY' is no phone"),
        ("a E\x1bY", r"few.dict:1: 'E\\x1bY' is no phone"),
        ("a " + "E" * 17, "few.dict:1: .* is no phone"),
        ("a EY\n" + "b" * (MAX_LINE + 1), f"few.dict:2: a line must have at most {MAX_LINE}"),
        (
            "\n".join(f"word{n} p{n}" for n in range(MAX_PHONES + 1)),
            f"few.dict:{MAX_PHONES + 1}: more than {MAX_PHONES} different phones",
        ),
    ],
)
def test_hostile_dictionaries_are_refused_by_line(text, match):
    refuse(text, match)


def test_byte_order_mark_and_line_ends_of_windows_are_read(tmp_path):
    (tmp_path / "few.dict").write_bytes("\ufeffOWL  AW1 L\r\nsea  S IY1\r\n".encode())

    found = read_pronunciations(tmp_path / "few.dict")

    assert found.phones_of == {"owl": ("AW", "L"), "sea": ("S", "IY")}


def test_another_encoding_is_refused(tmp_path):
    (tmp_path / "few.dict").write_bytes("a EY\ncafé K AH F EY\n".encode("latin-1"))

    with pytest.raises(ValueError, match=r"few\.dict: is not UTF-8 at byte 8"):
        PhoneTokenizer.from_file(tmp_path / "few.dict")


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"none\.dict: cannot be read"):
        PhoneTokenizer.from_file(tmp_path / "none.dict")


def test_tokens_are_the_phones_and_each_opens_a_word(tokenizer):
    assert tokenizer.tokens[BLANK] == "<blank>"
    assert tokenizer.tokens[1:] == [
        f"\u2581{p}" for p in ("AW", "IH", "IY", "L", "S", "T", "UW", "Z")
    ]


def test_text_is_said_word_by_word_without_boundaries(tokenizer):
    ids = tokenizer.encode("'Tis to  see")

    assert tokenizer.decode(ids) == tokenizer.reference("'tis to see") == "T IH Z T UW S IY"
    assert ids == [6, 2, 8, 6, 7, 5, 3]
    assert tokenizer.encode("") == []


@given(words=st.lists(st.sampled_from(["owl", "SEA", "'tis", "see", "to"])).map(" ".join))
def test_decode_of_encode_is_the_reference(words):
    tokenizer = PhoneTokenizer(parse_pronunciations(DICTIONARY, "few.dict").phones_of)

    assert tokenizer.decode(tokenizer.encode(words)) == tokenizer.reference(words)


@pytest.mark.parametrize("method", ["encode", "reference"])
def test_all_words_that_the_dictionary_lacks_are_named(tokenizer, method):
    with pytest.raises(ValueError, match="dictionary lacks 'newt toad': 'see toad newt toad'"):
        getattr(tokenizer, method)("see toad newt toad")


@pytest.mark.parametrize("label", [0, 9, -1])
def test_what_is_no_label_is_not_decoded(tokenizer, label):
    with pytest.raises(ValueError, match=r"label must be in 1\.\.8"):
        tokenizer.decode([1, label])


def test_state_holds_the_dictionary_and_comes_back(tokenizer):
    state = tokenizer.state()
    back = tokenizer_from_state(state)

    assert back.state() == state
    assert back.tokens == tokenizer.tokens
    assert back.encode("'tis owl") == tokenizer.encode("'tis owl")


def test_all_pronunciations_of_words_come_back_with_the_state():
    tokenizer = PhoneTokenizer(*parse_pronunciations(DICTIONARY, "few.dict"))
    back = tokenizer_from_state(tokenizer.state())

    assert back.pronounce() == parse_pronunciations(DICTIONARY, "few.dict").all_of()
    assert back.pronounce(["to", "see"]) == {"to": [("T", "UW"), ("T", "AH")], "see": [("S", "IY")]}
    assert back.as_words().pronounce(["to"]) == {"to": [("T", "UW"), ("T", "AH")]}
    with pytest.raises(ValueError, match="lacks 'quagga zebra'"):
        back.pronounce(["zebra", "see", "quagga"])


def packed(text):
    return base64.b64encode(zlib.compress(text)).decode()


@pytest.mark.parametrize(
    ("dictionary", "message"),
    [
        ("?", "holds no dictionary"),
        ("aGVsbG8=", "holds no dictionary"),
        (packed(b"a EY")[:-8], "holds no dictionary"),
        (packed(b"\xff EY"), "holds no dictionary"),
        (packed(b""), "must hold at least one word"),
        (packed(b"a"), "dictionary of the model:1: word 'a' has no phones"),
    ],
)
def test_bad_state_is_refused(dictionary, message):
    with pytest.raises(ValueError, match=message):
        tokenizer_from_state({"type": "phones", "dictionary": dictionary})


def test_state_that_unpacks_to_more_than_a_dictionary_is_refused(monkeypatch):
    monkeypatch.setattr("asr.text.phones.MAX_DICTIONARY_BYTES", 20)

    with pytest.raises(ValueError, match="over 20 bytes"):
        tokenizer_from_state({"type": "phones", "dictionary": packed(b"a EY\n" * 5)})


def test_a_tokenizer_without_words_is_refused():
    with pytest.raises(ValueError, match="phones_of must hold at least one word"):
        PhoneTokenizer({})
