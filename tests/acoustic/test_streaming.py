import numpy as np
import pytest
import tones
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.acoustic.streaming import AcousticStream, advance_streams, check_streams, latency

MODEL = tones.untrained_model(config=tones.STREAMING_CONFIG)


def noise(num_samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, num_samples).astype(np.float32)


def cut(waveform, sizes):
    """Pieces of these sizes, and one of what is left."""
    ends = np.minimum(np.cumsum(sizes, dtype=int), len(waveform))
    return np.split(waveform, ends)


def whole(waveform):
    rows, lengths = MODEL.log_probs(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
    return rows[0, : lengths[0]]


def in_pieces(waveform, sizes):
    stream, rows = AcousticStream(MODEL), []
    for piece in cut(waveform, sizes):
        stream.push(piece)
        rows += advance_streams([stream])
    stream.finish()
    return torch.cat([*rows, *advance_streams([stream])])


@given(length=st.integers(0, 6000), sizes=st.lists(st.integers(0, 2000), max_size=8))
@settings(max_examples=25)
def test_any_pieces_of_any_length_equal_the_whole(length, sizes):
    waveform = noise(length, seed=length)

    torch.testing.assert_close(in_pieces(waveform, sizes), whole(waveform), atol=1e-4, rtol=0)


@pytest.mark.parametrize("length", [0, 1, 39, 40, 159, 160, 161, 700])
def test_samples_one_by_one_equal_the_whole(length):
    waveform = noise(length)

    torch.testing.assert_close(
        in_pieces(waveform, [1] * length), whole(waveform), atol=1e-4, rtol=0
    )


def test_streams_in_one_batch_equal_one_by_one():
    waveforms = [noise(length, seed=length) for length in (4000, 4000, 2500, 0, 39)]
    streams = [AcousticStream(MODEL) for _ in waveforms]
    rows = [[] for _ in streams]
    for turn in range(6):
        for stream, waveform in zip(streams, waveforms, strict=True):
            stream.push(waveform[800 * turn : 800 * (turn + 1)])
            if turn == 5:
                stream.finish()
        for own, new in zip(rows, advance_streams(streams), strict=True):
            own.append(new)

    for waveform, own in zip(waveforms, rows, strict=True):
        torch.testing.assert_close(torch.cat(own), whole(waveform), atol=1e-4, rtol=0)


def test_streams_that_are_alike_share_a_batch(monkeypatch):
    sizes = []

    def count(network, features, state, *, is_last):
        sizes.append(len(features))
        return advance(network, features, state, is_last=is_last)

    from asr.acoustic import streaming

    advance = streaming.advance
    monkeypatch.setattr(streaming, "advance", count)
    streams = [AcousticStream(MODEL) for _ in range(5)]
    for turn in range(4):
        for stream in streams:
            stream.push(noise(800, seed=turn))
        advance_streams(streams)

    assert sizes == [5, 5, 5, 5]


def test_latency_is_that_of_the_first_frame():
    # Windows end 140 samples after a frame's beginning, convolutions see 2 + 2 x 2 frames ahead,
    # the look-ahead 4 x 4, of 80 samples at 8 kHz.
    assert latency(MODEL) == pytest.approx((140 / 8000, 6 * 0.01, 16 * 0.01))
    needed = round(latency(MODEL).total_s * 8000)
    stream = AcousticStream(MODEL)

    stream.push(noise(needed - 1))
    (before,) = advance_streams([stream])
    stream.push(noise(1))
    (after,) = advance_streams([stream])

    assert (len(before), len(after)) == (0, 1)


@pytest.mark.parametrize(
    ("features", "model", "message"),
    [
        ({"normalize": "utterance"}, {}, "features.normalize=corpus or running to stream"),
        ({}, {"bidirectional": True, "lookahead": 0}, "train with model=ds2_lookahead"),
    ],
)
def test_models_of_whole_utterances_are_refused_with_what_to_do(features, model, message):
    config = {
        "features": tones.STREAMING_CONFIG["features"] | features,
        "model": tones.STREAMING_CONFIG["model"] | model,
    }

    with pytest.raises(ValueError, match=f"the model cannot stream: .*{message}"):
        check_streams(tones.untrained_model(config=config))
