import os
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.text import (
    BLANK,
    CharTokenizer,
    LabelTokenizer,
    SentencePieceTokenizer,
    tokenizer_from_state,
)

ALPHABET = " 'abcdefghijklmnopqrstuvwxyz"
SENTENCES = [
    "the cat sat on the mat",
    "it's ten to four in the afternoon",
    "call the doctor at half past seven",
    "quick brown foxes jump over lazy dogs",
    "we have seen exactly five zebras",
] * 4

words = st.text(ALPHABET.strip(), min_size=1, max_size=8)
normal_texts = st.lists(words, max_size=6).map(" ".join)


@pytest.fixture(scope="module")
def pieces():
    return SentencePieceTokenizer.train(SENTENCES, vocab_size=42)


@pytest.fixture(params=["char", "unigram", "bpe"], scope="module")
def tokenizer(request):
    if request.param == "char":
        return CharTokenizer(ALPHABET)
    return SentencePieceTokenizer.train(SENTENCES, vocab_size=42, model_type=request.param)


def test_blank_is_label_zero(tokenizer):
    assert tokenizer.tokens[BLANK] == "<blank>"


def test_tokens_are_distinct(tokenizer):
    assert len(set(tokenizer.tokens)) == len(tokenizer.tokens)


@settings(deadline=None)
@given(text=normal_texts)
def test_decode_inverts_encode(tokenizer, text):
    ids = tokenizer.encode(text)

    assert tokenizer.decode(ids) == text
    assert all(1 <= i < len(tokenizer.tokens) for i in ids)


@settings(deadline=None)
@given(text=normal_texts)
def test_tokens_spell_the_text(tokenizer, text):
    spelt = "".join(tokenizer.tokens[i] for i in tokenizer.encode(text))

    assert spelt.replace("\u2581", " ").removeprefix(" ") == text


def test_empty_text_has_no_labels(tokenizer):
    assert tokenizer.encode("") == []
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize("character", ["?", "A", "\u2581", "\n", "\u00e9", "\x00"])
def test_encode_names_unknown_character_and_text(tokenizer, character):
    text = f"what is {character} here"

    with pytest.raises(ValueError, match=rf"U\+{ord(character):04X}.*what is"):
        tokenizer.encode(text)


@pytest.mark.parametrize("label", [0, -1, 10_000])
def test_decode_refuses_labels_outside_the_vocabulary(tokenizer, label):
    with pytest.raises(ValueError, match=f"got {label}"):
        tokenizer.decode([1, label])


def test_state_rebuilds_the_tokenizer(tokenizer):
    rebuilt = tokenizer_from_state(tokenizer.state())

    assert type(rebuilt) is type(tokenizer)
    assert rebuilt.tokens == tokenizer.tokens
    assert rebuilt.state() == tokenizer.state()
    assert rebuilt.encode(SENTENCES[1]) == tokenizer.encode(SENTENCES[1])


def test_state_is_plain_strings(tokenizer):
    assert all(isinstance(k, str) and isinstance(v, str) for k, v in tokenizer.state().items())


def test_tokenizer_survives_pickling(tokenizer):
    copy = pickle.loads(pickle.dumps(tokenizer))

    assert copy.encode(SENTENCES[0]) == tokenizer.encode(SENTENCES[0])


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "lacks 'type'"),
        ({"type": "char"}, "lacks 'alphabet'"),
        ({"type": "os.system"}, "must be 'char', .* 'symbols' or 'tags'"),
        ({"type": "sentencepiece", "model": ""}, "not a SentencePiece model"),
        ({"type": "sentencepiece", "model": "aGVsbG8="}, "not a SentencePiece model"),
    ],
)
def test_bad_state_is_refused(state, message):
    with pytest.raises(ValueError, match=message):
        tokenizer_from_state(state)


def test_char_labels_follow_the_alphabet():
    assert CharTokenizer("ab ").encode("b a") == [2, 3, 1]


@pytest.mark.parametrize(
    ("alphabet", "message"),
    [("", "at least one"), ("aba", "'a' 2 times"), ("a\t", r"U\+0009"), ("a\u2581", r"U\+2581")],
)
def test_bad_alphabet_is_refused(alphabet, message):
    with pytest.raises(ValueError, match=message):
        CharTokenizer(alphabet)


def test_piece_count_is_vocab_size_and_blank(pieces):
    assert len(pieces.tokens) == 43


def test_pieces_mark_word_starts(pieces):
    first = pieces.tokens[pieces.encode("the cat")[0]]

    assert first.startswith("\u2581")


@pytest.mark.parametrize("text", ["two  spaces", " outer", "outer ", "tab\there"])
def test_pieces_refuse_what_would_not_come_back(pieces, text):
    with pytest.raises(ValueError, match=r"not normalised|not in the alphabet"):
        pieces.encode(text)


def test_training_twice_gives_the_same_model():
    a = SentencePieceTokenizer.train(SENTENCES, vocab_size=42)
    b = SentencePieceTokenizer.train(iter(SENTENCES), vocab_size=42)

    assert a.model == b.model


def test_training_keeps_characters_of_long_sentences():
    long = "z" + "ab " * 3000 + "q"

    tokenizer = SentencePieceTokenizer.train(["ab", long.strip()], vocab_size=8)

    assert tokenizer.decode(tokenizer.encode("zq")) == "zq"


def test_training_is_quiet(capfd):
    SentencePieceTokenizer.train(SENTENCES, vocab_size=42)

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("texts", "size"), [([], 10), ([""], 10), (["a b"], 500), (SENTENCES, 3)])
def test_training_that_cannot_work_is_one_clear_line(texts, size):
    with pytest.raises(ValueError, match="cannot train a SentencePiece model"):
        SentencePieceTokenizer.train(texts, vocab_size=size)


def test_advice_is_of_options_that_there_are():
    with pytest.raises(ValueError, match=r"Increase vocab_size\.?$"):
        SentencePieceTokenizer.train(["abcdefgh"], vocab_size=5)


def test_model_file_round_trip(tmp_path, pieces):
    path = tmp_path / "bpe.model"
    path.write_bytes(pieces.model)

    assert SentencePieceTokenizer.from_file(path).tokens == pieces.tokens


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_model_must_be_a_regular_file(tmp_path, kind):
    path = tmp_path / "pieces.model"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")

    with pytest.raises(ValueError, match=r"pieces\.model: is not a regular file"):
        SentencePieceTokenizer.from_file(path)


@pytest.mark.parametrize("content", [None, b"", b"not a model"])
def test_bad_model_file_is_named(tmp_path, content):
    path = tmp_path / "broken.model"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ValueError, match=r"broken\.model"):
        SentencePieceTokenizer.from_file(path)


def test_labels_are_whole_texts():
    tokenizer = LabelTokenizer(["rain", "dog_bark"])

    assert tokenizer.tokens == ["<blank>", "▁dog_bark", "▁rain"]
    assert tokenizer.encode("rain") == [2]
    assert tokenizer.decode([2, 1]) == "rain dog_bark"
    again = tokenizer_from_state(tokenizer.state())
    assert again.tokens == tokenizer.tokens
    with pytest.raises(ValueError, match="one of the 2 labels 'dog_bark, rain', got 'snow'"):
        tokenizer.encode("snow")


def test_tags_are_any_number_of_labels_in_any_order():
    tokenizer = LabelTokenizer(["rain", "dog_bark", "wind"], several=True)

    assert tokenizer.encode("wind dog_bark") == [1, 3]
    assert tokenizer.reference("wind  dog_bark") == "dog_bark wind" == tokenizer.decode([1, 3])
    assert tokenizer.encode("") == []
    again = tokenizer_from_state(tokenizer.state())
    assert again.encode("wind rain") == [2, 3]
    with pytest.raises(ValueError, match="some of the 3 labels 'dog_bark, rain, wind', got 'snow'"):
        tokenizer.encode("rain snow")
    with pytest.raises(ValueError, match="name a label once, got 'rain' 2 times"):
        tokenizer.encode("rain wind rain")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "at least one label, got none"),
        (["a", "b", "a"], "each label once, got 'a' 2 times"),
        (["dog bark"], "one word, without spaces .* got 'dog bark': write dog_bark"),
        ([""], "one word"),
        (["▁a"], "one word"),
    ],
)
def test_texts_that_are_no_labels_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        LabelTokenizer(labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("3", "must be a list of texts"),
        ('{"a": 1}', "must be a list of texts"),
        ("[1]", "must be a list of texts"),
        ("none", "Expecting value"),
        ("[]", "at least one label"),
    ],
)
def test_hostile_labels_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        tokenizer_from_state({"type": "labels", "labels": labels})
