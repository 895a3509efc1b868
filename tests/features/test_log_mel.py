import numpy as np
import pytest
import torch
import torchaudio
from front_ends import speech_like
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.features import log_mel_frame

from asr.features import LogMel, length_mask
from asr.features.mel import mel_filterbank

OPTIONS = {
    "sample_rate": 16000,
    "n_mels": 80,
    "win_length": 400,
    "hop_length": 160,
    "n_fft": 512,
    "f_min": 20.0,
    "f_max": 7600.0,
}


def log_mel(normalize="none", **changes):
    return LogMel(**(OPTIONS | changes), normalize=normalize)


def test_features_equal_the_float64_oracle(rng):
    waveform = speech_like(rng, 1600)

    features, lengths = log_mel()(waveform[None], torch.tensor([1600]))

    names = ("sample_rate", "n_mels", "win_length", "n_fft", "f_min", "f_max")
    options = {name: OPTIONS[name] for name in names}
    expected = [
        log_mel_frame(waveform.double().numpy(), 160 * t + 80 - 200, **options) for t in range(10)
    ]
    assert lengths.tolist() == [10]
    np.testing.assert_allclose(features[0], expected, atol=2e-4)


def test_features_equal_kaldi_compliance(rng):
    waveform = speech_like(rng, 31234)

    features, lengths = log_mel()(waveform[None], torch.tensor([31234]))

    expected = torchaudio.compliance.kaldi.fbank(
        waveform[None], num_mel_bins=80, dither=0.0, snip_edges=False, high_freq=-400.0
    )
    assert lengths.tolist() == [len(expected)]
    torch.testing.assert_close(features[0], expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("normalize", ["none", "utterance", "corpus"])
def test_features_alone_equal_those_in_a_batch(rng, normalize):
    front_end = log_mel(normalize)
    sizes = [16000, 7999, 401, 161, 80]
    waveforms = torch.zeros(len(sizes), max(sizes))
    for row, size in enumerate(sizes):
        waveforms[row, :size] = speech_like(rng, size)
        waveforms[row, size:] = 99.0  # what padding holds must not matter

    together, lengths = front_end(waveforms, torch.tensor(sizes))

    for row, size in enumerate(sizes):
        alone, length = front_end(waveforms[row : row + 1, :size], torch.tensor([size]))
        assert length[0] == lengths[row]
        torch.testing.assert_close(alone[0], together[row, : length[0]], atol=2e-4, rtol=0)
        assert (together[row, length[0] :] == 0).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2000))
def test_frame_count_is_exact(num_samples):
    features, lengths = log_mel()(torch.zeros(1, num_samples), torch.tensor([num_samples]))

    assert lengths.tolist() == [(num_samples + 80) // 160]
    assert features.shape == (1, lengths[0], 80)
    assert torch.isfinite(features).all()


def test_utterance_normalization_gives_mean_zero_and_deviation_one(rng):
    features, _ = log_mel("utterance")(speech_like(rng, 16000)[None], torch.tensor([16000]))

    torch.testing.assert_close(features[0].mean(0), torch.zeros(80), atol=1e-4, rtol=0)
    torch.testing.assert_close(features[0].std(0, correction=0), torch.ones(80), atol=1e-3, rtol=0)


def test_corpus_normalization_counts_speech_only(rng):
    front_end = log_mel("corpus")
    long, short = speech_like(rng, 16000), speech_like(rng, 4000) * 3
    padded = torch.stack([long, torch.cat([short, torch.zeros(12000)])])

    front_end.fit([(padded, torch.tensor([16000, 4000]))])

    frames = torch.cat(
        [log_mel()(w[None], torch.tensor([len(w)]))[0][0] for w in (long, short)]
    ).double()
    torch.testing.assert_close(front_end.corpus_mean.double(), frames.mean(0), atol=1e-3, rtol=0)
    torch.testing.assert_close(
        front_end.corpus_std.double(), frames.std(0, correction=0), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("silence", [0.3, 1.0, 3.0])
def test_silence_around_speech_leaves_features_of_the_corpus_as_they_are(rng, silence):
    front_end = log_mel("corpus")
    speech = speech_like(rng, 32000)
    front_end.fit([(speech[None], torch.tensor([32000]))])
    zeros = torch.zeros(round(silence * 16000))
    padded = torch.cat([zeros, speech, zeros])

    alone, _ = front_end(speech[None], torch.tensor([len(speech)]))
    inside, _ = front_end(padded[None], torch.tensor([len(padded)]))

    first = len(zeros) // 160
    # The two frames at either end look across the border.
    torch.testing.assert_close(inside[0, first + 2 : first + 198], alone[0, 2:198])


def test_corpus_normalization_refuses_no_speech():
    with pytest.raises(ValueError, match="at least one frame"):
        log_mel("corpus").fit([])


@pytest.mark.parametrize("normalize", ["none", "utterance"])
def test_digital_silence_gives_finite_features(normalize):
    features, _ = log_mel(normalize)(torch.zeros(1, 3000), torch.tensor([3000]))

    assert torch.isfinite(features).all()


def test_empty_batch_gives_empty_features():
    features, lengths = log_mel()(torch.zeros(0, 0), torch.zeros(0, dtype=torch.int64))

    assert features.shape == (0, 0, 80)
    assert lengths.shape == (0,)


def test_filterbank_covers_every_band_and_skips_nyquist():
    bank = mel_filterbank(80, 512, 16000, 20.0, 7600.0)

    assert bank.shape == (257, 80)
    assert (bank.sum(0) > 0).all()
    assert (bank[-1] == 0).all()


def test_length_mask_marks_speech():
    assert length_mask(torch.tensor([2, 0]), 3).tolist() == [[True, True, False], [False] * 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_mels": 0}, "n_mels must be >= 1, got 0"),
        ({"win_length": 600}, "win_length <= n_fft"),
        ({"f_max": 9000.0}, "sample_rate / 2"),
        ({"f_min": -1.0}, "0 <= f_min"),
    ],
)
def test_log_mel_refuses_parameters_out_of_range(change, message):
    with pytest.raises(ValueError, match=message):
        log_mel(**change)


def test_log_mel_refuses_an_unknown_normalization():
    with pytest.raises(
        ValueError, match="normalize must be utterance, corpus, running or none, got 'x'"
    ):
        log_mel("x")
