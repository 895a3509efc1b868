import numpy as np
import pytest
from sounds import level_db, tone, write_sounds

from asr.augment import RecordedRooms, SimulatedRooms
from asr.augment.convolution import convolve
from asr.augment.image_source import SPEED_OF_SOUND, impulse_response, reflection_of
from asr.augment.rooms import reverberate

RATE = 16000
# Source and microphone 1 m over the floor and 2 m apart; everything else is 10 m away and more.
HALL = {"room_m": [40, 30, 25], "source_m": [19, 15, 1], "microphone_m": [21, 15, 1]}
OPTIONS = {
    "sample_rate": RATE,
    "probability": 1.0,
    "num_rooms": 3,
    "smallest_m": [3, 3, 2.5],
    "largest_m": [5, 4, 3],
    "rt60_s": (0.1, 0.2),
}


def sample_at(metres):
    return round(metres / SPEED_OF_SOUND * RATE)


def test_direct_sound_comes_after_its_way_with_one_over_its_distance():
    response = impulse_response(**HALL, rt60_s=0.5, sample_rate=RATE)

    assert np.flatnonzero(np.abs(response) > 1e-6)[0] == sample_at(2) == 93
    assert response[93] == pytest.approx(1 / (4 * np.pi * 2), rel=1e-6)


def test_first_reflection_is_that_of_the_floor():
    response = impulse_response(**HALL, rt60_s=0.5, sample_rate=RATE)

    # Down 1 m and up 1 m while 2 m go by: a way of sqrt(8) m, and one reflection.
    place = sample_at(np.sqrt(8))
    reflection = reflection_of(np.array(HALL["room_m"]), 0.5)
    between = np.abs(response[94:place]).max()
    assert response[place] > 5 * between
    step = response[place] - response[place - 1]
    assert step == pytest.approx(reflection / (4 * np.pi * np.sqrt(8)), rel=0.01)


def test_reflection_follows_eyring():
    # A cube of 4 m: 0.161 V / S = 0.107 s, and an echo of 0.107 s wants -ln(1 - a) = 1.
    reflection = reflection_of(np.array([4.0, 4.0, 4.0]), 24 * np.log(10) / 343 * 64 / 96)

    assert reflection**2 == pytest.approx(np.exp(-1))


def test_echo_dies_away_as_fast_as_was_asked():
    response = impulse_response(
        [6, 5, 4], [1.3, 2.2, 1.7], [4.1, 3.4, 2.2], rt60_s=0.5, sample_rate=RATE
    )

    # Schroeder 1965: energy that is still to come; -5 to -25 dB, times three.
    left = np.cumsum(response[::-1].astype(float) ** 2)[::-1]
    decay = 10 * np.log10(left / left[0])
    rt60_s = 3 * (np.argmax(decay < -25) - np.argmax(decay < -5)) / RATE
    assert rt60_s == pytest.approx(0.5, rel=0.2)


def test_response_has_no_constant_part():
    response = impulse_response(**HALL, rt60_s=0.5, sample_rate=RATE)

    assert abs(response.sum()) < 0.05 * np.abs(response).sum()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"source_m": [41, 1, 1]},
            r"source_m must be within the room \[40.0, 30.0, 25.0\], got \[41",
        ),
        ({"microphone_m": [1, 1, 0]}, "microphone_m must be within the room"),
        ({"source_m": [21, 15, 1]}, "source_m and microphone_m must differ"),
    ],
)
def test_impossible_places_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        impulse_response(**(HALL | change), rt60_s=0.1, sample_rate=RATE)


def test_speech_stays_in_its_place_and_as_loud():
    waveform = np.zeros(8000, np.float32)
    waveform[3000:4000] = tone(1000)
    response = np.zeros(500, np.float32)
    response[[100, 300]] = 0.5, 0.25  # direct sound after 100 samples, an echo 200 later

    heard = reverberate(waveform, response)

    expected = waveform.copy()
    expected[200:] += 0.5 * waveform[:-200]
    expected *= 10 ** ((level_db(waveform) - level_db(expected)) / 20)
    np.testing.assert_allclose(heard, expected, atol=1e-5)
    assert heard.dtype == np.float32
    assert level_db(heard) == pytest.approx(level_db(waveform), abs=1e-3)


@pytest.mark.parametrize("size", [1, 4095, 4096, 9001])
@pytest.mark.parametrize("length", [1, 2, 2048, 2500])
def test_convolution_is_that_of_numpy(rng, size, length):
    waveform, response = rng.normal(size=size), rng.normal(size=length)

    convolved = convolve(waveform.astype(np.float32), response.astype(np.float32))

    np.testing.assert_allclose(convolved, np.convolve(waveform, response), atol=2e-3)


@pytest.mark.parametrize(
    ("waveform", "response"),
    [(np.zeros(0), np.ones(4)), (np.ones(4), np.zeros(4)), (np.zeros(4), np.ones(4))],
)
def test_silence_is_left_as_it_is(waveform, response):
    waveform, response = waveform.astype(np.float32), response.astype(np.float32)

    np.testing.assert_array_equal(reverberate(waveform, response), waveform)


def test_simulated_rooms_are_functions_of_their_numbers():
    first, second = SimulatedRooms(**OPTIONS), SimulatedRooms(**OPTIONS)

    second.response(1)

    np.testing.assert_array_equal(first.response(2), second.response(2))
    assert not np.array_equal(first.response(0), first.response(1))
    assert first.response(1) is first.response(1)


def test_rooms_are_functions_of_the_generator():
    rooms, waveform = SimulatedRooms(**OPTIONS), tone(4000)

    heard = [rooms(waveform, np.random.default_rng(seed)) for seed in (5, 5, 6)]

    np.testing.assert_array_equal(heard[0], heard[1])
    assert not np.array_equal(heard[0], heard[2])
    assert not np.allclose(heard[0], waveform, atol=1e-3)


def test_recorded_room_that_is_one_impulse_changes_nothing(tmp_path):
    folder = write_sounds(tmp_path, {"dry.wav": np.r_[0.0, 0.5, 0.0].astype(np.float32)})
    rooms = RecordedRooms(folder=str(folder), sample_rate=RATE, probability=1.0, memory_mb=1.0)

    heard = rooms(tone(1000), np.random.default_rng(0))

    np.testing.assert_allclose(heard, tone(1000), atol=1e-5)


def test_rooms_of_probability_zero_change_nothing():
    waveform = tone(100)

    assert (
        SimulatedRooms(**(OPTIONS | {"probability": 0.0}))(waveform, np.random.default_rng(0))
        is waveform
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probability": -0.1}, r"probability must be in \[0, 1\], got -0.1"),
        ({"num_rooms": 0}, "num_rooms must be >= 1, got 0"),
        ({"rt60_s": (0.0, 0.5)}, r"rt60_s must be in \(0, 1.5\], got \[0.0, 0.5\]"),
        ({"rt60_s": (0.5, 2.0)}, r"rt60_s must be in \(0, 1.5\], got \[0.5, 2.0\]"),
        ({"rt60_s": (0.5, 0.2)}, "rt60_s must be low <= high"),
        ({"largest_m": [5, 4]}, "must be length, width and height"),
        ({"largest_m": [5, 4, 2]}, "must be low <= high"),
        ({"smallest_m": [0.5, 3, 2]}, "must be >= 1.0"),
    ],
)
def test_rooms_refuse_parameters_out_of_range(change, message):
    with pytest.raises(ValueError, match=message):
        SimulatedRooms(**(OPTIONS | change))
