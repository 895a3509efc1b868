import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sounds import tone

from asr.augment import WaveformAugment
from asr.augment.silence import add_silence, cut_silence

RATE = 16000


def start():
    return np.random.default_rng(0)


def hum(length, db):
    return np.float32(10 ** (db / 20) * np.sqrt(2)) * tone(length) / np.abs(tone(RATE)).max()


@pytest.mark.parametrize(("db", "expected"), [(-31, 3200), (-29, 9600)])
def test_what_is_thirty_decibels_below_the_loudest_is_quiet(db, expected):
    quiet, speech = hum(3200, db - 10), hum(3200, -10)

    cut = cut_silence(np.concatenate([quiet, speech, quiet]), RATE)

    assert len(cut) == expected
    if db == -31:
        np.testing.assert_array_equal(cut, speech)


def test_pauses_between_words_stay():
    said = np.concatenate([hum(1600, -10), np.zeros(8000, np.float32), hum(1600, -20)])

    np.testing.assert_array_equal(
        cut_silence(add_silence(said, 640, 960, -80, start()), RATE), said
    )


@pytest.mark.parametrize("length", [0, 1, 319, 320, 321, 1000])
def test_what_has_no_quiet_ends_stays_as_it_is(length):
    for waveform in (np.zeros(length, np.float32), np.full(length, 0.5, np.float32)):
        np.testing.assert_array_equal(cut_silence(waveform, RATE), waveform)


@given(st.lists(st.integers(-9, 0), min_size=1, max_size=12), st.integers(0, 319))
def test_first_and_last_active_stretch_are_kept_with_all_between(steps, rest):
    levels = [10.0 ** (0.45 * step) for step in [*steps, steps[-1]]]  # 9 dB a step
    waveform = np.repeat(levels, [320] * len(steps) + [rest])

    cut = cut_silence(waveform, RATE)

    loud = [n for n, step in enumerate(steps) if step >= max(steps) - 3]
    end = None if loud[-1] == len(steps) - 1 else 320 * (loud[-1] + 1)
    np.testing.assert_array_equal(cut, waveform[320 * loud[0] : end])


def test_quiet_ends_are_cut_as_often_as_asked_and_never_make_an_utterance_longer():
    options = {"speeds": [1.0], "gain_db": 0.0, "noise_snr_db": None, "noise_probability": 0.0}
    options |= {"pad_s": 0.0, "pad_probability": 0.0, "pad_noise_db": (-60.0, -60.0)}
    augment = WaveformAugment(sample_rate=RATE, cut_probability=0.3, **options)
    waveform = add_silence(hum(3200, -10), 1600, 1600, -np.inf, start())

    lengths = [len(augment(waveform, np.random.default_rng(seed))) for seed in range(400)]

    assert set(lengths) == {3200, 6400}
    assert 0.2 < lengths.count(3200) / 400 < 0.4
    assert augment.duration(0.4, start()) == 0.4


def test_share_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"cut_probability must be in \[0, 1\], got 1.5"):
        WaveformAugment(
            sample_rate=RATE, speeds=[1.0], gain_db=0.0, noise_snr_db=None, noise_probability=0.0,
            pad_s=0.0, pad_probability=0.0, pad_noise_db=(-60.0, -60.0), cut_probability=1.5,
        )  # fmt: skip
