"""Streams: partial results, memory, errors. Equality with one call: test_decoding_rules_oracle."""

import subprocess
import sys

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


def test_finished_stream_refuses_more_and_keeps_its_result(log_probs):
    decoder = BeamSearchDecoder(TOKENS)
    stream = decoder.stream()
    stream.push(log_probs[:50])
    finished = stream.finish()

    with pytest.raises(ValueError, match=r"nothing can be pushed after finish\(\)"):
        stream.push(log_probs[50:])
    assert stream.finish() == finished == decoder(log_probs[:50])[0]
    assert stream.partial().text == finished[0].text


def test_stream_is_given_up_after_a_push_that_failed(log_probs):
    stream = BeamSearchDecoder(TOKENS).stream()
    with pytest.raises(ValueError, match="NaN in utterance 0, frame 1"):
        stream.push(np.where(np.arange(3)[:, None] == 1, np.nan, log_probs[:3]))

    for use in (lambda: stream.push(log_probs[:3]), stream.partial, stream.finish):
        with pytest.raises(ValueError, match="an earlier push failed"):
            use()


TWO_THREADS = """
import threading
import numpy as np
from asr.decoding import BeamSearchDecoder

log_probs = np.log(np.random.default_rng(0).dirichlet(np.full(60, 0.5), size=200))
decoder = BeamSearchDecoder([str(c) for c in range(60)], beam_width=200, token_min_logp=-np.inf)
outcomes = []

def use(stream):
    for _ in range(5):
        for method in (lambda: stream.push(log_probs), stream.partial):
            try:
                method()
                outcomes.append("done")
            except ValueError as error:
                outcomes.append(str(error))

for _ in range(4):
    stream = decoder.stream()
    threads = [threading.Thread(target=use, args=(stream,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print(sorted(set(outcomes)))
"""


def test_threads_that_share_a_stream_are_told_so():
    child = subprocess.run([sys.executable, "-c", TWO_THREADS], capture_output=True, text=True)

    assert child.returncode == 0, child.stderr
    assert child.stdout.strip() == "['another thread is using the stream', 'done']"
