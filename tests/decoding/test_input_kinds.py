"""Log-probabilities, probabilities and logits: what is refused, what is converted."""

import math

import numpy as np
import pytest

from asr.decoding import BeamSearchDecoder, GreedyDecoder, PrefixSearchDecoder

TOKENS = ["<blank>", "a", "b", " ", "c"]
DECODERS = [GreedyDecoder, PrefixSearchDecoder, BeamSearchDecoder]

every_decoder = pytest.mark.parametrize("decoder_class", DECODERS)


@every_decoder
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("class_index", range(5))
def test_decoder_refuses_nan_and_infinity_by_utterance_and_frame(
    decoder_class, value, class_index, log_probs
):
    log_probs[4, 7, class_index] = value

    with pytest.raises(ValueError, match=rf"utterance 4, frame 7, class {class_index}$"):
        decoder_class(TOKENS)(log_probs)


def stream_of(*arguments, **options):
    """A call like a decoder's, made of a stream's."""

    def decode(x, input="log_probs"):
        stream = BeamSearchDecoder(*arguments, **options).stream()
        for chunk in np.array_split(x[0], 4):
            stream.push(chunk, input=input)
        return [stream.finish()]

    return decode


@pytest.mark.parametrize("make", [*DECODERS, stream_of])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_decoder_refuses_probabilities_and_logits_by_frame(make, dtype, log_probs):
    flat = np.log(np.full((1, 5), 0.2))
    probs = np.concatenate([np.full((3, 5), -np.inf), np.exp(log_probs[0])])[np.newaxis]
    logits = np.concatenate([flat - 8, flat - 7, log_probs[0] + 8.0])[np.newaxis]

    with pytest.raises(ValueError, match=r"at most 0, got 0\.\d+ in utterance 0, frame 3, class"):
        make(TOKENS)(probs.astype(dtype))
    with pytest.raises(
        ValueError, match=r'frame 2, class \d: give input="logits" or input="probs"'
    ):
        make(TOKENS)(logits.astype(dtype))


@pytest.mark.parametrize("make", [*DECODERS, stream_of])
def test_every_decoder_converts_probabilities_and_logits(make, rng, log_probs):
    decode = make(TOKENS)
    x = log_probs[:1].astype(np.float64)
    x[0, 3] = -np.inf
    x[0, 4, 2:] = -np.inf
    x[0, 4] -= np.logaddexp.reduce(x[0, 4])
    expected = decode(x)

    for values, kind in ((x + rng.normal(size=(1, 12, 1)), "logits"), (np.exp(x), "probs")):
        for (actual,), (wanted,) in zip(decode(values, input=kind), expected, strict=True):
            assert actual.token_ids == wanted.token_ids
            assert actual.score == pytest.approx(wanted.score, abs=1e-5)


@pytest.mark.parametrize("kind", ["logits", "probs"])
def test_conversion_ignores_what_is_beyond_the_lengths(kind, log_probs):
    probs = np.exp(log_probs)
    padded = np.where(
        np.arange(12)[:, np.newaxis] < 7, probs, np.float32([np.nan, -1, 9, np.inf, 0.5])
    )

    decoder = GreedyDecoder(TOKENS)

    assert decoder(padded, [7] * 6, input=kind) == decoder(probs, [7] * 6, input=kind)


@pytest.mark.parametrize("frame", [[0.6, 0.6, 0.0, 0.0, 0.0], [1.1, -0.1, 0, 0, 0], [np.nan] * 5])
def test_what_is_no_distribution_is_refused_as_probabilities(frame, log_probs):
    probs = np.exp(log_probs)
    probs[2, 7] = frame
    stream = BeamSearchDecoder(TOKENS).stream()
    stream.push(probs[2, :5], input="probs")

    with pytest.raises(ValueError, match=r"sum to at most 1 .* in utterance 2, frame 7"):
        GreedyDecoder(TOKENS)(probs, input="probs")
    with pytest.raises(ValueError, match="in utterance 0, frame 7"):
        stream.push(probs[2, 5:], input="probs")


def test_rows_of_pruned_and_masked_probabilities_are_decoded():
    with np.errstate(divide="ignore"):
        log_probs = np.log([[0.5, 0.3, 0, 0, 0], [0, 1e-9, 0, 0, 0]])

    ((hypothesis,),) = GreedyDecoder(TOKENS)(log_probs)

    assert hypothesis.score == pytest.approx(math.log(0.5e-9))


@every_decoder
def test_time_major_input_of_one_utterance_is_refused_with_a_hint(decoder_class, log_probs):
    time_major = log_probs[0][:, np.newaxis]  # (T, 1, C)

    with pytest.raises(
        ValueError, match=r"12 utterances of one frame: give \(T, C\) or \(1, T, C\)"
    ):
        decoder_class(TOKENS)(time_major)
    assert len(decoder_class(TOKENS)(time_major, [1] * 12)) == 12


def test_decoder_refuses_an_unknown_kind_of_input(log_probs):
    with pytest.raises(ValueError, match="input must be 'log_probs', 'logits' or 'probs'"):
        GreedyDecoder(TOKENS)(log_probs, input="scores")
