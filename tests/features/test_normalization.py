import pytest
import torch
from front_ends import batch, log_mel

from asr.features.normalization import running_mean


def one_by_one(values, before, num_frames):
    """The definition, a frame after the other."""
    means = []
    for frame in values.unbind(1):
        before = before + (frame - before) / num_frames
        means.append(before)
    return torch.stack(means, dim=1)


@pytest.mark.parametrize("num_frames", [1.0, 3.5, 300.0])
@pytest.mark.parametrize("size", [1, 127, 128, 129, 400])
def test_running_mean_equals_its_definition(num_frames, size):
    torch.manual_seed(0)
    values = torch.randn(2, size, 3, dtype=torch.float64)
    before = torch.randn(2, 3, dtype=torch.float64)

    means = running_mean(values, before, num_frames)

    torch.testing.assert_close(means, one_by_one(values, before, num_frames))


def test_running_mean_in_pieces_equals_the_whole():
    torch.manual_seed(0)
    values = torch.randn(2, 500, 3, dtype=torch.float64)
    before = torch.zeros(2, 3, dtype=torch.float64)
    whole, pieces = running_mean(values, before, 50.0), []

    for piece in values.split([1, 200, 0, 130, 169], dim=1):
        pieces.append(running_mean(piece, before, 50.0))
        before = pieces[-1][:, -1] if piece.shape[1] else before

    torch.testing.assert_close(torch.cat(pieces, dim=1), whole)


def test_running_features_never_look_ahead(rng):
    front_end = log_mel("running")
    front_end.fit([batch(rng, [8000, 4000])])
    waveforms, sizes = batch(rng, [8000])
    louder = waveforms.clone()
    louder[:, 4000:] *= 10

    before, _ = front_end(waveforms, sizes)
    after, _ = front_end(louder, sizes)

    assert torch.equal(before[:, :23], after[:, :23])  # the window of frame 23 ends at 3960
    assert not torch.allclose(before[:, 25:], after[:, 25:])


def test_running_mean_forgets_a_gain_that_corpus_statistics_keep(rng):
    running, corpus = log_mel("running", running_s=0.2), log_mel("corpus")
    for front_end in (running, corpus):
        front_end.fit([batch(rng, [16000])])
    waveforms, sizes = batch(rng, [32000])

    quiet = 0.01 * waveforms

    assert float(corpus(quiet, sizes)[0][:, 150:].mean()) < -3
    assert float(running(quiet, sizes)[0][:, 150:].mean()) == pytest.approx(0, abs=0.2)


def test_running_starts_at_the_mean_of_the_corpus(rng):
    running, corpus = log_mel("running"), log_mel("corpus")
    speech = batch(rng, [16000])
    for front_end in (running, corpus):
        front_end.fit([speech])
    waveforms, sizes = batch(rng, [8000])

    first = running(waveforms, sizes)[0][:, 0]

    # Half a second is 50 frames, of which the first has one part.
    torch.testing.assert_close(first, corpus(waveforms, sizes)[0][:, 0] * (1 - 1 / 50))


def test_only_what_needs_statistics_says_so():
    needs = {kind: log_mel(kind).needs_fit for kind in ("utterance", "corpus", "running", "none")}

    assert needs == {"utterance": False, "corpus": True, "running": True, "none": False}
