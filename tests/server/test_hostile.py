"""Clients that are wrong, slow, many or gone: they are answered or dropped, and harm nobody."""

import io
import json
import logging
import socket
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import servers
import soundfile
import tones

from asr.acoustic.checkpoint import load_checkpoint
from asr.server.logs import JsonLines, make_handler

RATE = tones.SAMPLE_RATE
FORM = "multipart/form-data; boundary=x"
HEAD = f"POST {servers.ROUTE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"


@pytest.fixture(scope="module")
def model():
    return load_checkpoint(tones.checkpoint_path())


@pytest.fixture(scope="module")
def served(model):
    with servers.serving(model=model, body_timeout_s=0.5, header_timeout_s=0.5) as served:
        yield served


@pytest.fixture(scope="module")
def speech():
    return as_wav(tones.speak("ab cad", np.random.default_rng(0)))


@pytest.fixture
def gate(model):
    gate = servers.Gate(model.tokenizer.tokens)
    yield gate
    gate.is_open.set()


def as_wav(samples):
    content = io.BytesIO()
    soundfile.write(content, samples, RATE, format="WAV", subtype="PCM_16")
    return content.getvalue()


def form(content):
    return (
        b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\ntones\r\n--x\r\nContent-'
        b'Disposition: form-data; name="file"; filename="a"\r\n\r\n' + content + b"\r\n--x--\r\n"
    )


def answer_to(port, *parts, close=False):
    """Send bytes as they are; return the first line of the answer, "" where there is none."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for part in parts:
            connection.sendall(part)
        if close:
            return ""
        return connection.makefile("rb").readline().decode().strip()


def code_of(answer):
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"RIFF, not really", "cannot be decoded"),
        (b"#EXTM3U\nhttp://127.0.0.1/x.wav\n", "cannot be decoded"),
        (b"\x00\x00\x00\x20ftypisom" + bytes(100), "file: "),
        (b"\x1aE\xdf\xa3" + bytes(100), "file: "),
        (as_wav(np.zeros(1)), "too short"),
        (as_wav(np.zeros(4000))[:-4000], "truncated"),
    ],
)
def test_what_is_no_recording_is_refused(served, content, words):
    answer = served.post(content)

    assert code_of(answer) == (400, "invalid_audio")
    assert words in answer.json()["error"]["message"]


def test_what_lasts_too_long_is_refused(model):
    with servers.serving(model=model, max_duration_s=1.0) as served:
        answer = served.post(as_wav(np.zeros(2 * RATE)))

    assert answer.json()["error"]["message"] == "file: lasts more than 1 s"


@pytest.mark.parametrize(
    ("kind", "content", "status", "code"),
    [
        ("", b"", 415, "unsupported_content_type"),
        ("application/json", b'{"model": "tones"}', 415, "unsupported_content_type"),
        ("multipart/form-data", b"x", 400, "bad_request"),
        (FORM, b"", 400, "missing_parameter"),
        (f"{FORM}; charset=undefined", form(b"a"), 400, "bad_request"),
        (
            f"{FORM}; charset=unicode_escape",
            form(b"").replace(b"model", rb"\ud800"),
            400,
            "unknown_parameter",
        ),
        (FORM, b"--y nonsense", 400, "bad_request"),
        (FORM, form(b"a").removesuffix(b"--\r\n") + form(b"b")[3:], 400, "bad_request"),
    ],
    ids=[
        "nothing",
        "json",
        "no boundary",
        "empty",
        "charset",
        "surrogate",
        "nonsense",
        "two files",
    ],
)
def test_what_is_no_form_is_refused(served, kind, content, status, code):
    with served.client() as client:
        answer = client.post(servers.ROUTE, content=content, headers={"content-type": kind})

    assert code_of(answer) == (status, code)


def test_large_field_is_refused(served, speech):
    assert served.post(speech, prompt="a" * 100_000).status_code == 400


def test_body_that_promises_too_much_is_refused_unread(served):
    head = f"{HEAD}Content-Length: {2**40}\r\n\r\n".encode()

    assert answer_to(served.port, head) == "HTTP/1.1 413 Request Entity Too Large"


def test_body_that_is_too_much_is_refused(served):
    def endless():
        yield form(b"").removesuffix(b"\r\n--x--\r\n")
        while True:
            yield bytes(2**16)

    with served.client() as client:
        try:
            status = client.post(
                servers.ROUTE,
                content=endless(),
                headers={"content-type": "multipart/form-data; boundary=x"},
            ).status_code
        except httpx.TransportError:  # it went on sending and was cut off
            status = 413

    assert status == 413


def test_slow_body_is_given_up_and_slow_head_is_closed(served):
    slow_body = answer_to(served.port, f"{HEAD}Content-Length: 100\r\n\r\n--x".encode())
    slow_head = answer_to(served.port, b"POST /v1/audio")

    assert slow_body == "HTTP/1.1 408 Request Timeout"
    assert slow_head == ""


def test_nonsense_is_no_http(served):
    assert answer_to(served.port, b"\x16\x03\x01\x02\x00\r\n\r\n").startswith("HTTP/1.1 400")


def test_clients_that_leave_free_their_places_and_leave_no_files(
    model, gate, speech, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    body = form(speech)
    head = f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode()
    with servers.serving(gate, model) as served:
        with ThreadPoolExecutor(1) as pool:
            kept = pool.submit(served.post, speech)
            assert gate.reached.wait(30)
            for part in (head, head + body[:500], head + body):
                answer_to(served.port, part, close=True)
            servers.wait_until(lambda: served.metric("asr_requests_held") == 1)
            gate.is_open.set()
            assert kept.result().json()["text"] == "ab cad"
        servers.wait_until(lambda: served.metric("asr_requests_held") == 0)
        # Who left while waiting in line was not recognised for nobody.
        assert served.metric("asr_batch_recordings_sum") <= 2
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    assert list(tmp_path.iterdir()) == []


def test_more_at_a_time_than_there_is_room_for_are_told_when_to_come_back(model, gate, speech):
    with (
        servers.serving(gate, model, max_requests=4) as served,
        ThreadPoolExecutor(4) as inside,
    ):
        held = [inside.submit(served.post, speech) for _ in range(4)]
        servers.wait_until(lambda: served.metric("asr_requests_held") == 4)
        with ThreadPoolExecutor(25) as outside:
            refused = list(outside.map(served.post, [speech] * 96))
        gate.is_open.set()
        answers = [request.result() for request in held]
        after = served.post(speech)

    assert {code_of(answer) for answer in refused} == {(503, "overloaded")}
    assert {answer.headers["retry-after"] for answer in refused} == {"5"}
    assert {answer.json()["text"] for answer in [*answers, after]} == {"ab cad"}


def test_a_hundred_connections_at_once_are_all_answered(model, speech):
    with servers.serving(model=model, max_requests=100) as served, ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(served.post, [speech] * 100))
        batches = served.metric("asr_batch_recordings_count")

    assert {answer.json()["text"] for answer in answers} == {"ab cad"}
    assert batches < 100


def test_more_a_minute_than_allowed_are_told_when_to_come_back(model):
    with servers.serving(model=model, requests_per_minute=3) as served, served.client() as client:
        answers = [client.get("/v1/models") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 20
    assert code_of(answers[-1]) == (429, "rate_limit_exceeded")


def test_stop_lets_a_request_in_flight_end(model, gate, speech):
    with servers.serving(gate, model) as served, ThreadPoolExecutor(1) as pool:
        held = pool.submit(served.post, speech)
        assert gate.reached.wait(30)
        served.server.should_exit = True
        servers.wait_until(lambda: not listens(served.port))
        gate.is_open.set()

        assert held.result().json()["text"] == "ab cad"


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_failure_in_the_middle_is_a_500_for_one_and_nothing_for_the_others(
    model, speech, monkeypatch
):
    class Poisoned(servers.Decoders):
        def choose(self, choice):
            return self._decode

        def _decode(self, log_probs, lengths=None):
            raise RuntimeError("what somebody said")

    with servers.serving(Poisoned(model.tokenizer.tokens, {}), model) as served:
        first, second = served.post(speech), served.post(speech)
        with served.client() as client:
            health = client.get("/health")

    assert code_of(first) == code_of(second) == (500, "server_error")
    assert "somebody" not in first.text
    assert (health.status_code, health.json()["status"]) == (
        503,
        "a second of audio failed: RuntimeError",
    )


def test_logs_hold_nobodys_words(model, speech, caplog):
    secret = "abcd dcba"
    handler = make_handler()
    lines = []
    handler.emit = lambda record: lines.append(handler.format(record))
    logging.getLogger().addHandler(handler)
    caplog.set_level(logging.INFO)
    try:
        with servers.serving(model=model) as served:
            said = tones.speak(secret, np.random.default_rng(1))
            assert served.post(as_wav(said), prompt=secret).json()["text"] == secret
            served.post(b"RIFF", prompt=secret)
            served.post(speech, **{secret: secret})
            with served.client() as client:
                client.get(f"/{secret}?{secret}", headers={"user-agent": secret})
                client.request("DCBA", "/health")
    finally:
        logging.getLogger().removeHandler(handler)

    records = [json.loads(line) for line in lines]
    requests = [record for record in records if record["event"] == "request"]
    assert [request["status"] for request in requests] == [200, 400, 400, 404, 405]
    assert requests[0]["audio_seconds"] > 1
    logged = "\n".join(lines).lower()
    assert not [word for word in ("abcd", "dcba", "name.wav") if word in logged]


def test_logged_exceptions_say_where_and_not_what():
    try:
        raise ValueError("what somebody said")
    except ValueError as error:
        record = logging.LogRecord(
            "asr", logging.ERROR, "", 0, "it failed", None, (ValueError, error, error.__traceback__)
        )

    line = json.loads(JsonLines().format(record))

    assert (line["event"], line["exception"]) == ("it failed", "ValueError")
    assert Path(__file__).name in line["where"][-1]
    assert "somebody" not in json.dumps(line)
