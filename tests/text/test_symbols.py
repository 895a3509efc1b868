"""Classes that another program named."""

import pytest

from asr.decoding import BeamSearchDecoder, GreedyDecoder
from asr.text import SymbolTokenizer, tokenizer_from_state

SYMBOLS = ["", " ", "A", "", "B", "'", "é"]


def test_texts_take_the_case_that_there_is():
    tokenizer = SymbolTokenizer(SYMBOLS)

    assert tokenizer.tokens == ["<blank>", *SYMBOLS]
    assert tokenizer.encode("a b'É") == [3, 2, 5, 6, 7]
    assert tokenizer.reference("a b'É c") == "A B'é c"
    assert tokenizer.decode([3, 1, 2, 4, 5]) == "A B"
    assert tokenizer.encode("") == []


def test_a_letter_in_both_cases_stays_in_its_own():
    tokenizer = SymbolTokenizer(["a", "A"])

    assert tokenizer.encode("aA") == [1, 2]


def test_state_gives_back_the_tokenizer():
    tokenizer = SymbolTokenizer(SYMBOLS)

    assert tokenizer_from_state(tokenizer.state()).tokens == tokenizer.tokens


@pytest.mark.parametrize("decoder", [GreedyDecoder, BeamSearchDecoder])
def test_decoders_write_nothing_for_special_tokens(decoder):
    tokens = SymbolTokenizer(SYMBOLS).tokens
    path = [3, 3, 1, 0, 3, 1, 2, 5]  # A A special blank A special space B
    log_probs = [[-0.01 if label == n else -9.0 for n in range(8)] for label in path]

    assert decoder(tokens)(log_probs)[0][0].text == "AA B"


def test_what_cannot_be_written_is_refused():
    with pytest.raises(
        ValueError, match=r"character 'c' \(U\+0063\) is not in the alphabet: 'abc'"
    ):
        SymbolTokenizer(SYMBOLS).encode("abc")
    with pytest.raises(ValueError, match="'tʃ' is more than one character"):
        SymbolTokenizer(["a", "tʃ"]).encode("a")
    with pytest.raises(ValueError, match="at least one that writes something, got none"):
        SymbolTokenizer(["", ""])
    with pytest.raises(ValueError, match="must hold each once, got 'a' 2 times"):
        SymbolTokenizer(["a", "", "", "a"])
    with pytest.raises(ValueError, match="symbols must be a list of texts"):
        tokenizer_from_state({"type": "symbols", "symbols": '{"a": 1}'})
