import pytest
import tones
import torch
from torch import nn

from asr.acoustic.checkpoint import load_checkpoint, save_checkpoint
from asr.models import DeepSpeech2
from asr.models.blocks import CELLS, Lookahead, MaskedBatchNorm, RecurrentBlock, reversal
from asr.models.clipped_rnn import ClippedRNN
from asr.models.convolutions import ConvBlock

OPTIONS = {
    "conv_channels": [4, 6],
    "conv_kernels": [(5, 7), (3, 5)],
    "conv_strides": [(2, 2), (2, 2)],
    "cell": "lstm",
    "num_layers": 2,
    "hidden_size": 8,
    "bidirectional": True,
    "lookahead": 0,
    "norm": "batch",
    "dropout": 0.0,
}
LENGTHS = torch.tensor([23, 40, 1, 17])


def deep_speech(**changes):
    torch.manual_seed(0)
    return DeepSpeech2(20, 5, **(OPTIONS | changes))


def padded_features(garbage=0.0):
    torch.manual_seed(1)
    features = torch.randn(len(LENGTHS), int(LENGTHS.max()), 20)
    for row, length in enumerate(LENGTHS):
        features[row, length:] = garbage
    return features


def settle(model):
    """Give batch norm statistics that are not its initial ones."""
    model.train()
    model(padded_features(), LENGTHS)
    return model.eval()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "direction",
    [{"bidirectional": True}, {"bidirectional": False}, {"bidirectional": True, "shortcuts": True}],
)
def test_model_alone_equals_batch(cell, direction):
    model = settle(deep_speech(cell=cell, **direction))

    together, lengths = model(padded_features(garbage=9.0), LENGTHS)

    for row, length in enumerate(LENGTHS):
        alone, alone_length = model(padded_features()[row : row + 1, :length], length[None])
        assert alone_length[0] == lengths[row]
        torch.testing.assert_close(alone[:, 0], together[: lengths[row], row], atol=1e-5, rtol=0)


def test_model_with_lookahead_alone_equals_batch():
    model = settle(deep_speech(bidirectional=False, lookahead=3))

    together, lengths = model(padded_features(), LENGTHS)

    for row, length in enumerate(LENGTHS):
        alone, _ = model(padded_features()[row : row + 1, :length], length[None])
        torch.testing.assert_close(alone[:, 0], together[: lengths[row], row], atol=1e-5, rtol=0)


def test_model_with_two_frames_out_alone_equals_batch():
    model = settle(deep_speech(frames_out=2))

    together, lengths = model(padded_features(garbage=9.0), LENGTHS)

    assert model.subsampling_factor == 2
    assert together.shape == (20, 4, 5)
    assert lengths.tolist() == model.output_lengths(LENGTHS).tolist() == [12, 20, 2, 10]
    for row, length in enumerate(LENGTHS):
        alone, _ = model(padded_features()[row : row + 1, :length], length[None])
        torch.testing.assert_close(alone[:, 0], together[: lengths[row], row], atol=1e-5, rtol=0)


def test_two_frames_out_are_two_rows_of_the_last_layer_in_order_of_time():
    one, two = deep_speech(), deep_speech(frames_out=2)
    state = one.state_dict()
    later = {"linear.weight": -state["linear.weight"], "linear.bias": state["linear.bias"] + 1}
    two.load_state_dict(state | {k: torch.cat([state[k], later[k]]) for k in later})
    features = padded_features()

    single, double = one.eval()(features, LENGTHS)[0], two.eval()(features, LENGTHS)[0]

    torch.testing.assert_close(double[0::2], single)
    torch.testing.assert_close(double[1::2], 2 * state["linear.bias"] + 1 - single)


def test_training_statistics_do_not_depend_on_padding():
    tight, loose = deep_speech(), deep_speech()
    features = padded_features()

    tight_logits, lengths = tight(features, LENGTHS)
    loose_logits, _ = loose(nn.functional.pad(features, (0, 0, 0, 37)), LENGTHS)

    for row, length in enumerate(lengths):
        torch.testing.assert_close(
            tight_logits[:length, row], loose_logits[:length, row], atol=1e-4, rtol=0
        )
    for (name, mine), theirs in zip(
        tight.state_dict().items(), loose.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4, msg=name)


def test_output_length_is_ceil_of_stride():
    model = deep_speech()

    assert model.output_lengths(torch.arange(9)).tolist() == [0, 1, 1, 1, 1, 2, 2, 2, 2]
    logits, lengths = model(padded_features(), LENGTHS)
    assert logits.shape == (10, 4, 5)
    assert lengths.tolist() == [6, 10, 1, 5]


def test_gradient_never_flows_from_padding():
    model = deep_speech()
    features = padded_features().requires_grad_()

    logits, lengths = model(features, LENGTHS)
    mask = torch.arange(len(logits))[:, None] < lengths
    logits[mask].square().sum().backward()

    assert features.grad is not None
    for row, length in enumerate(LENGTHS):
        assert (features.grad[row, length:] == 0).all()
        assert (features.grad[row, :length] != 0).any()


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_recurrent_block_equals_packed_bidirectional_layer(cell):
    block = RecurrentBlock(6, 5, cell, bidirectional=True, norm="none")
    packed = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[cell](6, 5, bidirectional=True)
    state = block.forwards.state_dict()
    state |= {f"{k}_reverse": v for k, v in block.backwards.state_dict().items()}
    packed.load_state_dict(state)
    x = torch.randn(9, 3, 6)
    lengths = torch.tensor([9, 4, 1])
    mask = (torch.arange(9)[:, None] < lengths)[..., None]

    ours = block(x * mask, lengths)

    sequence = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    theirs, _ = nn.utils.rnn.pad_packed_sequence(packed(sequence)[0], total_length=9)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_directions_are_added_or_stand_side_by_side():
    side_by_side = RecurrentBlock(6, 5, "gru", bidirectional=True, norm="none")
    added = RecurrentBlock(6, 5, "gru", bidirectional=True, norm="none", sum_directions=True)
    added.load_state_dict(side_by_side.state_dict())
    x, lengths = torch.randn(9, 3, 6), torch.tensor([9, 4, 1])

    both = side_by_side(x, lengths)

    assert (side_by_side.output_size, added.output_size) == (10, 5)
    torch.testing.assert_close(added(x, lengths), both[..., :5] + both[..., 5:])


def test_layer_norm_equals_torchs_on_each_frame():
    model, seen = deep_speech(norm="layer").train(), {}
    model.layers[1].norm.register_forward_hook(lambda module, args, y: seen.update(x=args[0], y=y))

    _, lengths = model(padded_features(), LENGTHS)

    mask = torch.arange(len(seen["y"]))[:, None] < lengths
    expected = nn.functional.layer_norm(seen["x"], (16,))
    torch.testing.assert_close(seen["y"][mask], expected[mask])
    assert (seen["y"][~mask] == 0).all()
    assert isinstance(model.norm, nn.LayerNorm)


@torch.no_grad()
def test_clipped_recurrence_equals_its_equation():
    layer = ClippedRNN(3, 4).double()
    layer.recurrent.weight.mul_(4)
    x = 20 * torch.randn(50, 2, 3).double()

    states, last = layer(x)

    state = torch.zeros(2, 4).double()
    for t in range(50):
        drive = x[t] @ layer.input.weight.T + state @ layer.recurrent.weight.T + layer.input.bias
        state = drive.clamp(0, 20)
        torch.testing.assert_close(states[t], state)
    assert torch.equal(last, states[-1:])
    assert (states == 20).any()
    assert (states == 0).any()


@torch.no_grad()
def test_clipped_recurrence_below_the_clip_equals_torchs():
    ours, theirs = ClippedRNN(3, 4).double(), nn.RNN(3, 4, nonlinearity="relu").double()
    state = {"weight_ih_l0": ours.input.weight, "weight_hh_l0": ours.recurrent.weight}
    zero = torch.zeros(4)
    theirs.load_state_dict(state | {"bias_ih_l0": ours.input.bias, "bias_hh_l0": zero})
    x = torch.randn(20, 2, 3).double()

    torch.testing.assert_close(ours(x)[0], theirs(x)[0])


@pytest.mark.parametrize(("batch_norm", "norm"), [(True, "batch"), (False, "none")])
def test_model_file_of_before_norms_had_names_is_loaded(tmp_path, batch_norm, norm):
    options = {key: value for key, value in tones.CONFIG["model"].items() if key != "norm"}
    old = tones.untrained_model(
        config=tones.CONFIG | {"model": options | {"num_layers": 2, "batch_norm": batch_norm}}
    )
    save_checkpoint(tmp_path / "old.ckpt", old)

    loaded = load_checkpoint(tmp_path / "old.ckpt").network

    new = tones.untrained_model(
        config=tones.CONFIG | {"model": options | {"num_layers": 2, "norm": norm}}
    ).network
    assert list(loaded.state_dict()) == list(new.state_dict())
    new.load_state_dict(loaded.state_dict())
    features, lengths = torch.randn(2, 30, 16), torch.tensor([30, 20])
    torch.testing.assert_close(loaded(features, lengths), new.eval()(features, lengths))


def test_reversal_is_its_own_inverse():
    order = reversal(torch.tensor([4, 2, 0]), 4)

    assert order[:, 0].tolist() == [3, 2, 1, 0]
    assert order[:, 1].tolist() == [1, 0, 2, 3]
    assert order[:, 2].tolist() == [0, 1, 2, 3]
    assert (order.gather(0, order) == torch.arange(4)[:, None]).all()


def test_batch_norm_equals_torch_on_the_speech_alone():
    ours, theirs = MaskedBatchNorm(6, feature_dim=-1), nn.BatchNorm1d(6)
    x = torch.randn(9, 3, 6) * 2 + 1
    mask = (torch.arange(9)[:, None] < torch.tensor([9, 4, 1]))[..., None]

    result = ours(x * mask, mask)

    expected = theirs(x[mask[..., 0]])
    torch.testing.assert_close(result[mask[..., 0]], expected, atol=1e-5, rtol=0)
    assert (result[~mask[..., 0]] == 0).all()
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var, atol=1e-5, rtol=1e-5)


def test_batch_norm_of_no_speech_leaves_its_statistics():
    norm = MaskedBatchNorm(6, feature_dim=-1)

    result = norm(torch.zeros(4, 2, 6), torch.zeros(4, 2, 1, dtype=torch.bool))

    assert (result == 0).all()
    assert (norm.running_mean == 0).all()


def test_lookahead_sees_exactly_its_context():
    layer = Lookahead(2, context=2)
    with torch.no_grad():
        layer.conv.weight.fill_(1.0)
    x = torch.arange(5.0)[:, None, None].expand(5, 1, 2)

    y = layer(x)[:, 0, 0]

    assert y.tolist() == [0 + 1 + 2, 1 + 2 + 3, 2 + 3 + 4, 3 + 4, 4]


def test_convolution_keeps_frames_centred():
    block = ConvBlock(1, 1, kernel=(3, 1), stride=(1, 1), activation=nn.Identity()).eval()
    with torch.no_grad():
        block.conv.weight.copy_(torch.tensor([0.0, 1.0, 0.0]).view(1, 1, 3, 1))
    x = torch.arange(1.0, 6.0).view(1, 1, 5, 1)

    y, _ = block(x, torch.tensor([5]))

    torch.testing.assert_close(y, x, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_layers": 0}, "num_layers must be >= 1, got 0"),
        ({"hidden_size": 0}, "hidden_size must be >= 1, got 0"),
        ({"frames_out": 3}, "frames_out must divide the time stride 4, got 3"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"cell": "sru"}, "cell must be one of"),
        ({"lookahead": 2}, "lookahead needs bidirectional=false"),
        ({"conv_kernels": [(4, 7), (3, 5)]}, "kernel sizes must be odd"),
        ({"conv_strides": [(2, 2)]}, "one entry a convolution"),
        ({"conv_strides": [(0, 2), (2, 2)]}, "strides must be >= 1"),
    ],
)
def test_model_refuses_parameters_out_of_range(change, message):
    with pytest.raises(ValueError, match=message):
        deep_speech(**change)


def test_lookahead_refuses_no_context():
    with pytest.raises(ValueError, match="context must be >= 1"):
        Lookahead(2, 0)


def test_shortcuts_add_what_went_in():
    model, seen = settle(deep_speech(shortcuts=True, num_layers=3)), []
    for layer in model.layers:
        layer.register_forward_hook(lambda module, args, output: seen.append((args[0], output)))
    mask = {}
    model.norm.register_forward_hook(lambda module, args, output: mask.update(x=args[0]))

    model(padded_features(), LENGTHS)

    (_, first), (second_in, second), (third_in, third) = seen
    torch.testing.assert_close(second_in, first)
    torch.testing.assert_close(third_in, first + second)
    torch.testing.assert_close(mask["x"], first + second + third)


INTERMEDIATE = {"intermediate_layer": 1, "intermediate_frames": 2, "num_characters": 3}


def test_an_intermediate_layer_changes_no_logits():
    plain, model = settle(deep_speech()), settle(deep_speech(**INTERMEDIATE))
    model.load_state_dict(plain.state_dict(), strict=False)

    torch.testing.assert_close(
        model(padded_features(), LENGTHS), plain(padded_features(), LENGTHS), rtol=0, atol=0
    )


def test_characters_come_from_the_layer_that_is_named():
    model = deep_speech(**INTERMEDIATE).train()
    seen = []
    model.layers[0].register_forward_hook(lambda module, args, output: seen.append(output))

    _, lengths, characters = model.with_characters(padded_features(garbage=9.0), LENGTHS)

    frames = len(seen[0])  # T', of which each gives two frames of characters
    assert characters.shape == (2 * frames, len(LENGTHS), 3)
    mask = (torch.arange(frames)[:, None] < lengths)[..., None]
    head = model.intermediate
    by_hand = head.linear(head.norm(seen[0], mask))  # (T', N, 6)
    torch.testing.assert_close(characters[::2], by_hand[..., :3])
    torch.testing.assert_close(characters[1::2], by_hand[..., 3:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"intermediate_layer": 3}, "intermediate_layer must be 0..num_layers=2, got 3"),
        ({"intermediate_frames": 3}, "intermediate_frames must divide the time stride 4, got 3"),
    ],
)
def test_intermediate_options_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        deep_speech(**(INTERMEDIATE | changes))
