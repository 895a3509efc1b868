import pytest
import torch
from torch import nn
from waveform_networks import KINDS, LENGTHS, padded_frames, waveform_network


def settle(model):
    """Give batch norm statistics that are not its initial ones."""
    model.train()
    model(padded_frames(), LENGTHS)
    return model.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_network_alone_equals_batch(kind):
    model = settle(waveform_network(kind))

    together, lengths = model(padded_frames(garbage=9.0), LENGTHS)

    assert lengths.tolist() == model.output_lengths(LENGTHS).tolist() == [5, 7, 1, 3]
    for row, length in enumerate(LENGTHS):
        alone, _ = model(padded_frames()[row : row + 1, :length], length[None])
        torch.testing.assert_close(alone[:, 0], together[: lengths[row], row], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_training_statistics_do_not_depend_on_padding(kind):
    tight, loose = waveform_network(kind), waveform_network(kind)

    tight(padded_frames(), LENGTHS)
    loose(nn.functional.pad(padded_frames(), (0, 0, 0, 11), value=9.0), LENGTHS)

    for (name, mine), theirs in zip(
        tight.state_dict().items(), loose.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_never_flows_from_padding(kind):
    model = waveform_network(kind)
    frames = padded_frames().requires_grad_()

    logits, lengths = model(frames, LENGTHS)
    mask = torch.arange(len(logits))[:, None] < lengths
    logits[mask].square().sum().backward()

    assert frames.grad is not None
    for row, length in enumerate(LENGTHS):
        assert (frames.grad[row, length:] == 0).all()
        assert (frames.grad[row, :length] != 0).any()


def test_network_is_its_filters_and_its_body():
    model = settle(waveform_network("sinc"))

    logits, lengths = model(padded_frames(), LENGTHS)

    expected = model.body(model.filters(padded_frames(), LENGTHS), LENGTHS)
    torch.testing.assert_close((logits, lengths), expected)
    assert model.subsampling_factor == 2
    assert model.get_submodule(model.class_layer).out_features == 5
    assert model.intermediate is None


def test_the_body_may_have_an_intermediate_layer():
    layer = {"intermediate_layer": 1, "intermediate_frames": 2, "num_characters": 3}
    model = waveform_network("conv", **layer)

    logits, _, characters = model.with_characters(padded_frames(), LENGTHS)

    assert model.intermediate is model.body.intermediate
    assert logits.shape == (7, 4, 5)
    assert characters.shape == (14, 4, 3)
