"""Streams: partial results, memory, errors. Equality with one call: test_decoding_rules_oracle."""

import numpy as np
import pytest

from asr.decoding import BeamSearchDecoder

TOKENS = ["<blank>", " ", "a", "b", "c"]


@pytest.fixture
def log_probs(rng):
    return np.log(rng.dirichlet(np.full(5, 0.15), size=400) + 1e-9)


def test_stream_stable_text_only_grows_and_begins_the_result(log_probs):
    stream = BeamSearchDecoder(TOKENS, beam_width=20).stream()
    stable = ""
    for frame in log_probs:
        stream.push(frame[np.newaxis])
        partial = stream.partial()
        assert partial.text.startswith(partial.stable_text)
        assert partial.stable_text.startswith(stable)
        assert [w.word for w in partial.words] == partial.text.split()
        stable = partial.stable_text

    (hypothesis,) = stream.finish()

    assert f"{hypothesis.text} ".startswith(f"{stable} ")


@pytest.mark.parametrize("max_delay", [1, 8, 50])
def test_stream_stable_text_lags_no_more_than_the_delay(log_probs, max_delay):
    decoder = BeamSearchDecoder(TOKENS, beam_width=20, max_delay=max_delay)
    stream = decoder.stream()
    for t, frame in enumerate(log_probs):
        stream.push(frame[np.newaxis])
        partial = stream.partial()
        # A word is closed by the token after it; the rule is applied every quarter of the delay.
        words = [w for w in partial.words if w.end_frame <= t - 1.25 * max_delay]
        assert len(partial.stable_text.split()) >= len(words) - 1

    assert [stream.finish()] == decoder(log_probs)


@pytest.mark.parametrize("max_delay", [None, 100])
def test_stream_of_many_frames_equals_one_call(rng, max_delay):
    log_probs = np.log(rng.dirichlet(np.full(5, 0.15), size=12_000) + 1e-9).astype(np.float32)
    decoder = BeamSearchDecoder(TOKENS, beam_width=30, max_delay=max_delay)
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
