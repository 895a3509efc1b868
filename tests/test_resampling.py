import gc

import numpy as np
import pytest
import torch
import torchaudio

from asr.resampling import _resample_odd, resample
from tests.test_audio import sine


@pytest.mark.parametrize("source_rate", [8000, 11025, 22050, 44100, 48000])
def test_resample_keeps_a_tone(source_rate):
    resampled = resample(sine(1000, source_rate), source_rate, 16000)

    assert resampled.dtype == np.float32
    assert len(resampled) == -(-len(sine(1000, source_rate)) * 16000 // source_rate)
    inner = slice(400, 7600)
    np.testing.assert_allclose(resampled[inner], sine(1000, 16000)[inner], atol=5e-3)


def test_resample_removes_what_would_alias():
    resampled = resample(sine(11000, 32000), 32000, 16000)

    assert np.abs(resampled[200:-200]).max() < 0.01


def test_resample_of_a_batch_equals_one_by_one(rng):
    batch = rng.uniform(-1, 1, (3, 1000)).astype(np.float32)

    together = resample(batch, 8000, 16000)

    for row, alone in zip(together, batch, strict=True):
        np.testing.assert_allclose(row, resample(alone, 8000, 16000), atol=1e-6)


@pytest.mark.parametrize("source_rate", [8000, 14400, 22050, 44100])
@pytest.mark.parametrize("size", [1, 3000, 17000, 30000])
def test_resample_rounds_alike_with_any_number_of_threads(rng, source_rate, size):
    waveform = rng.uniform(-1, 1, size).astype(np.float32)

    def resampled(num_threads):
        torch.set_num_threads(num_threads)
        return resample(waveform, source_rate, 16000).tobytes()

    before = torch.get_num_threads()
    try:
        assert len({resampled(num_threads) for num_threads in (1, 2, 3)}) == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("source_rate", [11026, 16001, 44056, 655350])
def test_resample_keeps_a_tone_of_an_odd_rate(source_rate):
    resampled = resample(sine(1000, source_rate), source_rate, 16000)

    assert len(resampled) == -(-len(sine(1000, source_rate)) * 16000 // source_rate)
    inner = slice(400, 7600)
    np.testing.assert_allclose(resampled[inner], sine(1000, 16000)[inner], atol=5e-3)


@pytest.mark.parametrize(("source", "target"), [(441, 160), (160, 441), (7, 5), (1, 3), (13, 1)])
@pytest.mark.parametrize("size", [1, 2, 50, 3001])
def test_resampling_of_odd_rates_equals_torchaudio(rng, source, target, size):
    batch = rng.uniform(-1, 1, (2, size)).astype(np.float32)

    ours = _resample_odd(batch, source, target)

    # In double precision: in single its phases are off by 5e-6.
    exact = torch.from_numpy(batch.astype(np.float64))
    theirs = torchaudio.functional.resample(exact, source, target).numpy()
    np.testing.assert_allclose(ours, theirs, atol=5e-7)


def test_many_odd_rates_fill_no_cache():
    waveform = np.ones(100, np.float32)

    for source_rate in range(16001, 16049):
        resample(waveform, source_rate, 16000)
    for source_rate in range(8000, 48000, 500):
        resample(waveform, source_rate, 16000)

    cached = [o for o in gc.get_objects() if type(o) is torchaudio.transforms.Resample]
    assert sum(item.kernel.numel() for item in cached if hasattr(item, "kernel")) < 2**23


@pytest.mark.parametrize(("source_rate", "rate"), [(0, 16000), (16000, -1)])
def test_resample_refuses_impossible_rates(source_rate, rate):
    with pytest.raises(ValueError, match="sample_rate must be"):
        resample(np.zeros(10), source_rate, rate)
