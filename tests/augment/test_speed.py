import numpy as np
import pytest
from sounds import level_db, pitch, tone

from asr.augment.speed import change_speed, change_tempo


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_speed_changes_length_and_pitch(factor):
    faster = change_speed(tone(16000), factor)

    assert abs(len(faster) - 16000 / factor) <= 1
    assert pitch(faster) == pytest.approx(440 * factor, abs=2)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 2.0])
def test_tempo_changes_length_and_keeps_pitch_and_loudness(factor):
    faster = change_tempo(tone(16000), factor, 16000)

    assert len(faster) == np.ceil(16000 / factor)
    assert faster.dtype == np.float32
    assert pitch(faster) == pytest.approx(440, abs=2)
    assert level_db(faster[1000:-1000]) == pytest.approx(level_db(tone(16000)), abs=0.5)


def test_tempo_moves_what_is_said_in_time():
    waveform = np.concatenate([np.zeros(8000, np.float32), tone(8000)])

    faster = change_tempo(waveform, 2.0, 16000)

    loud = np.square(faster) > 0.1
    assert np.argmax(loud) == pytest.approx(4000, abs=300)


@pytest.mark.parametrize("change", [change_speed, lambda w, f: change_tempo(w, f, 16000)])
def test_factor_one_changes_nothing(change):
    waveform = tone(2000)

    assert change(waveform, 1.0) is waveform


@pytest.mark.parametrize("size", [0, 1, 256, 401])
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_tempo_of_little(size, factor):
    assert len(change_tempo(tone(size), factor, 16000)) == np.ceil(size / factor)


def test_tempo_of_silence_is_silence():
    assert not change_tempo(np.zeros(16000, np.float32), 1.3, 16000).any()
