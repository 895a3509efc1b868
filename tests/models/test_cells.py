"""Recurrent layers against their equations, and what they share with PyTorch's."""

import copy

import pytest
import torch
from recurrent_layers import LAYERS, LSTMS, F, H, N, T, as_lstm, by_gate, inputs, make, oracle
from torch._subclasses import FakeTensorMode
from torch.nn import functional

from asr.models import lstm_operator
from asr.models.blocks import RecurrentBlock
from asr.models.cells import IdentityRNN, PeepholeLSTM
from asr.models.lstm_equations import follow
from tests.oracles import cells


def gradients(result, layer, *tensors):
    """Of a sum that weighs every entry of the results by another factor."""
    torch.manual_seed(2)
    total = sum((part * torch.randn(part.shape, dtype=torch.float64)).sum() for part in result)
    return torch.autograd.grad(total, [*tensors, *layer.parameters()])


@pytest.mark.parametrize("layer", LSTMS)
def test_layer_and_gradient_follow_the_equations(layer):
    layer, (x, state) = make(layer), inputs()

    hidden, (last_hidden, last_cell) = layer(x, state)

    expected = oracle(layer, x, state)
    torch.testing.assert_close(hidden, expected["h"], rtol=0, atol=1e-13)
    torch.testing.assert_close(last_hidden[0], expected["h"][-1], rtol=0, atol=1e-13)
    torch.testing.assert_close(last_cell[0], expected["c"][-1], rtol=0, atol=1e-13)
    ours = gradients((hidden, last_cell[0]), layer, x, *state)
    theirs = gradients((expected["h"], expected["c"][-1]), layer, x, *state)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-12)


def test_irnn_follows_the_equation():
    layer, (x, (h, _)) = make(IdentityRNN), inputs()

    found = layer(x, h)[0]

    bias = layer.bias_ih_l0 + layer.bias_hh_l0
    expected = cells.irnn(x, h[0], layer.weight_ih_l0, layer.weight_hh_l0, bias)["h"]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    assert 0.2 < (found == 0).double().mean() < 0.8


@pytest.mark.parametrize("layer", LSTMS)
def test_gradient_is_that_of_finite_differences(layer):
    layer = make(layer)
    x, state = inputs(3, 2)
    assert torch.autograd.gradcheck(lambda x, h, c: layer(x, (h, c))[0], (x, *state))

    def of_weights(*weights):
        names = [name for name, _ in layer.named_parameters()]
        y, (_, c) = torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), x)
        return y, c

    assert torch.autograd.gradcheck(of_weights, [*layer.parameters()], fast_mode=True)


@pytest.mark.parametrize("layer", LSTMS)
def test_float32_is_float64_to_its_last_digits(layer):
    layer, (x, state) = make(layer), inputs(30)
    single = copy.deepcopy(layer).float()

    found = single(x.float(), tuple(part.float() for part in state))[0]
    expected = layer(x, state)[0]

    torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-6)
    for mine, other in zip(
        gradients([found], single, x), gradients([expected], layer, x), strict=True
    ):
        scale = other.abs().max().item()
        torch.testing.assert_close(mine.double(), other, rtol=0, atol=5e-6 * scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_peepholes_it_is_the_lstm_of_pytorch(dtype):
    layer, (x, state) = make(PeepholeLSTM, dtype), inputs(dtype=dtype)
    lstm = as_lstm(layer)

    for given in (None, state):
        ours, theirs = layer(x, given), lstm(x, given)
        torch.testing.assert_close(ours[0], theirs[0])
        torch.testing.assert_close(ours[1], theirs[1])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30, -1e30])
def test_what_is_not_finite_goes_where_it_goes_in_pytorch(value):
    layer, (x, _) = make(PeepholeLSTM, torch.float32), inputs(dtype=torch.float32)
    lstm = as_lstm(layer)
    x = x.detach().clone()
    x[1, 3, 0] = value

    found, expected = layer(x)[0], lstm(x)[0]

    torch.testing.assert_close(found, expected, equal_nan=True)
    assert found[:, :3].isfinite().all()
    assert found[1:, 3].isnan().all() == (value != value)


@pytest.mark.parametrize("layer", LAYERS)
def test_nan_stays_in_its_utterance_from_its_frame_on(layer):
    layer, (x, _) = make(layer, torch.float32), inputs(dtype=torch.float32)
    x = x.detach().clone()
    x[2, 1] = float("nan")

    found = layer(x)[0].isnan()

    assert found[2:, 1].all()
    assert found.sum() == (T - 2) * H


@pytest.mark.parametrize("layer", LAYERS)
def test_one_utterance_or_one_frame_is_what_it_is_among_others(layer):
    layer, (x, _) = make(layer, torch.float32), inputs(dtype=torch.float32)

    together = layer(x)[0]

    for n in range(N):
        alone = layer(x[:, n : n + 1])[0]
        torch.testing.assert_close(alone[:, 0], together[:, n], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(layer(x[:1])[0], together[:1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("layer", LSTMS)
@pytest.mark.parametrize("shape", [(0, 2), (2, 0)])
def test_no_frames_and_no_utterances_give_none(layer, shape):
    layer, (x, state) = make(layer), inputs(*shape)

    hidden, after = layer(x, state)

    assert hidden.shape == (*shape, H)
    if not shape[0]:
        torch.testing.assert_close(after, state)
    hidden.sum().backward()


@pytest.mark.parametrize("layer", LAYERS)
def test_state_after_some_frames_is_that_before_the_others(layer):
    layer, (x, _) = make(layer), inputs()

    first, state = layer(x[:3])
    second, _ = layer(x[3:], state)

    torch.testing.assert_close(torch.cat([first, second]), layer(x)[0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("layer", LAYERS)
def test_strides_of_the_input_and_of_the_gradient_do_not_matter(layer):
    layer, (x, _) = make(layer), inputs()
    strided = x.detach().permute(2, 1, 0).contiguous().permute(2, 1, 0).requires_grad_()
    assert not strided.is_contiguous()

    found, expected = layer(strided)[0], layer(x)[0]

    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    # A sum's gradient has strides of zero, a transposed one's are of another order.
    factors = torch.randn(H, N, T, dtype=x.dtype)
    for y, of in ((found, strided), (expected, x)):
        (y.sum() + (y.permute(2, 1, 0) * factors).sum()).backward()
        assert of.grad is not None
    torch.testing.assert_close(strided.grad, x.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("layer", LSTMS)
def test_threads_change_no_bit(layer, monkeypatch):
    layer, (x, state) = make(layer, torch.float32), inputs(dtype=torch.float32)
    results = []
    for num_threads in (1, 3):
        monkeypatch.setattr(lstm_operator, "thread_count", lambda *_, n=num_threads: n)
        hidden, (_, cell) = layer(x, state)
        results.append([hidden, cell, *gradients((hidden, cell), layer, x, *state)])

    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("layer", LSTMS)
def test_frame_by_frame_in_pytorch_is_the_same(layer):
    # The path of GPUs, here by the dtype that the kernels leave to it.
    layer, (x, state) = make(layer, torch.bfloat16), inputs(dtype=torch.bfloat16)

    hidden, (last_hidden, last_cell) = layer(x, state)

    exact = copy.deepcopy(layer).double()
    expected, (_, cell) = exact(x.double(), tuple(part.double() for part in state))
    torch.testing.assert_close(hidden.double(), expected, rtol=0, atol=0.05)
    torch.testing.assert_close(last_cell.double(), cell, rtol=0, atol=0.05)
    assert torch.equal(last_hidden, hidden[-1:])
    hidden.sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


@pytest.mark.parametrize("layer", LSTMS)
def test_frame_by_frame_on_a_gpu_has_the_shapes(layer):
    with FakeTensorMode(), torch.device("cuda"):
        made, x = layer(F, H), torch.zeros(T, N, F)
        hidden, (last_hidden, last_cell) = made(x)

    assert (hidden.shape, hidden.device.type) == ((T, N, H), "cuda")
    assert hidden.dtype == last_cell.dtype == torch.float32
    assert last_hidden.shape == last_cell.shape == (1, N, H)


@pytest.mark.parametrize("layer", LSTMS)
def test_autocast_rounds_the_product_with_the_inputs_alone(layer):
    layer, (x, state) = make(layer, torch.float32), inputs(dtype=torch.float32)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden, (_, cell) = layer(x, state)
        projected = functional.linear(x, layer.weight_ih, layer.bias)

    assert projected.dtype == torch.bfloat16
    assert hidden.dtype == cell.dtype == torch.float32
    steps = [*follow(layer.equations, projected.float(), layer.weight_hh, *(s[0] for s in state))]
    torch.testing.assert_close(hidden, torch.stack([g.hidden for g in steps]), rtol=0, atol=2e-6)
    hidden.sum().backward()
    assert layer.weight_ih.grad.dtype == layer.weight_hh.grad.dtype == torch.float32


def test_irnn_runs_under_autocast():
    layer, (x, _) = make(IdentityRNN, torch.float32), inputs(dtype=torch.float32)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(x)[0].float()

    torch.testing.assert_close(found, layer(x)[0], rtol=0.1, atol=0.1)


@pytest.mark.slow
def test_operators_are_what_pytorch_asks_of_them():
    layer, (x, state) = make(PeepholeLSTM), inputs()
    projected = functional.linear(x, layer.weight_ih, layer.bias)

    torch.library.opcheck(
        lstm_operator.lstm_loop,
        (projected, layer.weight_hh, layer.peepholes, state[0][0], state[1][0], False),
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )


def test_there_is_no_second_derivative():
    layer, (x, _) = make(PeepholeLSTM), inputs()

    (grad,) = torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)

    with pytest.raises(RuntimeError, match="lstm_loop_backward"):
        grad.sum().backward()


@pytest.mark.slow
@pytest.mark.parametrize("layer", LSTMS)
def test_a_compiled_layer_calls_the_operator(layer):
    layer, (x, _) = make(layer), inputs()

    found = torch.compile(layer, backend="aot_eager", fullgraph=True)(x)[0]

    expected = layer(x)[0]
    torch.testing.assert_close(found, expected)
    for ours, theirs in zip(
        gradients([found], layer, x), gradients([expected], layer, x), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("cell", ["lstm_peephole", "lstm_coupled"])
def test_block_of_both_directions_is_the_equations_of_each_utterance(cell):
    torch.manual_seed(0)
    block = RecurrentBlock(F, H, cell, bidirectional=True, norm="none").double()
    x = inputs(9, 3)[0].detach()
    lengths = torch.tensor([9, 4, 1])

    found = block(x, lengths)

    zero = torch.zeros(1, 1, H, dtype=x.dtype)
    for n, length in enumerate(lengths):
        speech = x[:length, n : n + 1]
        forwards = oracle(block.forwards, speech, (zero, zero))["h"]
        backwards = oracle(block.backwards, speech.flip(0), (zero, zero))["h"].flip(0)
        expected = torch.cat([forwards, backwards], dim=-1)[:, 0]
        torch.testing.assert_close(found[:length, n], expected, rtol=0, atol=1e-13)
        assert (found[length:, n] == 0).all()


def test_weights_begin_as_the_papers_say():
    torch.manual_seed(0)
    peephole, coupled, irnn = (layer(20, 30) for layer in LAYERS)

    assert (by_gate(peephole, peephole.bias)["f"] == 1).all()
    assert (by_gate(coupled, coupled.bias)["i"] == -1).all()
    for layer in (peephole, coupled):
        assert layer.weight_hh.abs().max() <= 30**-0.5
        assert (by_gate(layer, layer.bias)["o"] != 0).all()
    assert (peephole.peepholes != 0).all()
    assert torch.equal(irnn.weight_hh_l0, 0.01 * torch.eye(30))
    assert irnn.weight_ih_l0.std().item() == pytest.approx(0.001, rel=0.1)
    assert not irnn.bias_ih_l0.any()
    assert not irnn.bias_hh_l0.any()
