"""Room, noise and level of the embedded corpus."""

import math

import numpy as np
import pytest

from asr.synth import recording


def test_minimum_frames_counts_repeats():
    assert recording.minimum_frames("abc") == 3
    assert recording.minimum_frames("aab") == 4
    assert recording.minimum_frames("aaa") == 5


def test_resample_exactly_keeps_a_tone():
    tone = 10_000 * np.sin(2 * np.pi * 1000 * np.arange(22_050) / 22_050)
    resampled = recording.resample_exactly(tone.astype(np.int16))
    expected = 10_000 / 32_768 * np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    assert resampled.shape == (16_000,)
    # The ends ring: a tone that starts at once has no band limit.
    np.testing.assert_allclose(resampled[200:-200], expected[200:-200], atol=1e-3)


@pytest.mark.parametrize("slope", [0, 1, 2])
def test_noise_has_unit_power_and_its_slope(slope, rng):
    noise = recording.draw_noise(160_000, slope, rng)
    power = np.abs(np.fft.rfft(noise)) ** 2
    frequencies = np.fft.rfftfreq(noise.size, 1 / 16_000)
    low, high = (power[(frequencies > f) & (frequencies < 1.5 * f)].mean() for f in (250.0, 4000.0))
    assert np.mean(noise**2) == pytest.approx(1.0)
    assert 10 * math.log10(low / high) == pytest.approx(slope * 10 * math.log10(16), abs=0.5)


def test_echo_of_a_click_falls_60_db_in_the_reverberation_time(rng):
    acoustics = recording.draw_acoustics(rng)._replace(rt60_s=0.4, direct_to_echo_db=6.0)
    click = np.zeros(8000)
    click[0] = 1.0
    echo = recording.add_echo(click, acoustics, rng) - click
    assert np.sum(echo**2) == pytest.approx(10**-0.6, rel=1e-6)
    early, late = np.mean(echo[800:1600] ** 2), np.mean(echo[4000:4800] ** 2)
    assert 10 * math.log10(early / late) == pytest.approx(60 * 0.2 / 0.4, abs=2.0)


def test_render_reaches_signal_to_noise_ratio_and_level(rng):
    speech = np.sin(2 * np.pi * 300 * np.arange(16_000) / 16_000)
    acoustics = recording.draw_acoustics(rng)._replace(
        lead_s=0.2, trail_s=0.3, rt60_s=0.0, noise_slope=0, snr_db=20.0, level_db=-20.0
    )
    waveform = recording.render(speech, acoustics, rng)
    assert waveform.shape == (24_000,)
    noise_power = np.mean(waveform[:3200] ** 2)
    assert 10 * math.log10(noise_power) == pytest.approx(-40.0, abs=0.5)
    assert 10 * math.log10(np.mean(waveform[3200:19_200] ** 2)) == pytest.approx(-20.0, abs=0.2)


def test_render_never_clips(rng):
    speech = np.zeros(16_000)
    speech[::4000] = 1.0
    acoustics = recording.draw_acoustics(rng)._replace(level_db=-5.0)
    assert np.abs(recording.render(speech, acoustics, rng)).max() == pytest.approx(0.95)


def test_trim_silence_keeps_what_is_between():
    samples = np.array([0, 1, 0, 1000, 0, -500, 9, 0], dtype=np.int16)
    np.testing.assert_array_equal(recording.trim_silence(samples), [1000, 0, -500])


def test_trim_silence_refuses_silence():
    with pytest.raises(RuntimeError, match="silence"):
        recording.trim_silence(np.zeros(100, dtype=np.int16))
