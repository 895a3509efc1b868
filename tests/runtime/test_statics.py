"""Features in numpy are those of the front ends in PyTorch."""

import exports
import numpy as np
import pytest
import torch

from asr.acoustic.model import build_front_end
from asr.features.framing import cut_windows
from asr.features.front_end import FrontEnd
from asr.runtime.statics import make_statics

KINDS = {"log_mel": "none, neighbours", "mfcc": "mfcc", "spectrogram": "spectrogram"}


def options_of(kind):
    """A front end's options, and those of its statics in numpy."""
    options = exports.FRONT_ENDS[KINDS[kind]]
    others = ("_target_", "normalize", "running_s", "deltas", "context")
    return options, {k: v for k, v in options.items() if k not in others} | {"kind": kind}


def torch_statics(front_end: FrontEnd, waveform):
    waveforms, lengths = torch.from_numpy(waveform)[None], torch.tensor([len(waveform)])
    num_frames = int(front_end.num_frames(len(waveform)))
    sizes = front_end.win_length, front_end.hop_length
    return front_end.statics(cut_windows(waveforms, lengths, num_frames, *sizes))[0].numpy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [40, 79, 200, 4001, 16000])
def test_statics_equal_those_of_pytorch(kind, size, rng):
    options, statics = options_of(kind)
    waveform = (0.1 * rng.standard_normal(size) + 0.05).astype(np.float32)

    found = make_statics(statics)(waveform)

    expected = torch_statics(build_front_end({"features": options}), waveform)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_silence_has_the_energy_of_the_floor(kind):
    options, statics = options_of(kind)
    silence = np.zeros(800, np.float32)

    found = make_statics(statics)(silence)

    expected = torch_statics(build_front_end({"features": options}), silence)
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
    assert np.isfinite(found).all()


def test_less_than_half_a_step_has_no_frame():
    statics = make_statics(options_of("mfcc")[1])

    assert statics(np.zeros(39, np.float32)).shape == (0, 7)
    assert len(statics(np.zeros(40, np.float32))) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "cepstra"}, "kind must be log_mel, mfcc or spectrogram, got 'cepstra'"),
        ({"hop_length": 0}, "1 <= hop_length <= win_length <= n_fft <= 65536 must hold, got 0"),
        ({"n_fft": 10**9}, "n_fft <= 65536 must hold"),
        ({"n_mels": 10**9}, "1 <= n_mels <= 1024"),
        ({"f_max": 4001.0}, "f_max <= sample_rate / 2 must hold"),
        ({"num_ceps": 13}, "num_ceps must be 1..n_mels=12, got 13"),
        ({"dither": 1.0}, "statics have no option 'dither'"),
    ],
)
def test_option_out_of_range_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        make_statics(options_of("mfcc")[1] | change)


def test_missing_option_is_named():
    options = options_of("log_mel")[1]
    del options["n_fft"]

    with pytest.raises(ValueError, match="missing 1 required keyword-only argument: 'n_fft'"):
        make_statics(options)
