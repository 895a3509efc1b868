"""What every network keeps, in float64, where rounding hides nothing.

A network joins by a line in `TINY`.
"""

import pytest
import tones
import torch
from bfloat16 import needs_bfloat16
from torch import nn

from asr.acoustic.checkpoint import load_checkpoint, save_checkpoint
from asr.models import (
    NETWORKS,
    VGG,
    Conformer,
    DeepSpeech2,
    DenseNet,
    FrameNetwork,
    QuartzNet,
    ResNet,
)

BINS, CLASSES = 12, 5
LENGTHS = torch.tensor([23, 40, 1, 0, 17, 6])

RECURRENT = {
    "conv_channels": [3, 4],
    "conv_kernels": [[5, 7], [3, 5]],
    "conv_strides": [[2, 2], [2, 2]],
    "cell": "lstm",
    "num_layers": 2,
    "hidden_size": 6,
    "bidirectional": True,
    "lookahead": 0,
    "norm": "batch",
    "dropout": 0.0,
}
SEPARABLE = {
    "channels": [6, 6, 8, 8],
    "kernels": [5, 3, 7, 5],
    "strides": [2, 2, 1, 1],
    "depths": [1, 2, 2, 1],
    "squeeze_reduction": 0,
    "dropout": 0.0,
}
TINY = {
    "lstm": (DeepSpeech2, RECURRENT),
    "gru, frames out": (DeepSpeech2, RECURRENT | {"cell": "gru", "frames_out": 2}),
    "clipped rnn, added": (
        DeepSpeech2,
        RECURRENT | {"cell": "clipped_rnn", "sum_directions": True},
    ),
    "peepholes": (DeepSpeech2, RECURRENT | {"cell": "lstm_peephole"}),
    "coupled gates": (DeepSpeech2, RECURRENT | {"cell": "lstm_coupled"}),
    "layer norm, shortcuts": (DeepSpeech2, RECURRENT | {"norm": "layer", "shortcuts": True}),
    "forward, look-ahead": (
        DeepSpeech2,
        RECURRENT | {"bidirectional": False, "lookahead": 3, "norm": "none"},
    ),
    "vgg": (
        VGG,
        {
            "channels": [3, 4, 5],
            "depths": [1, 2, 1],
            "pools": [[2, 2], [2, 2], [1, 2]],
            "context": 3,
            "hidden_size": 8,
            "dropout": 0.0,
        },
    ),
    "resnet": (
        ResNet,
        {
            "stem_channels": 4,
            "stem_kernel": [5, 3],
            "stem_stride": [2, 2],
            "channels": [4, 6],
            "depths": [2, 1],
            "strides": [[1, 1], [2, 2]],
            "dropout": 0.0,
        },
    ),
    "densenet": (
        DenseNet,
        {
            "stem_channels": 4,
            "stem_kernel": [3, 3],
            "stem_stride": [2, 2],
            "depths": [2, 3],
            "growth_rate": 2,
            "compression": 0.6,
            "pools": [[2, 2]],
            "dropout": 0.0,
        },
    ),
    "quartznet": (QuartzNet, SEPARABLE),
    "citrinet": (QuartzNet, SEPARABLE | {"squeeze_reduction": 2}),
    "conformer": (
        Conformer,
        {
            "conv_channels": [3, 4],
            "num_layers": 2,
            "hidden_size": 8,
            "num_heads": 2,
            "expansion": 2,
            "kernel": 3,
            "dropout": 0.0,
        },
    ),
    "frame network": (FrameNetwork, {"num_layers": 2, "hidden_size": 6, "dropout": 0.0}),
}
every_network = pytest.mark.parametrize("name", TINY)


def make(name, **changes):
    torch.manual_seed(0)
    network, options = TINY[name]
    return network(BINS, CLASSES, **(options | changes)).double()


def speech(lengths=LENGTHS, garbage=0.0):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(
        len(lengths), int(lengths.max()), BINS, dtype=torch.float64, generator=generator
    )
    for row, length in enumerate(lengths):
        features[row, length:] = garbage
    return features


def settled(name):
    """In evaluation, with statistics and biases that are not the initial ones."""
    network = make(name).train()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        network(speech(), LENGTHS)
    return network.eval()


def loss(network, features, lengths=LENGTHS):
    """A number that every frame of speech has a part in."""
    logits, lengths = network(features, lengths)
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2)).double()
    speech = (torch.arange(len(logits))[:, None] < lengths)[..., None]
    return (logits * weights).masked_fill(~speech, 0.0).sum()


def test_every_class_is_tried():
    assert {network for network, _ in TINY.values()} == set(NETWORKS.values())


@every_network
@pytest.mark.parametrize("garbage", [9.0, float("nan"), float("inf")])
@torch.no_grad()
def test_alone_equals_batch_whatever_stands_in_the_padding(name, garbage):
    network = settled(name)

    together, lengths = network(speech(garbage=garbage), LENGTHS)

    for row, length in enumerate(LENGTHS):
        alone, alone_lengths = network(speech()[row : row + 1, :length], length[None])
        assert alone_lengths[0] == lengths[row]
        ours = together[: lengths[row], row]
        torch.testing.assert_close(alone[: lengths[row], 0], ours, atol=1e-12, rtol=1e-9)
    assert together.isfinite().all()


@every_network
def test_statistics_and_gradients_do_not_depend_on_padding(name):
    tight, loose = make(name).train(), make(name).train()

    losses = loss(tight, speech()), loss(loose, torch.nn.functional.pad(
        speech(garbage=torch.nan), (0, 0, 0, 37), value=torch.nan
    ))  # fmt: skip

    for number in losses:
        number.backward()
    for (key, mine), theirs in zip(tight.named_buffers(), loose.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs, msg=key)
    for (key, mine), theirs in zip(tight.named_parameters(), loose.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, msg=key)


@every_network
@torch.no_grad()
def test_output_lengths_are_those_of_the_output(name):
    network, lengths = settled(name), torch.arange(50)

    logits, out_lengths = network(speech(lengths), lengths)

    assert network.output_lengths(lengths).tolist() == out_lengths.tolist()
    assert logits.shape == (out_lengths.max(), 50, CLASSES)
    # Never fewer than speech needs, nor a frame that stands for none.
    shortfall = out_lengths * network.subsampling_factor - lengths
    assert (shortfall >= 0).all()
    assert (out_lengths[lengths == 0] == 0).all()
    assert (out_lengths[lengths > 0] > 0).all()


@every_network
@pytest.mark.parametrize("frames", [0, 1, 2, 5])
def test_hardly_any_frames_train_and_evaluate(name, frames):
    network = make(name)
    for mode in (True, False):
        features, lengths = torch.ones(1, frames, BINS).double(), torch.tensor([frames])
        network.zero_grad()

        logits, lengths = network.train(mode)(features, lengths)
        (logits.sum() * 0.0).backward()

        assert lengths.tolist() == network.output_lengths(torch.tensor([frames])).tolist()
        assert len(logits) >= lengths[0]
        assert logits.isfinite().all()
        assert all((p.grad == 0).all() for p in network.parameters() if p.grad is not None)


@every_network
def test_gradient_reaches_every_parameter(name):
    network = make(name).train()

    loss(network, speech()).backward()

    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().max() > 1e-9, key


@every_network
def test_gradient_equals_finite_differences(name):
    network, features = make(name).train(), speech().requires_grad_()
    generator = torch.Generator().manual_seed(3)
    leaves = [features, *network.parameters()]
    steps = [torch.randn(x.shape, generator=generator).double() for x in leaves]

    loss(network, features).backward()

    slope = sum(((x.grad * step).sum() for x, step in zip(leaves, steps, strict=True)))
    values = []
    with torch.no_grad():
        for size in (1e-7, -2e-7):
            for x, step in zip(leaves, steps, strict=True):
                x += size * step
            values.append(loss(network, features))
    torch.testing.assert_close((values[0] - values[1]) / 2e-7, slope, rtol=1e-4, atol=1e-4)


@every_network
def test_no_gradient_flows_from_padding(name):
    features = speech().requires_grad_()

    loss(make(name).train(), features).backward()

    for row, length in enumerate(LENGTHS):
        assert (features.grad[row, length:] == 0).all()
        assert (features.grad[row, :length] != 0).any(dim=-1).all()


def frames_seen(network, frames, place):
    """Which frames in move the frame out at `place`: (T,) bool."""
    still = speech(torch.tensor([frames]))
    moved = still.repeat(frames, 1, 1)
    moved[range(frames), range(frames)] += 10 * torch.randn(frames, BINS).double()
    with torch.no_grad():
        expected, _ = network(still, torch.tensor([frames]))
        logits, _ = network(moved, torch.full((frames,), frames))
    # Sums of other batches round otherwise.
    return (logits[place] - expected[place]).abs().amax(-1) > 1e-12


@every_network
def test_receptive_field_is_what_moves_an_output(name):
    network = settled(name)
    field = network.receptive_field
    place = 20  # of the output, away from both ends
    frames = 2 * place * network.subsampling_factor

    seen = frames_seen(network, frames, place).nonzero()[:, 0]

    if field is None:
        assert seen[0] == 0  # all until then, or all
        assert name == "forward, look-ahead" or len(seen) == frames
        return
    assert len(seen) == seen[-1] - seen[0] + 1 == field
    centre = (seen[0] + seen[-1]) / 2
    assert abs(centre - place * network.subsampling_factor) < network.subsampling_factor


@pytest.mark.parametrize("name", [n for n in TINY if settled(n).receptive_field is not None])
@torch.no_grad()
def test_pieces_that_overlap_by_the_receptive_field_equal_the_whole(name):
    network = settled(name)
    factor = network.subsampling_factor
    margin = -(-network.receptive_field // factor)  # frames out
    features = speech(torch.tensor([200]))
    whole, _ = network(features, torch.tensor([200]))

    pieces = []
    for start in range(0, len(whole), 10):  # frames out
        first, last = max(start - margin, 0), start + 10 + margin
        piece = features[:, first * factor : last * factor]
        logits, _ = network(piece, torch.tensor([piece.shape[1]]))
        pieces.append(logits[start - first :][:10])

    torch.testing.assert_close(torch.cat(pieces), whole)


@needs_bfloat16
@every_network
def test_bfloat16_trains_and_is_near_float32(name):
    network, features = make(name).float(), speech().float()

    with torch.autocast("cpu", torch.bfloat16):
        logits, lengths = network(features, LENGTHS)
    logits.float().square().mean().backward()

    expected, _ = network(features, LENGTHS)
    frames = (torch.arange(len(logits))[:, None] < lengths)[..., None]
    assert ((logits.float() - expected).abs() * frames).max() < 0.15
    assert all(p.grad.isfinite().all() for p in network.parameters())


@every_network
@torch.no_grad()
def test_checkpoint_gives_back_the_network(name, tmp_path):
    target = next(key for key, value in NETWORKS.items() if value is TINY[name][0])
    model = tones.untrained_model(
        config=tones.CONFIG | {"model": TINY[name][1] | {"_target_": target}}
    )
    waveforms, lengths = torch.randn(2, 4000), torch.tensor([4000, 3000])
    model.network.train()
    model.network(*model.features(waveforms, lengths))

    save_checkpoint(tmp_path / "m.ckpt", model)

    loaded = load_checkpoint(tmp_path / "m.ckpt")
    for ours, theirs in zip(
        model.log_probs(waveforms, lengths), loaded.log_probs(waveforms, lengths), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@every_network
def test_rows_of_the_class_layer_are_the_classes(name):
    network = make(name)
    frames_out = getattr(network, "frames_out", 1)

    layer = network.get_submodule(network.class_layer)

    assert isinstance(layer, nn.Linear)
    assert layer.out_features == CLASSES * frames_out
    assert network.intermediate is None


BAD = [
    ("lstm", {"norm": "group"}, "norm must be batch, layer or none, got 'group'"),
    ("lstm", {"norm": None}, "norm must be batch, layer or none, got null"),
    ("lstm", {"batch_norm": False}, "norm=batch contradicts batch_norm=False, its older name"),
    (
        "lstm",
        {"bidirectional": False, "sum_directions": True},
        "sum_directions needs bidirectional=true, got bidirectional=false",
    ),
    (
        "vgg",
        {"depths": [1, 2]},
        "channels, depths and pools must have one entry a stage, got 3, 2, 3",
    ),
    ("vgg", {"depths": [1, 0, 1]}, "depths must be >= 1, got 0"),
    ("vgg", {"pools": [[2, 2], [0, 2], [1, 2]]}, r"strides must be >= 1, got \(0, 2\)"),
    ("vgg", {"context": 4}, r"kernel sizes must be odd, got \(4,\)"),
    ("vgg", {"hidden_size": 0}, "hidden_size must be >= 1, got 0"),
    ("resnet", {"strides": [[1, 1]]}, "channels, depths and strides must have one entry a stage"),
    ("resnet", {"stem_kernel": [4, 3]}, r"kernel sizes must be odd, got \(4, 3\)"),
    ("resnet", {"stem_channels": 0}, "stem_channels must be >= 1, got 0"),
    ("resnet", {"channels": [], "depths": [], "strides": []}, "one entry a stage, got 0, 0, 0"),
    ("densenet", {"compression": 0.0}, r"compression must be in \(0, 1\], got 0.0"),
    ("densenet", {"compression": 0.1}, r"compression=0.1 leaves none of 8 channels"),
    ("densenet", {"growth_rate": 0}, "growth_rate must be >= 1, got 0"),
    ("densenet", {"pools": []}, "pools must have one entry a transition, 1 for 2 blocks, got 0"),
    ("quartznet", {"kernels": [5, 3, 8, 5]}, r"kernel sizes must be odd, got \(8,\)"),
    ("quartznet", {"strides": [2, 2, 0, 1]}, r"strides must be >= 1, got \(0,\)"),
    ("quartznet", {"depths": [1, 2]}, "must have one entry a block, got 4, 4, 4, 2"),
    ("citrinet", {"squeeze_reduction": 7}, r"squeeze_reduction must be 0..6, got 7"),
    ("citrinet", {"squeeze_reduction": -1}, r"squeeze_reduction must be 0..6, got -1"),
    ("conformer", {"num_heads": 3}, "num_heads must divide the hidden_size 8, got 3"),
    ("conformer", {"hidden_size": 7}, "hidden_size must be even and >= 2, got 7"),
    ("conformer", {"conv_channels": []}, "conv_channels must have one entry a convolution, got 0"),
    ("conformer", {"kernel": 4}, r"kernel sizes must be odd, got \(4,\)"),
    ("conformer", {"expansion": 0}, "expansion must be >= 1, got 0"),
    *((name, {"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0") for name in TINY),
]


@pytest.mark.parametrize(("name", "change", "message"), BAD)
def test_option_out_of_range_is_refused_by_its_name(name, change, message):
    with pytest.raises(ValueError, match=message):
        make(name, **change)
