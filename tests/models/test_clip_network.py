"""A label for a clip: pooling by its definition, with every network as the body, in float64."""

import pytest
import torch
import waveform_networks
from torch import nn

from asr.ctc import ctc_loss
from asr.decoding import GreedyDecoder
from asr.models import ClipNetwork, DeepSpeech2, label_probabilities
from asr.models.clip_network import AttentionPool
from tests.models.test_networks import BINS, CLASSES, LENGTHS, RECURRENT, TINY, make, speech

POOLINGS = ("mean", "attention", "max")
every_pooling = pytest.mark.parametrize("pooling", POOLINGS)
BODIES = [name for name in TINY if name != "gru, frames out"]
every_body = pytest.mark.parametrize("name", BODIES)
# Of one body every pooling, of the others one.
PAIRS = [("lstm", "mean"), ("lstm", "max"), *((name, "attention") for name in BODIES)]
every_pair = pytest.mark.parametrize(("name", "pooling"), PAIRS)


def clip_network(name, pooling):
    return ClipNetwork(make(name), pooling).double()


def settled(name, pooling):
    network = clip_network(name, pooling).train()
    network(speech(), LENGTHS)
    return network.eval()


class Frames(nn.Module):
    """Encodes frames as they are."""

    class_layer = "linear"
    intermediate = None

    def __init__(self, size):
        super().__init__()
        self.linear = nn.Linear(size, CLASSES)

    def encode(self, features, lengths):
        return features.transpose(0, 1), lengths


def pooled(x, network):
    """By definition, for one clip (T, H)."""
    if network.pooling == "mean":
        return sum(x) / len(x)
    if network.pooling == "max":
        return torch.stack([max(column) for column in x.T])
    v, w = network.attention.inner.weight, network.attention.score.weight[0]
    scores = [torch.exp(w @ torch.tanh(v @ h)) for h in x]
    return sum(score / sum(scores) * h for score, h in zip(scores, x, strict=True))


@every_pooling
@torch.no_grad()
def test_logits_are_those_of_the_pooled_frames(pooling):
    torch.manual_seed(0)
    network = ClipNetwork(Frames(BINS), pooling).double()

    logits, lengths = network(speech(garbage=torch.nan), LENGTHS)

    assert logits.shape == (1, len(LENGTHS), CLASSES)
    assert lengths.tolist() == [1, 1, 1, 0, 1, 1] == network.output_lengths(LENGTHS).tolist()
    for row, length in enumerate(LENGTHS):
        if length:
            z = pooled(speech()[row, :length], network)
            torch.testing.assert_close(logits[0, row], network.body.linear(z))
    torch.testing.assert_close(logits[0, 3], network.body.linear.bias)


def test_attention_by_hand():
    """tanh(V h) is 0, tanh(1), 0 and w is ln 3 / tanh(1): weights 1/5, 3/5, 1/5 and padding."""
    pool = AttentionPool(1)
    with torch.no_grad():
        pool.inner.weight.fill_(0.0)
        pool.inner.weight[0] = 1.0
        pool.score.weight.fill_(torch.tensor(3.0).log() / torch.tensor(1.0).tanh())
    frames = torch.tensor([0.0, 1.0, 0.0, 7.0])[:, None, None]
    mask = torch.tensor([True, True, True, False])[:, None, None]

    weights = pool(frames, mask)

    torch.testing.assert_close(weights.flatten(), torch.tensor([0.2, 0.6, 0.2, 0.0]))


@every_pair
@pytest.mark.parametrize("garbage", [9.0, torch.nan])
@torch.no_grad()
def test_alone_equals_batch_whatever_stands_in_the_padding(name, pooling, garbage):
    network = settled(name, pooling)

    together, _ = network(speech(garbage=garbage), LENGTHS)

    for row, length in enumerate(LENGTHS):
        alone, _ = network(speech()[row : row + 1, :length], length[None])
        torch.testing.assert_close(alone[0, 0], together[0, row], atol=1e-12, rtol=1e-9)


@every_pair
def test_gradient_is_that_of_finite_differences_and_reaches_every_parameter(name, pooling):
    network, features = clip_network(name, pooling).train(), speech()
    leaves = list(network.parameters())
    generator = torch.Generator().manual_seed(3)
    steps = [torch.randn(p.shape, generator=generator).double() for p in leaves]
    weights = torch.randn(len(LENGTHS), CLASSES, generator=generator).double()

    def value():
        return (network(features, LENGTHS)[0][0] * weights)[LENGTHS > 0].sum()

    value().backward()

    slope = sum((p.grad * step).sum() for p, step in zip(leaves, steps, strict=True))
    assert all(p.grad.abs().max() > 1e-9 for p in leaves)
    values = []
    with torch.no_grad():
        for size in (1e-7, -2e-7):
            for p, step in zip(leaves, steps, strict=True):
                p += size * step
            values.append(value())
    torch.testing.assert_close((values[0] - values[1]) / 2e-7, slope, rtol=1e-4, atol=1e-4)


@every_pooling
def test_no_gradient_flows_from_padding(pooling):
    features = speech().requires_grad_()

    clip_network("lstm", pooling)(features, LENGTHS)[0].square().sum().backward()

    for row, length in enumerate(LENGTHS):
        assert (features.grad[row, length:] == 0).all()


@every_pooling
@pytest.mark.parametrize("frames", [0, 1])
def test_hardly_any_frames_train_and_evaluate(pooling, frames):
    network = clip_network("lstm", pooling)
    for mode in (True, False):
        logits, lengths = network.train(mode)(
            torch.ones(1, frames, BINS).double(), torch.tensor([frames])
        )
        logits.sum().backward()

        assert logits.shape == (1, 1, CLASSES)
        assert lengths.tolist() == [frames]
        assert logits.isfinite().all()
        assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


def test_ctc_of_one_frame_is_cross_entropy():
    torch.manual_seed(0)
    logits = torch.randn(1, 7, CLASSES, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([1, 4, 2, 3, 1, 4, 4])
    ones = torch.ones(7, dtype=torch.int64)

    ours = ctc_loss(logits, labels[:, None], ones, ones, from_logits=True, reduction="none")
    expected = nn.functional.cross_entropy(logits[0], labels, reduction="none")

    torch.testing.assert_close(ours, expected)
    (mine,) = torch.autograd.grad(ours.sum(), logits)
    (theirs,) = torch.autograd.grad(expected.sum(), logits)
    torch.testing.assert_close(mine, theirs)
    nothing = torch.zeros(7, dtype=torch.int64)
    none = ctc_loss(logits, labels[:, None], ones, nothing, from_logits=True, reduction="none")
    torch.testing.assert_close(none, -logits[0].log_softmax(-1)[:, 0])


def sigmoid_network(classes=CLASSES):
    body = Frames(BINS)
    body.linear = nn.Linear(BINS, classes)
    return ClipNetwork(body, "mean", "sigmoid").double()


def test_frames_of_sigmoids_say_one_label_each():
    torch.manual_seed(0)
    network = sigmoid_network()

    logits, lengths = network(speech(), LENGTHS)

    labels = CLASSES - 1
    assert logits.shape == (labels, len(LENGTHS), CLASSES)
    assert lengths.tolist() == [labels * bool(n) for n in LENGTHS]
    assert lengths.tolist() == network.output_lengths(LENGTHS).tolist()
    scores = network.body.linear(speech()[0, : LENGTHS[0]].mean(0))
    own = label_probabilities(logits[:, 0].log_softmax(-1))
    torch.testing.assert_close(own[1:], (scores[1:] - scores[0]).sigmoid())
    torch.testing.assert_close(own[0], (1 - own[1:]).prod())


def test_ctc_of_frames_of_sigmoids_is_the_sum_of_binary_cross_entropies():
    torch.manual_seed(1)
    network, count = sigmoid_network(), len(LENGTHS)
    truth = torch.rand(count, CLASSES - 1) < 0.5
    targets = [(row.nonzero().flatten() + 1) for row in truth]
    heard = LENGTHS > 0

    logits, lengths = network(speech(), LENGTHS)
    ours = ctc_loss(
        logits[:, heard],
        torch.cat([t for t, is_heard in zip(targets, heard, strict=True) if is_heard]),
        lengths[heard],
        truth.sum(1)[heard],
        from_logits=True,
        reduction="none",
    )

    pooled_frames = torch.stack(
        [speech()[n, : LENGTHS[n]].mean(0) for n in range(count) if heard[n]]
    )
    z = network.body.linear(pooled_frames)
    expected = nn.functional.binary_cross_entropy_with_logits(
        z[:, 1:] - z[:, :1], truth[heard].double(), reduction="none"
    ).sum(1)
    torch.testing.assert_close(ours, expected)
    (mine,) = torch.autograd.grad(ours.sum(), network.body.linear.weight, retain_graph=True)
    (theirs,) = torch.autograd.grad(expected.sum(), network.body.linear.weight)
    torch.testing.assert_close(mine, theirs)


def test_greedy_decoding_gives_every_label_above_one_half():
    network = sigmoid_network(4)
    with torch.no_grad():
        network.body.linear.weight.zero_()
        network.body.linear.bias.copy_(torch.tensor([0.0, 2.0, -1.0, 0.5]))
        logits, lengths = network(speech()[:1], LENGTHS[:1])

    rows = logits.log_softmax(-1).transpose(0, 1)
    (best,) = GreedyDecoder(["<blank>", "▁dog", "▁rain", "▁wind"])(rows, lengths)

    assert best[0].text == "dog wind"


@pytest.mark.parametrize("frames", [0, 1])
def test_probabilities_of_a_clip_without_a_frame_and_of_one_label(frames):
    rows = torch.tensor([[0.25, 0.75]]).log()[:frames]

    torch.testing.assert_close(
        label_probabilities(rows), torch.tensor([0.25, 0.75] if frames else [1.0, 0.0])
    )


def test_greedy_decoding_gives_the_likeliest_label():
    log_probs = torch.tensor([[[0.2, 0.5, 0.3]], [[0.6, 0.3, 0.1]]]).log()

    texts = [best[0].text for best in GreedyDecoder(["<blank>", "▁dog", "▁rain"])(log_probs)]

    assert texts == ["dog", ""]


@every_pooling
@torch.no_grad()
def test_networks_on_samples_are_a_body_too(pooling):
    body = waveform_networks.waveform_network("sinc")
    network, lengths = ClipNetwork(body, pooling).eval(), waveform_networks.LENGTHS

    logits, _ = network(waveform_networks.padded_frames(9.0), lengths)

    alone, _ = network(waveform_networks.padded_frames()[:1, : lengths[0]], lengths[:1])
    torch.testing.assert_close(logits[0, 0], alone[0, 0], atol=1e-5, rtol=0)
    assert network.class_layer == "body.body.linear"
    assert network.get_submodule(network.class_layer) is body.body.linear


def test_encoded_frames_give_the_logits_of_the_network():
    network = make("forward, look-ahead").eval()

    x, lengths = network.encode(speech(), LENGTHS)

    expected, expected_lengths = network(speech(), LENGTHS)
    torch.testing.assert_close(network.linear(x), expected)
    assert lengths.tolist() == expected_lengths.tolist()


def with_letters():
    options = {"intermediate_layer": 1, "intermediate_frames": 1, "num_characters": 3}
    return DeepSpeech2(BINS, CLASSES, **(RECURRENT | options))


@pytest.mark.parametrize(
    ("body", "pooling", "message"),
    [
        (lambda: make("lstm"), "sum", "pooling must be mean, attention or max, got 'sum'"),
        (lambda: nn.Linear(2, 3), "mean", "body must be a network with encode, got Linear"),
        (lambda: clip_network("lstm", "mean"), "mean", "with encode, got ClipNetwork"),
        (lambda: make("gru, frames out"), "mean", "body.frames_out must be 1"),
        (with_letters, "mean", "body.intermediate_layer must be 0"),
    ],
)
def test_what_cannot_label_clips_is_refused(body, pooling, message):
    with pytest.raises(ValueError, match=message):
        ClipNetwork(body(), pooling)


def test_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="activation must be softmax or sigmoid, got 'relu'"):
        ClipNetwork(make("lstm"), "mean", "relu")
