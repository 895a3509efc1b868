import pytest

from asr.server.admission import Pace, Places
from asr.server.errors import RequestError


def test_places_are_bounded_and_free_again_whatever_happens():
    places = Places(2, "requests")

    with places.place(), places.place():
        with pytest.raises(RequestError, match="all 2 places for requests are taken") as refused:
            places.place().__enter__()
        assert (refused.value.status, refused.value.retry_after_s) == (503, 5)
    with pytest.raises(KeyError), places.place():
        raise KeyError
    assert places.taken == 0


def test_pace_lets_a_minutes_requests_through_and_then_one_after_the_other():
    now = [100.0]
    pace = Pace(6, clock=lambda: now[0])

    for _ in range(6):
        pace.check("a")
    with pytest.raises(RequestError, match="more than 6 requests a minute") as refused:
        pace.check("a")
    assert (refused.value.status, refused.value.retry_after_s) == (429, 10)
    pace.check("b")
    now[0] += 10
    pace.check("a")
    with pytest.raises(RequestError):
        pace.check("a")
    now[0] += 60
    for _ in range(6):
        pace.check("a")


def test_addresses_that_are_quiet_are_forgotten(monkeypatch):
    monkeypatch.setattr("asr.server.admission._MANY_ADDRESSES", 3)
    now = [0.0]
    pace = Pace(1, clock=lambda: now[0])

    for address in "abcde":
        pace.check(address)
        now[0] += 61

    assert len(pace._free_at) <= 3
