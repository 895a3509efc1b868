"""What holds for every front end."""

import pytest
import torch
from front_ends import ALL, batch, log_mel, mfcc, raw, spectrogram, speech_like

SIZES = [4000, 2399, 561, 401, 161, 80, 79, 1, 0]
CASES = [
    (kind, normalize)
    for kind in ALL
    for normalize in ("none", "utterance", "corpus", "running")
    if (kind, normalize) != ("raw", "running")
]


def fitted(rng, kind, normalize):
    front_end = ALL[kind](normalize)
    if front_end.needs_fit:
        front_end.fit([batch(rng, [3000, 1000])])
    return front_end


@pytest.mark.parametrize(("kind", "normalize"), CASES)
def test_features_alone_equal_those_in_a_batch(rng, kind, normalize):
    front_end = fitted(rng, kind, normalize)
    waveforms, sizes = batch(rng, SIZES, garbage=float("nan"))

    together, lengths = front_end(waveforms, sizes)

    assert together.shape == (len(SIZES), int(lengths.max()), front_end.num_features)
    for row, size in enumerate(SIZES):
        alone, length = front_end(waveforms[row : row + 1, :size], torch.tensor([size]))
        assert int(length) == int(lengths[row]) == front_end.num_frames(size) == alone.shape[1]
        torch.testing.assert_close(alone[0], together[row, : int(length)], atol=2e-4, rtol=1e-4)
        assert (together[row, int(length) :] == 0).all()


@pytest.mark.parametrize("kind", ALL)
def test_corpus_statistics_do_not_depend_on_padding(rng, kind):
    tight, loose = ALL[kind]("corpus"), ALL[kind]("corpus")
    waveforms, sizes = batch(rng, [3000, 1000, 80])

    tight.fit([(waveforms[n : n + 1, :size], sizes[n : n + 1]) for n, size in enumerate(sizes)])
    loose.fit([(torch.nn.functional.pad(waveforms, (0, 500), value=99.0), sizes)])

    torch.testing.assert_close(tight.corpus_mean, loose.corpus_mean)
    torch.testing.assert_close(tight.corpus_std, loose.corpus_std, atol=1e-4, rtol=1e-4)
    features, lengths = tight(waveforms, sizes)
    if kind not in ("context", "raw"):
        speech = torch.cat([row[:length] for row, length in zip(features, lengths, strict=True)])
        torch.testing.assert_close(speech.mean(0), torch.zeros(speech.shape[1]), atol=2e-3, rtol=0)


@pytest.mark.parametrize("kind", ALL)
def test_features_of_strided_waveforms_and_of_other_floats_are_the_same(rng, kind):
    front_end = ALL[kind]()
    waveforms, sizes = batch(rng, [1600, 900])
    expected, _ = front_end(waveforms, sizes)

    strided, _ = front_end(waveforms.repeat_interleave(2, dim=1)[:, ::2], sizes)
    double, _ = front_end(waveforms.double(), sizes)

    assert torch.equal(strided, expected)
    assert torch.equal(double, expected)


@pytest.mark.parametrize("kind", ALL)
def test_a_batch_of_nothing_has_no_frames(kind):
    front_end = ALL[kind]()

    features, lengths = front_end(torch.zeros(0, 0), torch.zeros(0, dtype=torch.int64))

    assert features.shape == (0, 0, front_end.num_features)
    assert lengths.shape == (0,)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("normalize", ["none", "utterance"])
def test_digital_silence_gives_finite_features(kind, normalize):
    features, _ = ALL[kind](normalize)(torch.zeros(1, 1000), torch.tensor([1000]))

    assert torch.isfinite(features).all()


@pytest.mark.parametrize("kind", ALL)
def test_pictures_show_a_tone_where_its_frequency_is(kind):
    front_end = ALL[kind]("corpus")
    time = torch.arange(8000) / 16000
    tones = torch.stack([torch.sin(2 * torch.pi * f * time) for f in (500.0, 3000.0)])

    energies, lengths = front_end.log_energies(tones, torch.tensor([8000, 8000]))

    low, high = energies[:, 10:40, 1:].argmax(-1)  # the first bin may be the energy of all
    assert lengths.tolist() == [50, 50]
    assert torch.isfinite(energies).all()
    assert (low < high).all()


@pytest.mark.parametrize("kind", ALL)
def test_augmentation_changes_frames_before_neighbours_are_joined(rng, kind):
    front_end = ALL[kind]("utterance")
    waveforms, sizes = batch(rng, [1600, 1000])
    seen = []

    def mask_fourth_frame(features):
        seen.append(features)
        features = features.clone()
        features[:, 3] = 0.0
        return features

    plain, _ = front_end(waveforms, sizes)
    features, _ = front_end(waveforms, sizes, mask_fourth_frame)

    width = seen[0].shape[-1]
    assert width * (7 if kind == "context" else 1) == front_end.num_features
    changed = (features != plain).unflatten(-1, (-1, width)).any(-1)  # (N, T, 2 context + 1)
    side = changed.shape[-1] // 2
    frames = torch.arange(changed.shape[1])[:, None] + torch.arange(-side, side + 1)
    assert torch.equal(changed[0], frames == 3)


@pytest.mark.parametrize("kind", ALL)
def test_bands_are_a_whole_part_of_a_frame(kind):
    front_end = ALL[kind]()

    assert front_end.num_bands == {"log_mel": 23, "deltas": 23, "spectrogram": 257}.get(kind, 0)


@pytest.mark.parametrize("make", [log_mel, mfcc, spectrogram])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hop_length": 0}, "hop_length must be >= 1, got 0"),
        ({"win_length": 600}, "hop_length <= win_length <= n_fft must hold, got 160, 600, 512"),
        ({"n_fft": 2**17}, "n_fft must be <= 65536, got 131072"),
        ({"deltas": 3}, "deltas must be 0, 1 or 2, got 3"),
        ({"context": 101}, r"context must be 0\.\.100 frames on each side, got 101"),
        ({"context": -1}, r"context must be 0\.\.100 frames on each side, got -1"),
    ],
)
def test_spectral_front_ends_refuse_parameters_out_of_range(make, change, message):
    with pytest.raises(ValueError, match=message):
        make(**change)


@pytest.mark.parametrize(
    ("make", "change", "message"),
    [
        (mfcc, {"num_ceps": 24}, r"num_ceps must be 1\.\.n_mels=23, got 24"),
        (mfcc, {"num_ceps": 0}, r"num_ceps must be 1\.\.n_mels=23, got 0"),
        (mfcc, {"lifter": -1.0}, "lifter must be >= 0, got -1.0"),
        (mfcc, {"n_mels": 0}, "n_mels must be >= 1, got 0"),
        (mfcc, {"normalize": "running", "running_s": 0.0}, "running_s must be at least one hop"),
        (raw, {"hop_length": 2**17}, r"hop_length must be 1\.\.65536, got 131072"),
        (raw, {"sample_rate": 0}, "sample_rate must be >= 1, got 0"),
        (raw, {"normalize": "running"}, "normalize must be utterance, corpus or none, got"),
    ],
)
def test_front_ends_refuse_parameters_out_of_range(make, change, message):
    with pytest.raises(ValueError, match=message):
        make(**change)


def test_raw_frames_are_the_waveform(rng):
    waveform = speech_like(rng, 1000)

    frames, lengths = raw()(waveform[None], torch.tensor([1000]))

    assert lengths.tolist() == [7]
    assert torch.equal(frames.flatten()[:1000], waveform)
    assert (frames.flatten()[1000:] == 0).all()


def test_raw_samples_are_normalised_over_the_samples_of_an_utterance(rng):
    waveform = 3 + 2 * speech_like(rng, 1001)

    frames, _ = raw("utterance")(waveform[None], torch.tensor([1001]))

    samples = frames.flatten()[:1001]
    assert float(samples.mean()) == pytest.approx(0, abs=1e-5)
    assert float(samples.std(correction=0)) == pytest.approx(1, abs=1e-3)
