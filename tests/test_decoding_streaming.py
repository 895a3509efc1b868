"""Streams: partial results, memory, errors. Equality with one call: test_decoding_rules_oracle."""

import numpy as np
import pytest

from asr.decoding import BeamSearchDecoder

TOKENS = ["<blank>", " ", "a", "b", "c"]


@pytest.fixture
def log_probs(rng):
    return np.log(rng.dirichlet(np.full(5, 0.15), size=400) + 1e-9)


def test_stream_stable_text_only_grows_and_begins_the_result(rng):
    # Nearly sure, as a trained network is: two readings of equal worth would hold the text up.
    log_probs = np.log(rng.dirichlet(np.full(5, 0.03), size=400) + 1e-9)
    stream = BeamSearchDecoder(TOKENS, beam_width=20).stream()
    stable = [""]
    for frame in log_probs:
        stream.push(frame[np.newaxis])
        partial = stream.partial()
        assert partial.text.startswith(partial.stable_text)
        assert partial.stable_text.startswith(stable[-1])
        assert [w.word for w in partial.words] == partial.text.split()
        stable.append(partial.stable_text)

    (hypothesis,) = stream.finish()

    assert f"{hypothesis.text} ".startswith(f"{stable[-1]} ")
    assert len(stable[-1]) > len(hypothesis.text) - 20  # most of it was settled by then
    assert len(stable[100]) > 0


def test_stream_of_many_frames_equals_one_call(rng):
    log_probs = np.log(rng.dirichlet(np.full(5, 0.15), size=12_000) + 1e-9).astype(np.float32)
    decoder = BeamSearchDecoder(TOKENS, beam_width=30)
    stream = decoder.stream()
    for chunk in np.array_split(log_probs, 37):
        stream.push(chunk)

    assert stream.finish() == decoder(log_probs)[0]


def test_stream_of_nothing_gives_empty_text():
    stream = BeamSearchDecoder(TOKENS).stream()
    stream.push(np.zeros((0, 5)))

    assert stream.partial().text == stream.partial().stable_text == ""
    assert stream.finish()[0].score == 0.0


def test_streams_of_one_decoder_do_not_mix(log_probs):
    decoder = BeamSearchDecoder(TOKENS)
    first, second = decoder.stream(), decoder.stream()
    for start in range(0, 100, 10):
        first.push(log_probs[start : start + 10])
        second.push(log_probs[start + 200 : start + 210])

    assert [first.finish()] == decoder(log_probs[:100])
    assert [second.finish()] == decoder(log_probs[200:300])


def test_stream_names_the_frame_of_a_nan(log_probs):
    stream = BeamSearchDecoder(TOKENS).stream()
    stream.push(log_probs[:30])
    log_probs[33, 2] = np.nan

    with pytest.raises(ValueError, match="NaN in utterance 0, frame 33, class 2"):
        stream.push(log_probs[30:40])


def test_stream_refuses_several_utterances(log_probs):
    with pytest.raises(ValueError, match=r"must be \(T, C\) in a stream, got 2 utterances"):
        BeamSearchDecoder(TOKENS).stream().push(np.stack([log_probs, log_probs]))


def test_stream_finish_may_be_asked_before_the_end(log_probs):
    decoder = BeamSearchDecoder(TOKENS)
    stream = decoder.stream()
    stream.push(log_probs[:50])

    assert [stream.finish()] == decoder(log_probs[:50])
    stream.push(log_probs[50:])
    assert [stream.finish()] == decoder(log_probs)
