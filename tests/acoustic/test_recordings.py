import numpy as np
import pytest
import tones
import torch

from asr.acoustic.recordings import process_recordings
from asr.audio import AudioError

RATE = tones.SAMPLE_RATE


class Blocks:
    """A recording in memory that may break off."""

    def __init__(self, waveform, size=7000, error=None):
        self.waveform, self.size, self.error = waveform, size, error
        self.num_read = 0

    def blocks(self):
        for start in range(0, len(self.waveform), self.size):
            self.num_read += 1
            yield self.waveform[start : start + self.size]
        if self.error:
            raise self.error


def noise(seconds, rng):
    return (0.1 * rng.standard_normal(int(seconds * RATE))).astype(np.float32)


def collect(model, recordings):
    found = process_recordings(model, recordings, lambda group: [e.log_probs for e in group])
    return [result for _, result in found]


@pytest.fixture(scope="module")
def model():
    return tones.trained_model()


def test_file_in_blocks_equals_a_waveform_in_a_batch(model, rng):
    waveforms = [noise(seconds, rng) for seconds in (70.3, 2.0, 31.1)]
    lengths = torch.tensor([len(w) for w in waveforms])
    padded = torch.nn.utils.rnn.pad_sequence([*map(torch.tensor, waveforms)], batch_first=True)

    streamed = collect(model, map(Blocks, waveforms))
    rows, row_lengths = model.log_probs(padded, lengths)

    assert row_lengths.tolist() == [model.num_frames(len(w)) for w in waveforms]
    for row, length, log_probs in zip(rows, row_lengths, streamed, strict=True):
        torch.testing.assert_close(row[:length], log_probs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("window_s", [5.0, 40.0, 600.0])
def test_order_is_kept_and_failures_stand_in_it(model, rng, monkeypatch, window_s):
    monkeypatch.setattr("asr.acoustic.recordings.WINDOW_S", window_s)
    waveforms = [noise(seconds, rng) for seconds in (1.0, 33.0, 3.0, 0.5, 2.0)]
    broken = AudioError("cut off")
    errors = [None, broken, None, None, broken]

    results = collect(model, map(Blocks, waveforms, [7000] * 5, errors))

    assert [results[1], results[4]] == [broken, broken]
    for i in (0, 2, 3):
        assert len(results[i]) == model.num_frames(len(waveforms[i]))


def test_recordings_are_read_no_further_than_a_window(model, rng, monkeypatch):
    monkeypatch.setattr("asr.acoustic.recordings.WINDOW_S", 3.0)
    recordings = [Blocks(noise(1.0, rng)) for _ in range(12)]
    results = process_recordings(model, iter(recordings), lambda group: [0] * len(group))

    next(results)

    assert sum(recording.num_read > 0 for recording in recordings) == 3


@pytest.mark.parametrize("num_samples", [0, 39])
def test_too_short_for_a_frame_is_an_error_in_its_place(model, rng, num_samples):
    short, good = collect(model, [Blocks(np.zeros(num_samples, np.float32)), Blocks(noise(1, rng))])

    assert str(short).startswith(f"{num_samples} samples at 8000 Hz are too short for one frame")
    assert len(good) == model.num_frames(RATE)
