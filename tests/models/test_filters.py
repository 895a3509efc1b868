import math

import numpy as np
import pytest
import torch
from waveform_networks import HOP, KINDS, LENGTHS, filter_bank, padded_frames

from asr.features.mel import mel_points
from asr.models.filters import FLOOR, sinc_filters


def sinc_by_hand(f1, f2, size):
    """Equation 4 of Ravanelli and Bengio under their Hamming window, term by term."""

    def ideal(f, n):
        return 2 * f * (1.0 if n == 0 else math.sin(2 * math.pi * f * n) / (2 * math.pi * f * n))

    taps = []
    for i in range(size):
        n = i - (size - 1) // 2
        window = 0.54 - 0.46 * math.cos(2 * math.pi * i / (size - 1))
        taps.append((ideal(f2, n) - ideal(f1, n)) * window)
    return taps


def test_sinc_filters_equal_their_equation():
    bands = torch.tensor([[0.05, 0.1], [0.2, 0.21], [0.01, 0.5]], dtype=torch.float64)

    filters = sinc_filters(bands, 251)

    for taps, (f1, f2) in zip(filters, bands.tolist(), strict=True):
        np.testing.assert_allclose(taps, sinc_by_hand(f1, f2, 251), atol=1e-12)
    torch.testing.assert_close(filters, filters.flip(-1))


def test_sinc_filters_pass_their_band_and_stop_the_rest():
    bands = torch.tensor([[0.0, 0.1], [0.1, 0.2], [0.3, 0.5]], dtype=torch.float64)

    response = torch.fft.rfft(sinc_filters(bands, 251), n=4096).abs()  # (K, 2049)

    frequency = torch.arange(2049) / 4096
    edge = 4 / 251  # of the Hamming window's main lobe
    for gain, (low, high) in zip(response, bands.tolist(), strict=True):
        passed = (frequency > low + edge) | torch.tensor(low == 0)
        passed &= (frequency < high - edge) | torch.tensor(high == 0.5)
        stopped = (frequency < low - edge) | (frequency > high + edge)
        assert (gain[passed] - 1).abs().max() < 0.01
        assert gain[stopped].max() < 0.01
        # Half the gain at the edges themselves.
        inner = [f for f in (low, high) if 0 < f < 0.5]
        for f in inner:
            assert float(gain[round(f * 4096)]) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_filters_begin_side_by_side_on_the_mel_scale(kind):
    bank = filter_bank(kind, size=251)

    response = torch.fft.rfft(bank.impulse_responses(), n=4096).abs()

    edges = mel_points(13, 50.0, 3800.0)
    strongest = response.argmax(1) / 4096 * 8000
    assert ((strongest > edges[:-1] - 40) & (strongest < edges[1:] + 40)).all()
    mel = 1127 * torch.log1p(edges / 700)
    torch.testing.assert_close(mel.diff(), mel.diff().mean().expand(12))


@pytest.mark.parametrize("kind", KINDS)
def test_random_filters_follow_the_seed_and_are_none_of_the_mel_scale(kind):
    first, second, mel = (
        filter_bank(kind, init=init).impulse_responses() for init in ("random", "random", "mel")
    )

    assert torch.isfinite(first).all()
    assert torch.equal(first, second)
    assert not torch.allclose(first, mel)


def test_bands_stay_bands_whatever_is_learnt():
    bank = filter_bank("sinc")
    with torch.no_grad():
        bank.low_khz[:4] = torch.tensor([-1.0, 9.0, 0.0, 1.0])
        bank.width_khz[:4] = torch.tensor([-0.5, 9.0, 0.0, 9.0])

    bands = bank.bands()

    expected = [[1000.0, 1500.0], [3950.0, 4000.0], [0.0, 50.0], [1000.0, 4000.0]]
    torch.testing.assert_close(bands[:4], torch.tensor(expected))


@pytest.mark.parametrize("kind", KINDS)
def test_levels_are_the_largest_magnitudes_of_a_frame(kind):
    bank = filter_bank(kind).eval()
    frames = padded_frames()

    levels = bank(frames, LENGTHS)

    assert levels.shape == (4, 14, 12)
    taps = bank.impulse_responses().detach().double().numpy()
    for row, length in enumerate(LENGTHS):
        samples = frames[row, :length].flatten().double().numpy()
        for k in range(12):
            # Output n is centred on the n-th sample; every fifth counts, from the middle of five.
            filtered = np.abs(np.convolve(samples, taps[k], mode="full")[25:-25])[2::5]
            expected = np.log(filtered.reshape(length, HOP // 5).max(axis=1) + FLOOR)
            scale = (1 + bank.norm.eps) ** -0.5  # of batch norm that has seen nothing
            np.testing.assert_allclose(
                levels[row, :length, k].detach(), expected * scale, atol=1e-4
            )
        assert (levels[row, length:] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_filters_learn(kind):
    bank = filter_bank(kind)

    bank(padded_frames(), LENGTHS).square().mul(torch.arange(12.0)).sum().backward()

    for name, parameter in bank.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name


def test_gradient_of_bands_is_that_of_their_equation():
    bands = torch.tensor([[0.05, 0.1], [0.2, 0.3]], dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 31, dtype=torch.float64)

    (sinc_filters(bands, 31) * weights).sum().backward()

    assert bands.grad is not None
    for place in ((0, 0), (0, 1), (1, 0), (1, 1)):
        step = torch.zeros(2, 2, dtype=torch.float64)
        step[place] = 1e-6
        above, below = (sinc_filters(bands.detach() + sign * step, 31) for sign in (1, -1))
        slope = float(((above - below) * weights).sum()) / 2e-6
        assert float(bands.grad[place]) == pytest.approx(slope, rel=1e-6)


def test_a_filter_as_long_as_its_stride_sees_each_sample_once():
    bank = filter_bank("conv", size=5).eval()
    with torch.no_grad():
        bank.weight.fill_(1.0)

    levels = bank(torch.ones(1, 2, HOP), torch.tensor([2]))

    expected = math.log(5 + FLOOR) * (1 + bank.norm.eps) ** -0.5
    torch.testing.assert_close(levels, torch.full((1, 2, 12), expected))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_filters": 0}, "num_filters must be >= 1, got 0"),
        ({"size": 50}, r"size must be odd, 1\.\.16384 samples, got 50"),
        ({"size": 10**9 + 1}, r"size must be odd, 1\.\.16384 samples, got 1000000001"),
        ({"stride": 7}, "stride must divide hop_length=40 and be <= size=51, got 7"),
        ({"size": 3}, "stride must divide hop_length=40 and be <= size=3, got 5"),
        ({"init": "bark"}, "init must be mel or random, got 'bark'"),
        ({"f_max": 5000.0}, "f_min < f_max <= sample_rate / 2 must hold, got 50.0, 5000.0, 8000"),
    ],
)
def test_filter_banks_refuse_parameters_out_of_range(kind, change, message):
    with pytest.raises(ValueError, match=message):
        filter_bank(kind, **change)
