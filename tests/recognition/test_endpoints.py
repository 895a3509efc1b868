import pytest

from asr.recognition.endpoints import Endpoints

RULES = Endpoints(silence_s=0.8, long_s=20, long_silence_s=0.2, longest_s=30, empty_s=5)


@pytest.mark.parametrize(
    ("length_s", "silence_s", "has_words", "ended"),
    [
        (3.0, 0.79, True, False),
        (3.0, 0.8, True, True),
        (3.0, 0.8, False, False),
        (4.9, 4.9, False, False),
        (5.0, 5.0, False, True),
        (19.9, 0.2, True, False),
        (20.0, 0.2, True, True),
        (20.0, 0.1, True, False),
        (29.9, 0.0, True, False),
        (29.9, 0.04, True, False),
        (30.0, 0.04, True, True),
        (30.0, 0.0, True, False),
        (59.9, 0.0, True, False),
        (60.0, 0.0, True, True),
        (0.0, 0.0, False, False),
    ],
)
def test_rules_by_hand(length_s, silence_s, has_words, ended):
    assert RULES.has_ended(length_s, silence_s, has_words=has_words) is ended


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_seconds_out_of_range_are_refused(value):
    with pytest.raises(ValueError, match=f"silence_s must be > 0 s, got {value}"):
        Endpoints(silence_s=value)


def test_long_is_no_longer_than_the_longest():
    with pytest.raises(ValueError, match=r"long_s <= longest_s must hold, got 20\.0 and 10"):
        Endpoints(longest_s=10)


def test_a_pause_is_more_than_what_lies_within_words():
    assert [RULES.is_pause(silence_s) for silence_s in (0.0, 0.04, 0.19, 0.2)] == [0, 0, 0, 1]
    assert Endpoints(silence_s=0.1).is_pause(0.1)
