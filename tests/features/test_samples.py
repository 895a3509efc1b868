"""Samples as features: nothing is lost, and padding is in no statistic."""

import pytest
import torch

from asr.features import Samples

LENGTHS = torch.tensor([500, 1, 0, 320])


def padded(garbage):
    waveforms = 0.1 * torch.randn(4, 700, generator=torch.Generator().manual_seed(0)) + 0.02
    for row, length in enumerate(LENGTHS):
        waveforms[row, length:] = garbage
    return waveforms


@pytest.mark.parametrize("normalize", [True, False])
def test_samples_follow_their_definition_whatever_stands_in_the_padding(normalize):
    front_end = Samples(sample_rate=16000, normalize=normalize)

    samples, lengths = front_end(padded(float("nan")), LENGTHS)

    assert samples.shape == (4, 500, 1)
    assert lengths.tolist() == front_end.num_frames(LENGTHS).tolist() == LENGTHS.tolist()
    for row, length in enumerate(LENGTHS):
        expected = padded(0.0)[row, :length].double()
        if normalize and length:
            variance = expected.var(correction=0)
            expected = (expected - expected.mean()) / (variance + 1e-7).sqrt()
        torch.testing.assert_close(samples[row, :length, 0].double(), expected, atol=1e-5, rtol=0)
        assert (samples[row, length:] == 0).all()


def test_silence_and_nothing_stay_finite():
    samples, _ = Samples(sample_rate=16000, normalize=True)(torch.zeros(1, 50), torch.tensor([50]))
    nothing, lengths = Samples(sample_rate=8000, normalize=True)(
        torch.zeros(2, 0), torch.tensor([0, 0])
    )

    assert (samples == 0).all()
    assert nothing.shape == (2, 0, 1)
    assert lengths.tolist() == [0, 0]


def test_pictures_have_a_frame_a_sample():
    time = torch.arange(640) / 16000
    waveforms = torch.sin(2 * torch.pi * 4000 * time)[None].repeat(2, 1)

    energies, lengths = Samples(sample_rate=16000, normalize=True).log_energies(
        waveforms, torch.tensor([640, 333])
    )

    assert energies.shape == (2, 640, 33)
    assert lengths.tolist() == [640, 333]
    # 33 bands up to 8 kHz: 4 kHz is the middle one.
    assert int(energies[0, 320].argmax()) == 16


def test_statistics_are_no_matter_and_a_rate_is():
    assert not Samples(sample_rate=16000, normalize=True).needs_fit
    with pytest.raises(ValueError, match="sample_rate must be >= 1, got 0"):
        Samples(sample_rate=0, normalize=True)
