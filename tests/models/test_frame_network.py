import pytest
import torch
from torch.nn.functional import linear

from asr.models import FrameNetwork

LENGTHS = torch.tensor([5, 9, 1])


def frame_network(**changes):
    torch.manual_seed(0)
    options = {"num_layers": 3, "hidden_size": 16, "dropout": 0.0}
    return FrameNetwork(12, 4, **(options | changes))


def padded_features(garbage=0.0):
    torch.manual_seed(1)
    features = torch.randn(3, 9, 12)
    for row, length in enumerate(LENGTHS):
        features[row, length:] = garbage
    return features


def test_every_frame_is_classified_by_itself():
    model = frame_network()

    together, lengths = model(padded_features(garbage=float("nan")), LENGTHS)

    assert together.shape == (9, 3, 4)
    assert lengths.tolist() == model.output_lengths(LENGTHS).tolist() == [5, 9, 1]
    for row, length in enumerate(LENGTHS):
        for frame in range(length):
            one = padded_features()[row : row + 1, frame : frame + 1]
            alone, _ = model(one, torch.tensor([1]))
            torch.testing.assert_close(alone[0, 0], together[frame, row], atol=1e-5, rtol=0)


def test_layers_are_sigmoids_of_affine_maps():
    model = frame_network().double()
    x = padded_features().double()

    logits, _ = model(x, LENGTHS)

    state = model.state_dict()
    for n in range(3):
        x = 1 / (1 + torch.exp(-linear(x, state[f"layers.{n}.weight"], state[f"layers.{n}.bias"])))
    expected = linear(x, state["linear.weight"], state["linear.bias"]).transpose(0, 1)
    mask = torch.arange(9)[:, None] < LENGTHS
    torch.testing.assert_close(logits[mask], expected[mask])


def test_five_layers_pass_what_tells_frames_apart():
    model = frame_network(num_layers=5, hidden_size=256)
    deviations = []
    for layer in model.layers:
        layer.register_forward_hook(
            lambda module, args, output: deviations.append(float(output.std(dim=(0, 1)).mean()))
        )

    with torch.no_grad():
        model(torch.randn(4, 50, 12), torch.full((4,), 50))

    # Weights of deviation 1 / sqrt(H) leave a thousandth: a constant, and CTC gives but blanks.
    assert min(deviations) > 0.1


def test_gradient_never_flows_from_padding():
    model = frame_network()
    features = padded_features().requires_grad_()

    logits, lengths = model(features, LENGTHS)
    logits[torch.arange(9)[:, None] < lengths].square().sum().backward()

    assert features.grad is not None
    for row, length in enumerate(LENGTHS):
        assert (features.grad[row, length:] == 0).all()
        assert (features.grad[row, :length] != 0).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_layers": 0}, "num_layers must be >= 1, got 0"),
        ({"hidden_size": 0}, "hidden_size must be >= 1, got 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
    ],
)
def test_frame_network_refuses_parameters_out_of_range(change, message):
    with pytest.raises(ValueError, match=message):
        frame_network(**change)
