import pytest
import tones

from asr.decoding import BeamSearchDecoder, GreedyDecoder, PrefixSearchDecoder


@pytest.fixture
def model():
    return tones.trained_model()


@pytest.fixture
def decoders(model):
    tokens = model.tokenizer.tokens
    return {
        "greedy": GreedyDecoder(tokens),
        "prefix search": PrefixSearchDecoder(tokens),
        "beam": BeamSearchDecoder(tokens, n_best=4),
    }


@pytest.fixture
def texts(rng):
    return [tones.invent_text(rng, 1 + i % 4) for i in range(10)]
