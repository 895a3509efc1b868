"""What every network keeps, for the one that takes samples; its numbers: test_huggingface.py."""

import pytest
import torch
from bfloat16 import needs_bfloat16
from published import KINDS, config_of
from torch import nn

from asr.acoustic.huggingface import translate_options
from asr.models import Wav2Vec2
from asr.models.wav2vec2 import draw_spans

CLASSES = 5
# 20 samples a frame, 30 for the first one; the others have too few.
LENGTHS = torch.tensor([200, 333, 1, 0, 30, 29])
every_kind = pytest.mark.parametrize("kind", KINDS)


def make(kind, **changes):
    torch.manual_seed(0)
    config = config_of(kind)
    options = translate_options(config) | {"dropout": 0.0, "mask_time": 0.0} | changes
    del options["_target_"]
    network = Wav2Vec2(CLASSES, **options).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return network


def speech(lengths=LENGTHS, garbage=0.0):
    generator = torch.Generator().manual_seed(1)
    shape = (len(lengths), int(lengths.max()), 1)
    samples = torch.randn(shape, dtype=torch.float64, generator=generator)
    for row, length in enumerate(lengths):
        samples[row, length:] = garbage
    return samples


def loss(network, samples, lengths=LENGTHS):
    """A number that every frame of speech has a part in."""
    logits, lengths = network(samples, lengths)
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2)).double()
    frames = (torch.arange(len(logits))[:, None] < lengths)[..., None]
    return (logits * weights).masked_fill(~frames, 0.0).sum()


@every_kind
@pytest.mark.parametrize("garbage", [9.0, float("nan")])
@torch.no_grad()
def test_alone_equals_batch_whatever_stands_in_the_padding(kind, garbage):
    network = make(kind).eval()

    together, lengths = network(speech(garbage=garbage), LENGTHS)

    assert lengths.tolist() == network.output_lengths(LENGTHS).tolist() == [9, 16, 0, 0, 1, 0]
    assert together.shape == (16, 6, CLASSES)
    assert together.isfinite().all()
    for row, length in enumerate(LENGTHS):
        alone, _ = network(speech()[row : row + 1, :length], length[None])
        assert len(alone) == lengths[row]
        ours = together[: lengths[row], row]
        torch.testing.assert_close(alone[:, 0], ours, atol=1e-12, rtol=1e-9)


@every_kind
def test_gradients_do_not_depend_on_padding_nor_flow_into_it(kind):
    tight, loose = make(kind, freeze_convs=False), make(kind, freeze_convs=False)
    samples = speech().requires_grad_()

    loss(tight, samples).backward()
    loss(loose, nn.functional.pad(speech(garbage=torch.nan), (0, 0, 0, 37))).backward()

    for (name, mine), theirs in zip(tight.named_parameters(), loose.parameters(), strict=True):
        assert mine.grad.abs().max() > 1e-9 or name in ("mask_embedding", *keys_of(tight)), name
        torch.testing.assert_close(mine.grad, theirs.grad, msg=name)
    for row, length in enumerate(LENGTHS):
        assert (samples.grad[row, length:] == 0).all()
        assert (samples.grad[row, :length] != 0).any() == bool(length >= 30)


def keys_of(network):
    """What attention's keys all have in common changes no softmax."""
    return [f"layers.{i}.attention.key.bias" for i in range(len(network.layers))]


@every_kind
@torch.no_grad()
def test_frames_are_those_whose_samples_are_all_there(kind):
    network, lengths = make(kind), torch.arange(130)

    logits, frames = network(torch.zeros(130, 129, 1).double(), lengths)

    assert frames.tolist() == [max(0, (length - 30) // 20 + 1) for length in range(130)]
    assert network.convs.least == 30
    assert network.subsampling_factor == 20
    assert len(logits) == frames.max()


@needs_bfloat16
@every_kind
def test_bfloat16_trains_and_is_near_float32(kind):
    network, samples = make(kind, mask_time=0.3).float(), speech().float()

    with torch.autocast("cpu", torch.bfloat16):
        network.train()(samples, LENGTHS)[0].float().square().mean().backward()
        logits, lengths = network.eval()(samples, LENGTHS)

    expected, _ = network(samples, LENGTHS)
    frames = (torch.arange(len(logits))[:, None] < lengths)[..., None]
    assert ((logits.float() - expected).abs() * frames).max() < 0.15
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.requires_grad)


def test_an_idle_rank_has_gradients_of_zero():
    network = make("wav2vec2 base")

    logits, _ = network(torch.zeros(1, 20, 1).double(), torch.tensor([0]))
    (logits.sum() * 0.0).backward()

    assert len(logits) == 0
    assert all((p.grad == 0).all() for p in network.parameters() if p.requires_grad)


def test_convolutions_on_samples_do_not_learn_unless_asked():
    frozen, free = make("hubert base"), make("hubert base", freeze_convs=False)

    still = [name for name, p in frozen.named_parameters() if not p.requires_grad]

    assert still == [name for name, _ in frozen.named_parameters() if name.startswith("convs.")]
    assert len(still) > 0
    assert all(p.requires_grad for p in free.parameters())


def test_frames_and_channels_are_hidden_in_training_alone():
    network = make("wav2vec2 large", mask_time=0.5, mask_channels=0.3).train()
    samples, lengths = speech(), LENGTHS

    torch.manual_seed(3)
    first, _ = network(samples, lengths)
    torch.manual_seed(3)
    again, _ = network(samples, lengths)
    other, _ = network(samples, lengths)
    first.sum().backward()

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert network.mask_embedding.grad.abs().max() > 0
    with torch.no_grad():
        assert torch.equal(network.eval()(samples, lengths)[0], network(samples, lengths)[0])


def test_spans_have_their_length_and_their_share():
    torch.manual_seed(0)
    hidden = draw_spans(400, 500, 0.3, 10, torch.device("cpu"))

    # A frame is free where none of the 10 that could begin a span over it does.
    expected = 1 - (1 - 0.03) ** 10
    assert abs(float(hidden[:, 10:].float().mean()) - expected) < 0.01
    runs = "".join("x" if h else " " for h in hidden[0, :-10].tolist()).split()
    assert min(map(len, runs)) >= 10
    assert not draw_spans(4, 50, 0.0, 10, torch.device("cpu")).any()


BAD = [
    ({"conv_strides": [5, 2]}, "must have one entry a convolution, got 3, 3, 2"),
    ({"num_heads": 3}, "num_heads must divide the hidden_size 8, got 3"),
    ({"position_groups": 5}, "position_groups must divide the hidden_size 8, got 5"),
    ({"position_kernels": []}, "position_kernels must have one entry a convolution, got 0"),
    ({"conv_norm": "batch"}, "conv_norm must be group or layer, got 'batch'"),
    ({"position_norm": "none"}, "position_norm must be weight or layer, got 'none'"),
    ({"mask_time": 1.0}, r"mask_time must be in \[0, 1\), got 1.0"),
    ({"mask_channels_length": 0}, "mask_channels_length must be >= 1, got 0"),
    ({"dropout": -0.1}, r"dropout must be in \[0, 1\), got -0.1"),
    ({"num_layers": 0}, "num_layers must be >= 1, got 0"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_option_out_of_range_is_refused_by_its_name(change, message):
    with pytest.raises(ValueError, match=message):
        make("wav2vec2 base", **change)
