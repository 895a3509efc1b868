import pytest
from noisy_words import write_bigram

from asr.decoding import BeamSearchDecoder, GreedyDecoder, NGramLM
from asr.server.decoders import _KEPT, Choice, Decoders

TOKENS = ["-", " ", "a", "b", "c"]


def test_search_is_greedy_until_something_asks_for_more():
    decoders = Decoders(TOKENS, {"hotword_weight": 2.0})

    assert isinstance(decoders.choose(Choice()), GreedyDecoder)
    assert isinstance(decoders.choose(Choice(n_best=2)), BeamSearchDecoder)
    assert isinstance(decoders.choose(Choice(hotwords=("ab",))), BeamSearchDecoder)


def test_language_model_can_be_left_out(tmp_path):
    decoders = Decoders(
        TOKENS, {"lm": NGramLM(write_bigram(tmp_path / "lm.arpa")), "lm_alpha": 2.0}
    )

    assert decoders.has_lm
    assert decoders.choose(Choice(lm=True)).lm is not None
    assert decoders.choose(Choice(lm=False)).lm is None


def test_one_choice_has_one_decoder_and_few_are_kept():
    decoders = Decoders(TOKENS, {})
    first = decoders.choose(Choice(n_best=2))

    assert decoders.choose(Choice(n_best=2)) is first
    for number in range(_KEPT):
        decoders.choose(Choice(hotwords=("a" * (number + 1),)))
    assert decoders.choose(Choice(n_best=2)) is not first


def test_hotwords_that_cannot_be_spelled_are_refused():
    with pytest.raises(ValueError, match="hotwords"):
        Decoders(TOKENS, {}).choose(Choice(hotwords=("xyz",)))
