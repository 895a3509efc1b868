import numpy as np
import pytest
import torch

from asr.augment.augment import SpecAugment, WaveformAugment, add_noise, change_speed, warp_bands

SPEC = {
    "freq_masks": 2,
    "freq_width": 6,
    "time_masks": 2,
    "time_width": 10,
    "time_fraction": 0.2,
    "freq_warp": 0.0,
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def tone(num_samples, sample_rate=16000, frequency=440.0):
    return np.sin(2 * np.pi * frequency * np.arange(num_samples) / sample_rate).astype(np.float32)


def test_spec_augment_masks_at_most_what_was_asked():
    features = torch.ones(8, 100, 40)
    lengths = torch.tensor([100, 90, 50, 40, 30, 20, 10, 1])

    masked = SpecAugment(**SPEC)(features, lengths, generator())

    for row, length in enumerate(lengths.tolist()):
        bands = int((masked[row, :length].amax(0) == 0).sum())
        frames = int((masked[row, :length].amax(1) == 0).sum())
        assert bands <= 2 * 6
        assert frames <= 2 * min(10, int(0.2 * length))
    assert (masked == 0).any()


@pytest.mark.parametrize("move", [-3.0, 0.0, 2.5])
def test_warp_moves_the_middle_band_and_keeps_the_outermost(move):
    features = torch.arange(41.0).expand(2, 5, 41)

    warped = warp_bands(features, torch.tensor([move, 0.0]))

    torch.testing.assert_close(warped[1], features[1])
    torch.testing.assert_close(warped[0, :, [0, 40]], features[0, :, [0, 40]])
    where = np.interp(20.0, warped[0, 0].numpy(), np.arange(41))
    assert where == pytest.approx(20.0 + move, abs=0.1)
    assert (warped[0].diff() > 0).all()


def test_warp_of_one_band_changes_nothing():
    features = torch.randn(2, 3, 1)

    assert torch.equal(warp_bands(features, torch.tensor([1.0, -1.0])), features)


def test_spec_augment_follows_its_generator():
    features, lengths = torch.ones(4, 50, 20), torch.full((4,), 50)
    augment = SpecAugment(**SPEC)

    first = augment(features, lengths, generator(1))

    assert torch.equal(first, augment(features, lengths, generator(1)))
    assert not torch.equal(first, augment(features, lengths, generator(2)))


def test_spec_augment_without_masks_changes_nothing():
    features = torch.randn(3, 20, 10)
    augment = SpecAugment(**(SPEC | {"freq_masks": 0, "time_masks": 0}))

    assert torch.equal(augment(features, torch.full((3,), 20), generator()), features)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"freq_masks": -1}, "freq_masks must be >= 0, got -1"),
        ({"time_fraction": 1.5}, r"time_fraction must be in \[0, 1\], got 1.5"),
    ],
)
def test_spec_augment_refuses_parameters_out_of_range(change, message):
    with pytest.raises(ValueError, match=message):
        SpecAugment(**(SPEC | change))


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_speed_changes_length_and_pitch(factor):
    faster = change_speed(tone(16000), factor)

    assert abs(len(faster) - 16000 / factor) <= 1
    peak = np.abs(np.fft.rfft(faster)).argmax() * 16000 / len(faster)
    assert peak == pytest.approx(440 * factor, abs=2)


def test_speed_one_changes_nothing():
    waveform = tone(100)

    assert change_speed(waveform, 1.0) is waveform


def test_noise_has_the_ratio_that_was_asked(rng):
    waveform = tone(160000)

    noise = add_noise(waveform, 10.0, rng) - waveform

    ratio = 10 * np.log10(np.mean(waveform**2) / np.mean(noise**2))
    assert ratio == pytest.approx(10.0, abs=0.1)


@pytest.mark.parametrize("size", [0, 100])
def test_noise_leaves_silence_silent(rng, size):
    assert not add_noise(np.zeros(size, np.float32), 10.0, rng).any()


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
def test_duration_foretells_what_augmentation_makes(seed):
    augment, waveform = waveform_augment(), tone(8000)

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


def test_nothing_asked_changes_nothing(rng):
    augment = waveform_augment(speeds=[1.0], gain_db=0.0, noise_snr_db=None, pad_probability=0.0)

    np.testing.assert_array_equal(augment(tone(100), rng), tone(100))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample_rate": 0}, "sample_rate must be >= 1, got 0"),
        ({"pad_s": -1.0}, "pad_s must be >= 0, got -1.0"),
        ({"pad_probability": 1.1}, r"pad_probability must be in \[0, 1\], got 1.1"),
        ({"pad_noise_db": (-40.0, -60.0)}, "pad_noise_db must be low <= high"),
        ({"speeds": []}, "speeds must be one or more factors"),
        ({"speeds": [3.0]}, r"factors in \[0.5, 2\], got \[3.0\]"),
        ({"gain_db": -1.0}, "gain_db must be >= 0, got -1.0"),
        ({"noise_snr_db": (20.0, 10.0)}, "noise_snr_db must be low <= high"),
        ({"noise_probability": 2.0}, r"noise_probability must be in \[0, 1\], got 2.0"),
    ],
)
def test_waveform_augment_refuses_parameters_out_of_range(change, message):
    with pytest.raises(ValueError, match=message):
        waveform_augment(**change)


def test_masks_and_warps_of_bands_treat_deltas_as_their_statics():
    augment = SpecAugment(**(SPEC | {"freq_warp": 3.0, "time_masks": 0}))
    bands = torch.rand(4, 30, 20) + 0.1

    alone = augment(bands, torch.full((4,), 30), generator(), num_bands=20)
    beside = augment(bands.repeat(1, 1, 3), torch.full((4,), 30), generator(), num_bands=20)

    assert (alone == 0).any()
    torch.testing.assert_close(beside, alone.repeat(1, 1, 3))


def test_features_that_are_no_bands_are_masked_over_time_alone():
    augment = SpecAugment(**(SPEC | {"freq_warp": 3.0, "time_fraction": 1.0}))
    features = torch.rand(4, 50, 20) + 0.1

    masked = augment(features, torch.full((4,), 50), generator(), num_bands=0)

    is_masked = masked == 0
    assert is_masked.any()
    assert torch.equal(is_masked.all(2), is_masked.any(2))
    assert torch.equal(masked[~is_masked], features[~is_masked])
