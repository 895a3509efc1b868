"""Convolutional layers against their definitions, and cases by hand."""

import pytest
import torch
from torch import nn

from asr.models.convolutions import (
    ConvStack,
    DepthwiseConv,
    MaxPool,
    MeanPool,
    SqueezeExcitation,
    clear_padding,
)
from asr.models.densenet import DenseLayer, Transition
from asr.models.quartznet import SeparableBlock, SeparableConv
from asr.models.receptive_field import EVERYTHING, Window, ceil_div, receptive_field
from asr.models.resnet import ResidualBlock
from asr.models.vgg import AllBins


def settle(module):
    """In evaluation, with statistics that are not the initial ones."""
    generator = torch.Generator().manual_seed(5)
    for name, buffer in module.named_buffers():
        draw = torch.rand(buffer.shape, generator=generator).to(buffer)
        buffer.copy_(draw + 0.5 if name.endswith("var") else draw)
    return module.eval()


def torch_norm(norm):
    """PyTorch's batch norm with the numbers of ours, over dimension 1."""
    theirs = nn.BatchNorm1d(len(norm.weight)).to(norm.weight.dtype).eval()
    theirs.load_state_dict(norm.state_dict(), strict=False)
    return theirs


@pytest.mark.parametrize(
    ("windows", "frames"),
    [
        ([], 1),
        ([Window(3)], 3),
        ([Window(3), Window(3)], 5),
        ([Window(3, 2), Window(3)], 7),  # 3 frames, 2 apart, of 3 each
        ([Window(2, 2), Window(2, 2), Window(5)], 20),
        ([Window(1, 4), Window(3, 2), Window(2)], 17),
        ([Window(3), EVERYTHING, Window(3)], None),
    ],
)
def test_receptive_field_by_hand(windows, frames):
    assert receptive_field(windows) == frames


def test_ceil_div_of_numbers_and_tensors():
    assert [ceil_div(count, 3) for count in range(8)] == [0, 1, 1, 1, 2, 2, 2, 3]
    assert ceil_div(torch.arange(8), 3).tolist() == [0, 1, 1, 1, 2, 2, 2, 3]


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (5, 1), (5, 2), (3, 3)])
def test_depthwise_convolution_equals_torchs_over_time(kernel, stride):
    ours = DepthwiseConv(4, kernel, stride).double()
    theirs = nn.Conv1d(4, 4, kernel, stride, kernel // 2, groups=4, bias=False).double()
    theirs.weight = nn.Parameter(ours.conv.weight[..., 0])
    x = torch.randn(2, 11, 4).double()

    torch.testing.assert_close(ours(x), theirs(x.transpose(1, 2)).transpose(1, 2))


@torch.no_grad()
def test_separable_convolution_equals_torchs_layers_one_after_the_other():
    ours = settle(SeparableConv(4, 6, kernel=5, stride=2)).double()
    depthwise = nn.Conv1d(4, 4, 5, 2, 2, groups=4, bias=False).double()
    depthwise.weight = nn.Parameter(ours.depthwise.conv.weight[..., 0])
    pointwise = nn.Conv1d(4, 6, 1, bias=False).double()
    pointwise.weight = nn.Parameter(ours.pointwise.linear.weight[..., None])
    theirs = nn.Sequential(depthwise, pointwise, torch_norm(ours.pointwise.norm))
    x = torch.randn(2, 11, 4).double()

    y, lengths = ours(x, torch.tensor([11, 11]))

    assert lengths.tolist() == [6, 6]
    torch.testing.assert_close(y, theirs(x.transpose(1, 2)).transpose(1, 2))


@torch.no_grad()
def test_squeeze_excitation_equals_its_definition():
    layer = SqueezeExcitation(4, reduction=2).double()
    x = torch.randn(2, 5, 4).double()
    x[1, 3:] = 0.0

    y = layer(x, torch.tensor([5, 3]))

    first, second = layer.gate[0].weight, layer.gate[2].weight
    for row, length in enumerate([5, 3]):
        mean = x[row, :length].mean(0)
        scale = 1 / (1 + torch.exp(-second @ (first @ mean).clamp_min(0)))
        torch.testing.assert_close(y[row], x[row] * scale)


@torch.no_grad()
def test_block_of_separable_convolutions_by_its_equation():
    block = settle(SeparableBlock(4, 6, 3, 2, 2, squeeze_reduction=3, dropout=0.5)).double()
    x, lengths = torch.randn(1, 9, 4).double(), torch.tensor([9])
    halved = torch.tensor([5])

    y, out_lengths = block(x, lengths)

    first, _ = block.convs[0](x, lengths)  # (1, 9, 6): the stride is the last convolution's
    second, _ = block.convs[1](first.relu(), lengths)
    way_around = block.shortcut(x[:, ::2], halved)
    assert out_lengths.tolist() == [5]
    torch.testing.assert_close(y, (block.squeeze(second, halved) + way_around).relu())
    assert SeparableBlock(4, 6, 3, 2, 1, 0, 0.0).shortcut is None


def test_max_pool_by_hand():
    x = torch.tensor([[1.0, 5, 2], [3, 0, 0], [4, 0, 7]])[None, None]  # 3 frames, 3 bins

    y, lengths = MaxPool((2, 2))(x, torch.tensor([3]))

    assert y[0, 0].tolist() == [[5, 2], [4, 7]]
    assert lengths.tolist() == [2]


def test_mean_pool_counts_speech_alone():
    x = torch.tensor([[1.0, 5, 2], [3, 3, 0], [4, 0, 7], [0, 0, 0]])[None, None]

    y, lengths = MeanPool((2, 2))(x, torch.tensor([3]))

    assert y[0, 0].tolist() == [[3, 1], [2, 7]]
    assert lengths.tolist() == [2]


def test_mean_pool_of_a_cell_without_speech_is_zero():
    y, _ = MeanPool((2, 2))(torch.zeros(1, 1, 4, 2, requires_grad=True), torch.tensor([1]))

    y.sum().backward()

    assert y[0, 0].tolist() == [[0], [0]]


@torch.no_grad()
def test_residual_block_adds_what_came_in():
    block = settle(ResidualBlock(3, 3, (1, 1))).double()
    x, lengths = torch.randn(1, 3, 6, 5).double(), torch.tensor([6])

    y, _ = block(x, lengths)

    inner, _ = block.second(block.first(x, lengths)[0], lengths)
    torch.testing.assert_close(y, (inner + x).relu())


@pytest.mark.parametrize(
    ("in_channels", "stride", "projected"),
    [(3, (1, 1), False), (2, (1, 1), True), (3, (2, 1), True), (3, (1, 2), True)],
)
def test_residual_block_projects_where_sizes_differ(in_channels, stride, projected):
    block = ResidualBlock(in_channels, 3, stride)

    y, lengths = block(torch.ones(1, in_channels, 5, 7), torch.tensor([5]))

    assert (block.shortcut is not None) == projected
    assert y.shape == (1, 3, -(-5 // stride[0]), -(-7 // stride[1]))
    assert lengths.tolist() == [y.shape[2]]


def test_dense_block_grows_by_its_rate_and_a_transition_compresses():
    lengths = torch.tensor([6])
    stack = [DenseLayer(5 + 3 * number, growth_rate=3, dropout=0.0) for number in range(4)]
    x, sizes = torch.randn(1, 5, 6, 8), []
    for layer in stack:
        y, _ = layer(x, lengths)
        assert torch.equal(y[:, : x.shape[1]], x)  # what came in is passed on
        x = y
        sizes.append(x.shape[1])

    halved, halved_lengths = Transition(17, 0.6, (2, 4))(x, lengths)

    assert sizes == [8, 11, 14, 17]  # k0 + k l
    assert halved.shape == (1, 10, 3, 2)  # floor(0.6 x 17) = 10
    assert halved_lengths.tolist() == [3]


@torch.no_grad()
def test_composite_layer_by_its_equation():
    layer = settle(DenseLayer(5, growth_rate=2, dropout=0.0)).double()
    x = torch.randn(1, 5, 6, 4).double()

    y, _ = layer(x, torch.tensor([6]))

    inner = layer.narrow(torch_norm(layer.norm_in.norm)(x.flatten(2)).view_as(x).relu())
    assert inner.shape[1] == 4 * 2
    inner = torch_norm(layer.norm.norm)(inner.flatten(2)).view_as(inner).relu()
    torch.testing.assert_close(y, torch.cat([x, layer.conv(inner)], dim=1))


@torch.no_grad()
def test_all_bins_give_one_number_a_frame():
    layer = settle(AllBins(2, bins=4, size=3, context=3)).double()
    x = torch.randn(1, 2, 5, 4).double()

    y, _ = layer(x, torch.tensor([5]))

    assert y.shape == (1, 3, 5, 1)
    padded = nn.functional.pad(x, (0, 0, 1, 1))[0]  # (2, 7, 4)
    sums = [(layer.conv.weight * padded[:, t : t + 3]).sum((1, 2, 3)) for t in range(5)]
    expected = torch_norm(layer.norm)(torch.stack(sums)).relu()  # (5, 3)
    torch.testing.assert_close(y[0, :, :, 0].T, expected)


def test_padding_is_cleared_and_no_frames_become_one_of_padding():
    features = torch.full((2, 3, 2), torch.nan)
    features[0, :2] = 1.0

    assert clear_padding(features, torch.tensor([2, 0])).sum() == 4
    assert clear_padding(torch.ones(2, 0, 4), torch.tensor([0, 0])).tolist() == [[[0] * 4]] * 2


def test_stack_without_layers_lays_bins_beside_each_other():
    x, lengths = ConvStack()(torch.arange(6.0).view(1, 2, 3), torch.tensor([2]))

    assert x.tolist() == [[[0, 1, 2]], [[3, 4, 5]]]  # (T, N, F)
    assert lengths.tolist() == [2]
