import numpy as np
import pytest
from sounds import level_db, tone

from asr.augment import TelephoneLine
from asr.augment.codec import CODINGS, band_pass, code

OPTIONS = {"sample_rate": 16000, "probability": 1.0, "band_hz": (300.0, 3400.0)}


def line(**changes):
    return TelephoneLine(**(OPTIONS | {"codings": ["ulaw"]} | changes))


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("sample_rate", [8000, 11025, 16000])
def test_line_keeps_length_and_speech_band(coding, sample_rate):
    waveform = 0.3 * tone(sample_rate, sample_rate, 1000.0)

    heard = line(codings=[coding], sample_rate=sample_rate)(waveform, np.random.default_rng(0))

    assert heard.dtype == np.float32
    assert len(heard) == len(waveform)
    assert level_db(heard) == pytest.approx(level_db(waveform), abs=1.0)


@pytest.mark.parametrize("frequency", [100.0, 3700.0, 6000.0])
def test_line_lets_nothing_through_outside_its_band(frequency):
    waveform = 0.3 * tone(16000, 16000, frequency)

    heard = line()(waveform, np.random.default_rng(0))

    assert level_db(heard) < level_db(waveform) - 30


@pytest.mark.parametrize(
    ("frequency", "gain"),
    [(200, 0), (250, 0), (300, 0.5), (350, 1), (3350, 1), (3400, 0.5), (3450, 0)],
)
def test_gain_at_the_edges_of_the_band(frequency, gain):
    waveform = tone(8000, 8000, frequency)

    passed = band_pass(waveform, (300.0, 3400.0))

    assert len(passed) == 8000
    np.testing.assert_allclose(passed[600:-600], gain * waveform[600:-600], atol=5e-4)


@pytest.mark.parametrize("coding", ["ulaw", "alaw"])
def test_laws_of_g711_have_256_levels_near_the_input(coding):
    ramp = np.linspace(-1, 1, 20001, dtype=np.float32)

    coded = code(ramp, coding)

    assert len(np.unique(coded)) in (255, 256)  # the u-law has two zeros
    # A step is 1/16 of what its segment begins with; libsndfile's A-law goes to the next one below
    # zero.
    within = np.abs(ramp) < 0.98
    assert (np.abs(coded - ramp)[within] <= (np.abs(ramp)[within] + 2.0**-7) / 16).all()


def test_u_law_is_that_of_the_recommendation():
    # G.711, table 2a: decision values 0, 1, 3, ..., 95, 103, ..., 3935, 4063, 4319, ..., 8159 with
    # 0, 2, ..., 99, ..., 3999, 4191, ..., 8031 between; 8159 is all but full scale.
    values = np.array([0.4, 2.2, 100.0, 4062.0, 4064.0, 8031.0]) / 8192

    coded = code(values.astype(np.float32), "ulaw") * 8192

    np.testing.assert_allclose(coded, [0, 2, 99, 3999, 4191, 8031], atol=1e-3)


def test_beyond_full_scale_a_line_saturates():
    coded = code(np.array([3.0, -3.0], np.float32), "ulaw")

    np.testing.assert_allclose(np.abs(coded), 0.98, atol=0.01)
    assert coded[0] > 0 > coded[1]


def test_codings_are_drawn_by_the_generator():
    lines, waveform = line(codings=["ulaw", "alaw", "gsm"]), 0.3 * tone(8000)

    heard = [lines(waveform, np.random.default_rng(seed)) for seed in range(12)]

    assert len({samples.tobytes() for samples in heard}) == 3
    np.testing.assert_array_equal(heard[7], lines(waveform, np.random.default_rng(7)))


@pytest.mark.parametrize("size", [0, 1, 159])
def test_little_speech_comes_out_as_long_as_it_went_in(size):
    for coding in CODINGS:
        waveform = 0.1 * tone(size)
        assert len(line(codings=[coding])(waveform, np.random.default_rng(0))) == size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample_rate": 4000}, "sample_rate >= 8000, got 4000"),
        ({"band_hz": (300.0, 5000.0)}, r"band_hz must be at most 4000, got \[300.0, 5000.0\]"),
        ({"band_hz": (-1.0, 3000.0)}, "band_hz must be >= 0.0"),
        ({"codings": []}, "codings must be one or more of ulaw, alaw, gsm"),
        ({"codings": ["amr"]}, r"codings must be one or more of ulaw, alaw, gsm, got \['amr'\]"),
        ({"probability": 2}, r"probability must be in \[0, 1\], got 2"),
    ],
)
def test_line_refuses_parameters_out_of_range(change, message):
    with pytest.raises(ValueError, match=message):
        line(**change)
