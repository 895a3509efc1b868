import numpy as np
import pytest

from asr.audio import AudioError
from asr.synth import recording
from asr.synth.reading import draw_reading
from asr.synth.surroundings import Surroundings
from tests.sounds import level_db, tone, write_sounds

QUIET = 0.2  # seconds of silence before and after


def heard(surroundings, rng):
    """A tone of a second in its surroundings, all but noiseless."""
    acoustics = draw_reading(rng)._replace(
        lead_s=QUIET, trail_s=QUIET, noise_slope=0, snr_db=90.0, level_db=-20.0
    )
    speech = tone(16_000, frequency=300.0).astype(np.float64)
    return recording.render(speech, acoustics, rng, surroundings.changes())


def test_nothing_is_around_unless_asked(rng):
    waveform = heard(Surroundings(), rng)

    assert Surroundings().changes() == []
    assert level_db(waveform[:3200]) < -100
    assert level_db(waveform[-3200:]) < -100


def test_room_rings_on_after_the_speech_and_not_before(rng):
    waveform = heard(Surroundings(rooms=1.0), rng)

    assert level_db(waveform[:3200]) < -100
    assert level_db(waveform[-3200:-1600]) > -80


def test_noise_is_as_far_below_the_speech_as_drawn(rng, tmp_path):
    write_sounds(tmp_path, {"hum.wav": tone(32_000, frequency=1000.0)})
    surroundings = Surroundings(noise=tmp_path, noise_share=1.0, snr_db=(12.0, 12.0))
    waveform = heard(surroundings, rng)

    assert level_db(waveform[:3200]) == pytest.approx(-32.0, abs=0.2)


def test_shares_decide_how_often(tmp_path):
    write_sounds(tmp_path, {"hum.wav": tone(16_000)})
    changes = Surroundings(rooms=0.25, noise=tmp_path, noise_share=0.75).changes()

    assert [change.probability for change in changes] == [0.25, 0.75]


def test_parameters_know_the_noise_by_its_files_not_by_its_place(tmp_path):
    here = write_sounds(tmp_path / "here", {"hum.wav": tone(800)})
    there = write_sounds(tmp_path / "there", {"hum.wav": tone(800)})
    other = write_sounds(tmp_path / "other", {"hum.wav": tone(801)})
    first, second, third = (Surroundings(noise=n).parameters() for n in (here, there, other))

    assert first == second != third
    with pytest.raises(AudioError, match="is no folder of audio files"):
        Surroundings(noise=tmp_path / "nowhere").parameters()
