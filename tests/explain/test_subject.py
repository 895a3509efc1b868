"""Words of a text, and which of them is explained."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import tones

from asr.explain.subject import choose_word, read_subject, spell_words
from asr.text import CharTokenizer

TEXT = "ab cad ab"


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    path = tmp_path_factory.mktemp("subject") / "said.wav"
    soundfile.write(path, tones.speak(TEXT, np.random.default_rng(3)), tones.SAMPLE_RATE)
    return path


@pytest.fixture(scope="module")
def subject(audio):
    return read_subject(tones.trained_model(), audio, None, 30.0)


def places(words):
    return [(word.word, word.start_frame, word.end_frame) for word in words]


def test_characters_between_spaces_are_a_word():
    tokens = ["<blank>", " ", "a", "b"]

    found = spell_words([2, 3, 1, 3, 3], tokens, separated=True)

    assert places(found) == [("ab", 0, 2), ("bb", 3, 5)]


def test_pieces_that_open_a_word_begin_it():
    tokens = ["<blank>", "\u2581", "\u2581ca", "t", "s"]

    found = spell_words([2, 3, 1, 4, 2], tokens, separated=True)

    assert places(found) == [("cat", 0, 2), ("s", 3, 4), ("ca", 4, 5)]


def test_without_separators_every_token_is_a_word():
    found = spell_words([1, 2, 1], ["<blank>", "a", "b"], separated=False)

    assert places(found) == [("a", 0, 1), ("b", 1, 2), ("a", 2, 3)]


def test_text_is_what_was_heard_unless_it_is_given(subject, audio):
    given = read_subject(tones.trained_model(), audio, "ab cad", 30.0)

    assert subject.text == TEXT
    assert (given.text, len(given.words)) == ("ab cad", 2)
    assert subject.labels == tones.trained_model().tokenizer.encode(TEXT)


def test_words_stand_with_their_times(subject):
    assert [word.word for word in subject.times] == TEXT.split()
    assert all(word.start_s < word.end_s for word in subject.times)
    assert subject.features.shape[:2] == (1, len(subject.energies))


def test_the_second_of_equal_words_has_the_second_ones_labels(subject):
    first, second = (choose_word(subject, "ab", n) for n in (1, 2))

    assert (first.places, second.places) == ([0, 1], [7, 8])
    assert (first.words, second.words) == ([0], [2])


def test_without_a_word_all_are_explained_and_separators_are_not(subject):
    choice = choose_word(subject, None, 1)

    assert choice.title == TEXT
    assert choice.places == [0, 1, 3, 4, 5, 7, 8]


@pytest.mark.parametrize(
    ("word", "occurrence", "message"),
    [
        ("cab", 1, "word must be one of the text, got 'cab': 'ab cad ab'"),
        ("ab cad", 1, "word must be one of the text, got 'ab cad'"),
        ("", 1, "word must be one of the text, got ''"),
        ("ab", 3, r"occurrence must be 1\.\.2, as often as 'ab' is in the text, got 3"),
        ("ab", 0, r"occurrence must be 1\.\.2, as often as 'ab' is in the text, got 0"),
        (None, 2, r"occurrence=2 needs word=\.\.\."),
    ],
)
def test_a_word_that_is_not_there_is_named(subject, word, occurrence, message):
    with pytest.raises(ValueError, match=message):
        choose_word(subject, word, occurrence)


def test_token_over_several_words_is_refused(audio):
    class Pieces(CharTokenizer):
        """Label 2 stands for two words, as some SentencePiece models have it."""

        def encode(self, text):
            return [2]

    model = tones.trained_model()
    model.tokenizer = Pieces(tones.ALPHABET)

    with pytest.raises(ValueError, match="a token of the model reaches over several words"):
        read_subject(model, audio, "a b", 30.0)


def test_script_without_spaces_has_a_word_for_every_token(audio):
    model = tones.trained_model()
    model.normalizer = SimpleNamespace(separates_words=False)

    subject = read_subject(model, audio, "abcad", 30.0)

    assert [word.word for word in subject.words] == list("abcad")
    assert [word.word for word in subject.times] == list("abcad")
