import pytest

from asr.server.errors import RequestError
from asr.server.guard import check_access
from asr.server.settings import Settings

TOKEN = "0123456789abcdef"
OPEN = Settings("m")
CLOSED = Settings("m", token=TOKEN)


def status(settings, path="/v1/models", **headers):
    """Status of the refusal; 200 where there is none."""
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    try:
        check_access({"type": "http", "path": path, "headers": pairs}, settings)
    except RequestError as error:
        return error.status
    return 200


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "[::1]"]
)
def test_names_of_this_machine_need_no_token(host):
    assert status(OPEN, host=host) == 200
    assert status(OPEN, host=host, origin=f"http://{host}") == 200


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "127.0.0.1.nip.io:80", "192.168.1.2", "[::2]:1"],
)
def test_other_names_are_refused_without_a_token(host):
    assert status(OPEN, host=host) == 403
    assert status(OPEN, "/", host=host) == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:9", "file://"])
def test_pages_from_elsewhere_are_refused(origin):
    assert status(OPEN, host="localhost:8000", origin=origin) == 403
    right = f"Bearer {TOKEN}"
    assert status(CLOSED, host="localhost:8000", origin=origin, authorization=right) == 403


@pytest.mark.parametrize(
    "shown", ["", TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", "Bearer ä"]
)
def test_wrong_tokens_are_refused(shown):
    assert status(CLOSED, host="any.example", authorization=shown) == 401


def test_right_token_comes_by_any_name_and_the_page_needs_none():
    assert status(CLOSED, host="any.example", authorization=f"bearer {TOKEN}") == 200
    assert status(CLOSED, "/", host="any.example") == 200
    assert status(CLOSED, "/health", host="any.example") == 200
    assert status(CLOSED, "/metrics", host="any.example") == 401
    assert status(CLOSED, "/openapi.json", host="any.example") == 401
