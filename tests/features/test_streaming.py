import pytest
import torch
from front_ends import ALL, ANALYSIS, batch, log_mel, raw, speech_like
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.features.streaming import FeatureStream, frames_ahead, window_end

STREAMING = {kind: make for kind, make in ALL.items() if kind != "raw"}


def in_pieces(front_end, waveform, sizes):
    """Features of a waveform (L,) in pieces of these sizes, and one of what is left."""
    stream, frames = FeatureStream(front_end), []
    for size in [*sizes, len(waveform)]:
        frames.append(stream.push(waveform[:size]))
        waveform = waveform[size:]
    return torch.cat([*frames, stream.finish()])


def whole(front_end, waveform):
    return front_end(waveform[None], torch.tensor([len(waveform)]))[0][0]


@pytest.mark.parametrize("kind", STREAMING)
@pytest.mark.parametrize("normalize", ["running", "corpus"])
def test_pieces_equal_the_whole(rng, kind, normalize):
    front_end = STREAMING[kind](normalize)
    front_end.fit([batch(rng, [8000])])
    waveform = speech_like(rng, 7000)

    pieces = in_pieces(front_end, waveform, [1, 0, 279, 1, 160, 3000, 5])

    torch.testing.assert_close(pieces, whole(front_end, waveform), atol=1e-4, rtol=0)


@given(
    length=st.integers(0, 1500),
    sizes=st.lists(st.integers(0, 500), max_size=8),
    window=st.sampled_from([(400, 160), (401, 160), (160, 160), (161, 159), (3, 1)]),
)
@settings(max_examples=25)
def test_any_pieces_of_any_length_equal_the_whole(length, sizes, window):
    win_length, hop_length = window
    front_end = log_mel(win_length=win_length, hop_length=hop_length, deltas=1, context=2)
    torch.manual_seed(length)
    waveform = 0.1 * torch.randn(length)

    pieces = in_pieces(front_end, waveform, sizes)

    torch.testing.assert_close(pieces, whole(front_end, waveform), atol=1e-4, rtol=0)


def test_frames_come_as_soon_as_their_last_sample():
    front_end = log_mel(deltas=1, context=1)
    stream = FeatureStream(front_end)
    # The window of frame 0 ends at 280, that of frame 3, which deltas and context ask for, at 760.
    first = window_end(front_end) + frames_ahead(front_end) * ANALYSIS["hop_length"]

    assert (window_end(front_end), frames_ahead(front_end), first) == (280, 3, 760)
    assert len(stream.push(torch.zeros(759))) == 0
    assert len(stream.push(torch.zeros(1))) == 1
    assert len(stream.push(torch.zeros(160))) == 1


def test_features_of_the_utterance_are_refused_with_what_to_do():
    with pytest.raises(
        ValueError, match=r"utterance needs the whole utterance: train .*=corpus or"
    ):
        FeatureStream(log_mel("utterance"))


def test_other_front_ends_are_refused():
    with pytest.raises(ValueError, match=r"features of Raw do not stream: .* features=logmel"):
        FeatureStream(raw())
