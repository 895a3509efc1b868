"""Live audio over a real WebSocket, against what the library's own stream says."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import servers
import tones
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from asr.recognition.recognizer import Recognizer

RATE = tones.SAMPLE_RATE
START = {"type": "start", "sample_rate": RATE}


@pytest.fixture(scope="module")
def model():
    return servers.streaming_model()


@pytest.fixture(scope="module")
def served(model):
    with servers.serving(model=model, max_duration_s=20.0, idle_timeout_s=20.0) as served:
        yield served


@pytest.fixture(scope="module")
def speech():
    """Two utterances with a pause between them."""
    rng = np.random.default_rng(3)
    parts = [tones.speak("ab cad", rng), np.zeros(RATE, np.float32), tones.speak("dab", rng)]
    return np.concatenate(parts)


def open_stream(served, **options):
    url = f"{served.url.replace('http', 'ws')}/v1/stream"
    return connect(url, proxy=None, open_timeout=60, **options)


def talk(served, samples, start=START, size=800):
    """Send a recording in pieces of `size` samples; return all messages and how it was closed."""
    messages = []
    with open_stream(served) as socket:
        socket.send(json.dumps(start))
        try:
            for at in range(0, len(samples), size):
                socket.send(samples[at : at + size].tobytes())
            socket.send('{"type": "finish"}')
            while True:
                messages.append(json.loads(socket.recv(60)))
        except ConnectionClosed as closed:
            return messages, (closed.rcvd.code, closed.rcvd.reason)


def of_type(messages, kind):
    return [message for message in messages if message["type"] == kind]


@pytest.mark.parametrize("size", [800, 100_000])
def test_utterances_are_those_of_the_librarys_stream(served, model, speech, size):
    stream = Recognizer(model).stream()
    expected = [*stream.push(speech), *stream.finish()]

    messages, closed = talk(served, speech, START | {"format": "float32"}, size)

    finals = of_type(messages, "final")
    assert [final["text"] for final in finals] == [segment.text for segment in expected]
    assert len(finals) == 2
    assert [
        (word["word"], word["start"], word["end"]) for final in finals for word in final["words"]
    ] == [(w.word, round(w.start_s, 3), round(w.end_s, 3)) for s in expected for w in s.words]
    assert closed == (1000, "")
    assert messages[0] == {"type": "ready", "model": "tones"}


def test_words_appear_while_they_are_said_and_all_come_together_in_the_end(served, speech):
    messages, _ = talk(served, (speech * 32767).astype("<i2"))

    partials = [message["text"] for message in of_type(messages, "partial")]
    (done,) = of_type(messages, "done")
    assert "ab" in partials
    assert messages.index(of_type(messages, "partial")[0]) < messages.index(
        of_type(messages, "final")[0]
    )
    assert done["text"] == " ".join(final["text"] for final in of_type(messages, "final"))
    assert [word["word"] for word in done["words"]] == done["text"].split()
    assert done["duration"] == pytest.approx(len(speech) / RATE, abs=1e-3)
    assert done["srt"].startswith("1\n00:00:00,")
    assert done["vtt"].startswith("WEBVTT")


def test_many_streams_at_once_equal_one(served, speech):
    alone, _ = talk(served, speech, START | {"format": "float32"})

    with ThreadPoolExecutor(6) as pool:
        together = list(
            pool.map(lambda _: talk(served, speech, START | {"format": "float32"}), range(6))
        )

    texts = {of_type(messages, "done")[0]["text"] for messages, _ in together}
    assert texts == {of_type(alone, "done")[0]["text"]}


def test_stream_may_last_longer_than_the_head_of_a_request(model):
    with (
        servers.serving(model=model, header_timeout_s=0.2) as served,
        open_stream(served) as socket,
    ):
        socket.send(json.dumps(START))
        assert json.loads(socket.recv(60))["type"] == "ready"
        time.sleep(0.5)
        socket.send('{"type": "finish"}')

        assert json.loads(socket.recv(60))["type"] == "done"


def test_stream_without_audio_is_empty(served):
    messages, closed = talk(served, np.zeros(0, "<i2"))

    assert of_type(messages, "done")[0]["text"] == ""
    assert closed[0] == 1000


@pytest.mark.parametrize(
    ("start", "word"),
    [
        ({"type": "hello"}, "type: "),
        ({"type": "start"}, "sample_rate: must be"),
        (START | {"sample_rate": "8000"}, "sample_rate: must be"),
        (START | {"sample_rate": True}, "sample_rate: must be"),
        (START | {"sample_rate": 10**9}, "sample_rate: must be"),
        (START | {"format": "mp3"}, "format: must be one of pcm16, float32"),
        (START | {"model": "whisper-1"}, "model: this server has 'tones' alone"),
        (START | {"lm": True}, "lm: this server has no language model"),
        (START | {"volume": 11}, "volume: unknown"),
        (START | {"prompt": "Zürich"}, "hotwords"),
        (START | {"model": "\ud800"}, "model: "),
        (START | {"\ud800": 1}, "unknown"),
        ([1], "a JSON object was expected"),
    ],
)
def test_wrong_beginnings_are_refused_in_words(served, start, word):
    messages, (code, reason) = talk(served, np.zeros(0, "<i2"), start)

    (error,) = messages
    assert error["type"] == "error"
    assert word in error["error"]["message"]
    assert code == 1008
    assert reason == error["error"]["message"][: len(reason)] != ""


@pytest.mark.parametrize(
    ("piece", "word"),
    [
        (b"\0\0\0", "samples have 4 bytes, got 3"),
        (np.array([np.nan], "<f4").tobytes(), "finite"),
        (np.array([1e9], "<f4").tobytes(), "[-1, 1]"),
        ('{"type": "dance"}', 'must be "finish"'),
        ("[" * 100_000, "a JSON object was expected"),
        (bytes(4 * 21 * RATE), "a stream may last 20 s"),
    ],
)
def test_wrong_pieces_end_the_stream_in_words(served, piece, word):
    with open_stream(served) as socket:
        socket.send(json.dumps(START | {"format": "float32"}))
        assert json.loads(socket.recv(60))["type"] == "ready"
        socket.send(piece)
        error = json.loads(socket.recv(60))

    assert word in error["error"]["message"]


def test_model_that_cannot_stream_says_so():
    with servers.serving(model=tones.untrained_model()) as served:
        with served.client() as client:
            (listed,) = client.get("/v1/models").json()["data"]
        messages, (code, reason) = talk(served, np.zeros(0, "<i2"))

    assert listed["streams"] is False
    assert "needs the whole utterance" in messages[0]["error"]["message"]
    assert code == 1008
    assert "needs the whole utterance" in reason


def test_silent_client_is_left_and_its_place_is_free(model):
    with servers.serving(model=model, idle_timeout_s=0.3, max_streams=1) as served:
        with open_stream(served) as first:
            first.send(json.dumps(START))
            assert json.loads(first.recv(60))["type"] == "ready"
            messages, (code, _) = talk(served, np.zeros(0, "<i2"))
            error = json.loads(first.recv(60))
        servers.wait_until(lambda: served.metric("asr_streams_open") == 0)

    assert messages[0]["error"]["code"] == "overloaded"
    assert code == 1008
    assert error["error"]["code"] == "idle_timeout"


def test_client_that_leaves_frees_its_place(served, speech):
    with open_stream(served) as socket:
        socket.send(json.dumps(START))
        assert json.loads(socket.recv(60))["type"] == "ready"
        socket.send((speech * 32767).astype("<i2").tobytes())
        assert served.metric("asr_streams_open") == 1
        socket.socket.shutdown(2)

        servers.wait_until(lambda: served.metric("asr_streams_open") == 0)


def test_token_is_asked_for_and_pages_from_elsewhere_are_not_let_in(model):
    token = "a-token-of-some-length"
    with servers.serving(model=model, token=token) as served:
        without, (code, _) = talk(served, np.zeros(0, "<i2"))
        strange, _ = talk(served, np.zeros(0, "<i2"), START | {"token": "\ud800"})
        with_it, _ = talk(served, np.zeros(0, "<i2"), START | {"token": token})
        with (
            pytest.raises(Exception, match="403"),
            open_stream(served, origin="http://evil.example"),
        ):
            pass

    assert (without[0]["error"]["code"], code) == ("invalid_api_key", 1008)
    assert strange[0]["error"]["code"] == "invalid_api_key"
    assert with_it[-1]["type"] == "done"
