import numpy as np
import pytest
from sounds import tone

from asr.augment import TelephoneLine, WaveformAugment

LINE = TelephoneLine(sample_rate=16000, probability=0.5, band_hz=(300.0, 3400.0), codings=["ulaw"])


def waveform_augment(**changes):
    options = {
        "speeds": [0.9, 1.0, 1.1],
        "gain_db": 6.0,
        "noise_snr_db": (10.0, 40.0),
        "noise_probability": 0.5,
        "sample_rate": 16000,
        "pad_s": 3.0,
        "pad_probability": 0.5,
        "pad_noise_db": (-60.0, -60.0),
    }
    return WaveformAugment(**(options | changes))


def test_waveform_augment_is_a_function_of_its_generator():
    augment, waveform = waveform_augment(), tone(8000)

    first = augment(waveform, np.random.default_rng(3))

    np.testing.assert_array_equal(first, augment(waveform, np.random.default_rng(3)))
    assert first.dtype == np.float32
    assert (waveform == tone(8000)).all()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("tempos", "shift_s"), [([1.0], 0.0), ([0.8, 1.3], 0.2)])
def test_duration_foretells_what_augmentation_makes(seed, tempos, shift_s):
    augment = waveform_augment(tempos=tempos, shift_s=shift_s, line=LINE)
    waveform = tone(8000)

    augmented = augment(waveform, np.random.default_rng(seed))

    seconds = augment.duration(0.5, np.random.default_rng(seed))
    assert abs(len(augmented) - 16000 * seconds) <= 3


def test_padding_leaves_the_speech_as_it_is_and_varies_on_both_sides():
    augment = waveform_augment(
        speeds=[1.0], gain_db=0.0, noise_snr_db=None, pad_probability=1.0, pad_noise_db=(-60, -60)
    )
    waveform = np.full(1600, 0.5, np.float32)

    padded = [augment(waveform, np.random.default_rng(seed)) for seed in range(200)]

    leads = np.array([int(np.argmax(samples == 0.5)) for samples in padded])
    trails = np.array([len(s) - 1600 - lead for s, lead in zip(padded, leads, strict=True)])
    for lengths in (leads, trails):
        assert 0 <= lengths.min() < 0.3 * 16000
        assert 2.7 * 16000 < lengths.max() <= 3.0 * 16000
    silences = [np.r_[s[:n], s[n + 1600 :]] for s, n in zip(padded, leads, strict=True)]
    assert all((s[n : n + 1600] == 0.5).all() for s, n in zip(padded, leads, strict=True))
    noisy = [silence for silence in silences if silence.any()]
    assert 60 < len(noisy) < 140
    assert np.std(np.concatenate(noisy)) == pytest.approx(1e-3, rel=0.01)


def test_padding_comes_as_often_as_was_asked():
    augment = waveform_augment(speeds=[1.0], pad_probability=0.2)

    changes = [augment.draw(np.random.default_rng(seed)) for seed in range(2000)]

    for side in ("lead_s", "trail_s"):
        assert np.mean([getattr(c, side) > 0 for c in changes]) == pytest.approx(0.2, abs=0.03)


def test_shifted_speech_begins_anywhere_within_the_limit():
    augment = waveform_augment(speeds=[1.0], pad_probability=0.0, shift_s=0.08)

    changes = [augment.draw(np.random.default_rng(seed)) for seed in range(200)]

    leads = np.array([change.lead_s for change in changes])
    assert 0 <= leads.min() < 0.004
    assert 0.076 < leads.max() < 0.08
    assert leads.mean() == pytest.approx(0.04, abs=0.005)
    assert not any(change.trail_s for change in changes)


def test_one_tempo_draws_nothing():
    """Runs of before there was a choice of tempo are repeated to the last sample."""
    seeds = [np.random.default_rng(3) for _ in range(2)]

    waveform_augment().draw(seeds[0])
    waveform_augment(tempos=[1.3]).draw(seeds[1])

    assert seeds[0].random() == seeds[1].random()


def test_line_comes_last():
    augment = waveform_augment(
        speeds=[1.0], noise_snr_db=None, pad_probability=1.0, pad_noise_db=(-20.0, -20.0), line=LINE
    )

    heard = [augment(tone(4000), np.random.default_rng(seed)) for seed in range(20)]

    spectra = [np.square(np.abs(np.fft.rfft(samples))) for samples in heard]
    high = [s[len(s) // 2 :].sum() / s.sum() for s in spectra]  # above 4 kHz
    assert 3 < sum(share < 1e-4 for share in high) < 17


def test_nothing_asked_changes_nothing(rng):
    augment = waveform_augment(speeds=[1.0], gain_db=0.0, noise_snr_db=None, pad_probability=0.0)

    np.testing.assert_array_equal(augment(tone(100), rng), tone(100))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample_rate": 0}, "sample_rate must be >= 1, got 0"),
        ({"pad_s": -1.0}, "pad_s must be >= 0, got -1.0"),
        ({"shift_s": -1.0}, "shift_s must be >= 0, got -1.0"),
        ({"pad_probability": 1.1}, r"pad_probability must be in \[0, 1\], got 1.1"),
        ({"pad_noise_db": (-40.0, -60.0)}, "pad_noise_db must be low <= high"),
        ({"speeds": []}, "speeds must be one or more factors"),
        ({"speeds": [3.0]}, r"factors in \[0.5, 2\], got \[3.0\]"),
        ({"tempos": [1.0, 0.4]}, r"tempos must be one or more factors in \[0.5, 2\]"),
        ({"gain_db": -1.0}, "gain_db must be >= 0, got -1.0"),
        ({"noise_snr_db": (20.0, 10.0)}, "noise_snr_db must be low <= high"),
        ({"noise_probability": 2.0}, r"noise_probability must be in \[0, 1\], got 2.0"),
    ],
)
def test_waveform_augment_refuses_parameters_out_of_range(change, message):
    with pytest.raises(ValueError, match=message):
        waveform_augment(**change)
