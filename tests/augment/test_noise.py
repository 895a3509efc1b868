import numpy as np
import pytest
from sounds import level_db, tone, write_sounds

from asr.augment import RecordedNoise
from asr.augment.noise import active_power, add_white_noise, mix

OPTIONS = {"sample_rate": 16000, "snr_db": (10.0, 10.0), "probability": 1.0, "memory_mb": 16.0}


def recorded_noise(folder, **changes):
    return RecordedNoise(folder=str(folder), **(OPTIONS | changes))


@pytest.fixture
def folder(tmp_path, rng):
    noise = rng.normal(0, 0.1, (2, 48000)).astype(np.float32)
    return write_sounds(tmp_path / "noise", {"b.wav": noise[0], "deep/down/a.wav": noise[1]})


def test_white_noise_has_the_ratio_that_was_asked(rng):
    waveform = tone(160000)

    noise = add_white_noise(waveform, 10.0, rng) - waveform

    assert level_db(waveform) - level_db(noise) == pytest.approx(10.0, abs=0.1)


@pytest.mark.parametrize("size", [0, 100])
def test_white_noise_leaves_silence_silent(rng, size):
    assert not add_white_noise(np.zeros(size, np.float32), 10.0, rng).any()


def test_active_power_is_that_of_the_stretches_that_sound():
    # A tone of amplitude 0.1 has a power of 0.005; between, 60 dB below it, there is nothing.
    speech = 0.1 * tone(16000)
    with_pauses = np.concatenate([np.full(32000, 1e-4, np.float32), speech, np.zeros(5000)])

    assert active_power(with_pauses, 16000) == pytest.approx(0.005, rel=1e-3)
    assert active_power(speech, 16000) == pytest.approx(0.005, rel=1e-3)


@pytest.mark.parametrize("size", [0, 1, 319, 320, 321])
def test_active_power_of_little(size):
    assert active_power(np.full(size, 0.5), 16000) == (0.25 if size else 0.0)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
@pytest.mark.parametrize("pause", [0, 32000])
def test_recorded_noise_has_the_ratio_to_active_speech(folder, snr_db, pause):
    speech = 0.1 * tone(16000)
    waveform = np.concatenate([speech, np.zeros(pause, np.float32)])

    noisy = recorded_noise(folder, snr_db=(snr_db, snr_db))(waveform, np.random.default_rng(1))

    assert len(noisy) == len(waveform)
    assert noisy.dtype == np.float32
    assert level_db(speech) - level_db(noisy - waveform) == pytest.approx(snr_db, abs=0.2)


def test_pauses_of_the_noise_make_it_no_louder():
    speech, bark = tone(16000), np.zeros(16000, np.float32)
    bark[3200:4800] = 0.01 * tone(1600, frequency=1000)

    noise = mix(speech, bark, 10.0, 16000) - speech

    assert level_db(speech) - level_db(noise[3200:4800]) == pytest.approx(10.0, abs=0.1)


@pytest.mark.parametrize(
    ("speech", "noise"), [(np.zeros(800), np.ones(800)), (np.ones(800), np.zeros(800))]
)
def test_silence_of_either_adds_nothing(speech, noise):
    np.testing.assert_array_equal(mix(speech, noise, 0.0, 16000), speech)


def test_noise_shorter_than_the_speech_is_heard_again(tmp_path):
    pattern = np.r_[0.5, -0.25, 0.125, 0.75].astype(np.float32)
    folder = write_sounds(tmp_path, {"a.wav": pattern})
    waveform = tone(1600)

    noise = recorded_noise(folder)(waveform, np.random.default_rng(0)) - waveform

    assert np.abs(noise[4:] - noise[:-4]).max() < 1e-6
    assert np.std(noise) > 0.01


def test_noise_is_a_function_of_its_generator(folder):
    waveform = tone(16000)
    first, second = recorded_noise(folder), recorded_noise(folder, memory_mb=1e-5)

    for seed in range(10):
        noisy = first(waveform, np.random.default_rng(seed))
        np.testing.assert_array_equal(noisy, second(waveform, np.random.default_rng(seed)))
    assert not np.array_equal(noisy, first(waveform, np.random.default_rng(99)))


def test_noise_comes_as_often_as_was_asked(folder):
    noise, waveform = recorded_noise(folder, probability=0.3), tone(100)

    changed = [noise(waveform, np.random.default_rng(n)) is not waveform for n in range(1000)]

    assert np.mean(changed) == pytest.approx(0.3, abs=0.04)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"snr_db": (20.0, 10.0)}, r"snr_db must be low <= high, got \[20.0, 10.0\]"),
        ({"snr_db": (20.0,)}, r"snr_db must be low <= high, got \[20.0\]"),
        ({"probability": 1.5}, r"probability must be in \[0, 1\], got 1.5"),
        ({"memory_mb": 0.0}, "memory_mb must be > 0, got 0.0"),
    ],
)
def test_noise_refuses_parameters_out_of_range(folder, change, message):
    with pytest.raises(ValueError, match=message):
        recorded_noise(folder, **change)
