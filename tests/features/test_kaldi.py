"""Cepstra and spectrograms against torchaudio's Kaldi and against the oracle."""

import numpy as np
import pytest
import torch
from front_ends import ANALYSIS, MEL, mfcc, spectrogram, speech_like
from oracles.features import cepstra, log_mel_frame, power_frame, window_at
from torchaudio.compliance import kaldi

KALDI = {"dither": 0.0, "snip_edges": False, "energy_floor": 0.0}
STARTS = [160 * t + 80 - 200 for t in range(10)]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        ({"use_energy": True}, {"use_energy": True}),
        ({"lifter": 0.0}, {"cepstral_lifter": 0.0}),
        ({"lifter": 10.0, "num_ceps": 23}, {"cepstral_lifter": 10.0, "num_ceps": 23}),
        ({"n_mels": 40, "num_ceps": 20}, {"num_mel_bins": 40, "num_ceps": 20}),
    ],
)
def test_mfcc_equals_kaldi_compliance(rng, ours, theirs):
    waveform = speech_like(rng, 15234)

    features, lengths = mfcc(**ours)(waveform[None], torch.tensor([15234]))

    expected = kaldi.mfcc(waveform[None], high_freq=-400.0, **KALDI, **theirs)
    assert lengths.tolist() == [len(expected)]
    torch.testing.assert_close(features[0], expected, atol=5e-3, rtol=0)


def test_spectrogram_equals_kaldi_compliance(rng):
    waveform = speech_like(rng, 15234)

    features, _ = spectrogram()(waveform[None], torch.tensor([15234]))

    expected = kaldi.spectrogram(waveform[None], **KALDI)
    # Logarithms of the faintest bins multiply float32's noise.
    torch.testing.assert_close(features[0].exp(), expected.exp(), atol=1e-4, rtol=1e-3)
    assert float((features[0] - expected).abs().median()) < 1e-5


def test_mfcc_equals_the_float64_oracle(rng):
    waveform = speech_like(rng, 1600)

    features, _ = mfcc()(waveform[None], torch.tensor([1600]))

    options = {k: ANALYSIS[k] for k in ("sample_rate", "win_length", "n_fft")} | MEL
    samples = waveform.double().numpy()
    expected = [cepstra(log_mel_frame(samples, start, **options), 13, 22.0) for start in STARTS]
    np.testing.assert_allclose(features[0], expected, atol=2e-3)


def test_spectrogram_and_energy_equal_the_float64_oracle(rng):
    waveform = speech_like(rng, 1600)

    bins = spectrogram()(waveform[None], torch.tensor([1600]))[0][0]
    energies = mfcc(use_energy=True)(waveform[None], torch.tensor([1600]))[0][0, :, 0]

    samples = waveform.double().numpy()
    power = np.array([power_frame(samples, s, win_length=400, n_fft=512) for s in STARTS])
    by_hand = [np.log(np.square(window_at(samples, s, 400)).sum()) for s in STARTS]
    np.testing.assert_allclose(bins.exp()[:, 1:], power[:, 1:], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(bins[:, 0], by_hand, atol=1e-4)
    np.testing.assert_allclose(energies, by_hand, atol=1e-4)
