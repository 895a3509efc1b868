import pytest
import torch

from asr.models import DeepSpeech2
from asr.models.blocks import CELLS
from asr.models.streaming import (
    advance,
    check_network,
    first_state,
    frames_ahead,
    split_state,
    stack_states,
)

BINS, CLASSES = 12, 5
SMALL = {
    "conv_channels": [3, 4],
    "conv_kernels": [[5, 5], [3, 3]],
    "conv_strides": [[2, 2], [2, 1]],
    "cell": "gru",
    "num_layers": 2,
    "hidden_size": 6,
    "bidirectional": False,
    "lookahead": 3,
    "norm": "batch",
    "dropout": 0.1,
}
KINDS = {
    **{cell: {"cell": cell} for cell in CELLS},
    "without look-ahead": {"lookahead": 0},
    "layer norms": {"norm": "layer"},
    "shortcuts": {"shortcuts": True, "num_layers": 3},
    "two frames out": {"frames_out": 2},
    "strides that step over frames": {
        "conv_kernels": [[1, 3], [3, 3]],
        "conv_strides": [[3, 2]] * 2,
    },
    "no strides": {"conv_strides": [[1, 1], [1, 1]]},
}


def network(**changes):
    """A network whose statistics are none of a beginner's."""
    torch.manual_seed(0)
    made = DeepSpeech2(BINS, CLASSES, **(SMALL | changes))
    for name, buffer in made.named_buffers():
        buffer.add_(torch.rand_like(buffer) if name.endswith("var") else torch.randn_like(buffer))
    return made.eval()


def in_pieces(model, features, sizes):
    """Logits of features (N, T, F) in pieces of these sizes, and one of what is left."""
    state = stack_states([first_state(model, BINS)] * len(features))
    logits = []
    for size in sizes:
        new, state = advance(model, features[:, :size], state, is_last=False)
        logits.append(new)
        features = features[:, size:]
    return torch.cat([*logits, advance(model, features, state, is_last=True)[0]])


@torch.no_grad()
def whole(model, features):
    lengths = torch.full([len(features)], features.shape[1])
    logits, output_lengths = model(features, lengths)
    return logits[: output_lengths[0]]


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_equal_the_whole(kind):
    model = network(**KINDS[kind])
    features = torch.randn(2, 67, BINS)

    for sizes in ([], [1] * 67, [0, 3, 40, 0, 1], [67]):
        pieces = in_pieces(model, features, sizes)

        torch.testing.assert_close(pieces, whole(model, features), atol=1e-5, rtol=0)


@pytest.mark.parametrize("num_frames", range(8))
def test_short_utterances_equal_the_whole(num_frames):
    model = network()
    features = torch.randn(1, num_frames, BINS)

    pieces = in_pieces(model, features, [1] * num_frames)

    torch.testing.assert_close(pieces, whole(model, features), atol=1e-5, rtol=0)


def test_frames_come_as_soon_as_their_future():
    model = network()
    # 2 frames by the first convolution, 1 x 2 by the second, 3 x 4 by the look-ahead.
    assert frames_ahead(model) == (4, 12)
    features = torch.randn(1, 17, BINS)

    early, state = advance(model, features[:, :16], first_state(model, BINS), is_last=False)
    late, _ = advance(model, features[:, 16:], state, is_last=False)

    assert (len(early), len(late)) == (0, 1)


def test_stacked_states_advance_as_each_alone():
    model = network(cell="lstm")
    features = torch.randn(3, 50, BINS)
    alone = [advance(model, row[None], first_state(model, BINS), is_last=False) for row in features]

    logits, state = advance(
        model, features, stack_states([first_state(model, BINS)] * 3), is_last=False
    )

    torch.testing.assert_close(logits, torch.cat([own for own, _ in alone], dim=1))
    for (_, own), part in zip(alone, split_state(state), strict=True):
        assert own.shape == part.shape
        torch.testing.assert_close(part, own)


def test_state_does_not_grow():
    model = network()
    state, sizes = first_state(model, BINS), []
    for _ in range(30):
        _, state = advance(model, torch.randn(1, 20, BINS), state, is_last=False)
        tensors = [*state.convs, *(part for cell in state.cells for part in cell), state.ahead]
        sizes.append(sum(tensor.numel() for tensor in tensors))

    assert len(set(sizes[5:])) == 1


def test_two_directions_are_refused_with_what_to_do():
    with pytest.raises(ValueError, match=r"bidirectional=true needs .* model=ds2_lookahead"):
        check_network(network(bidirectional=True, lookahead=0))


def test_other_networks_are_refused():
    with pytest.raises(
        ValueError, match="a Linear does not stream: train with model=ds2_lookahead"
    ):
        check_network(torch.nn.Linear(2, 2))
