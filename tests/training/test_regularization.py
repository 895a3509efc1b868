"""Each formula on numbers that are computed by hand; after a step, nothing of it is left behind."""

import math

import pytest
import torch
from torch import nn

from asr.models.dropout import VariationalDropout
from asr.training.averaging import MovingAverage
from asr.training.regularization import (
    ActivationNoise,
    Regularization,
    divergence_from_uniform,
    recurrent_weights,
)

NONE = {
    "weight_noise": 0.0,
    "gradient_noise": 0.0,
    "gradient_noise_decay": 0.55,
    "activation_noise": 0.0,
    "recurrent_dropout": 0.0,
    "l1": 0.0,
    "l2": 0.0,
    "label_smoothing": 0.0,
    "average_decay": 0.0,
}


def regularization(**changes):
    return Regularization(**(NONE | changes))


def weights_of(network):
    return [p.detach().clone() for p in network.parameters()]


def test_weight_noise_has_its_deviation_and_goes_without_a_trace():
    network = nn.Linear(300, 300)
    before = weights_of(network)

    with regularization(weight_noise=0.075).disturb(network, 1):
        noise = network.weight.detach() - before[0]
        assert torch.equal(network.bias, before[1])

    assert float(noise.std()) == pytest.approx(0.075, rel=0.02)
    assert abs(float(noise.mean())) < 0.002
    assert all(map(torch.equal, before, weights_of(network)))


def test_weight_noise_is_a_function_of_the_seed():
    network, noisy = nn.Linear(4, 4), []
    for seed in (1, 1, 2):
        with regularization(weight_noise=0.1).disturb(network, seed):
            noisy.append(network.weight.detach().clone())

    assert torch.equal(noisy[0], noisy[1])
    assert not torch.equal(noisy[0], noisy[2])


def test_gradient_is_that_of_the_noisy_weights():
    network, x = nn.Linear(3, 1, bias=False), torch.tensor([[1.0, 2.0, 3.0]])

    with regularization(weight_noise=0.5).disturb(network, 1):
        noisy = network.weight.detach().clone()
        network(x).square().sum().backward()

    torch.testing.assert_close(network.weight.grad, 2 * (noisy @ x.T) * x)


def test_an_error_within_leaves_the_weights_as_they_were():
    network = nn.Linear(4, 4)
    before = weights_of(network)

    with pytest.raises(RuntimeError), regularization(weight_noise=1.0).disturb(network, 1):
        raise RuntimeError

    assert all(map(torch.equal, before, weights_of(network)))


def test_frozen_weights_have_no_noise():
    network = nn.Linear(4, 4)
    network.weight.requires_grad_(False)
    before = weights_of(network)

    with regularization(weight_noise=1.0).disturb(network, 1):
        assert torch.equal(network.weight, before[0])


@pytest.mark.parametrize("cell", [nn.LSTM, nn.RNN])
def test_recurrent_dropout_drops_units_from_what_a_layer_hears_of_itself(cell):
    network, x = cell(3, 8), torch.randn(6, 2, 3)
    before = weights_of(network)
    options = regularization(recurrent_dropout=0.5)

    with options.disturb(network, 3):
        mask = network.weight_hh_l0.detach()[0] / before[1][0]
        heard = network(x)[0]
        heard.sum().backward()

    # A layer that is told, at each time, what is left of its last output, does the same.
    assert {round(float(m), 5) for m in mask} == {0.0, 2.0}
    twin = cell(3, 8)
    twin.load_state_dict(network.state_dict())
    outputs, state = [], None
    for frame in x:
        if state is not None:
            state = (state[0] * mask, state[1]) if cell is nn.LSTM else state * mask
        output, state = twin(frame[None], state)
        outputs.append(output)
    torch.testing.assert_close(torch.cat(outputs), heard)
    torch.cat(outputs).sum().backward()
    for ours, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    assert all(map(torch.equal, before, weights_of(network)))


def test_recurrent_weights_are_those_of_layers_that_learn():
    network = nn.ModuleList([nn.LSTM(2, 3), nn.GRU(2, 4), nn.Linear(2, 2)])
    for parameter in network[1].parameters():
        parameter.requires_grad_(False)

    assert [tuple(w.shape) for w in recurrent_weights(network)] == [(12, 3)]


@pytest.mark.parametrize("step", [0, 99])
def test_gradient_noise_is_annealed(step):
    weight = nn.Parameter(torch.zeros(300, 300))
    weight.grad = torch.full((300, 300), 5.0)

    regularization(gradient_noise=0.3).disturb_gradient([weight], step, 1)

    deviation = math.sqrt(0.3 / (1 + step) ** 0.55)
    assert float(weight.grad.std()) == pytest.approx(deviation, rel=0.02)
    assert float(weight.grad.mean()) == pytest.approx(5.0, abs=0.01)


def test_noise_of_weights_and_of_gradients_are_not_the_same():
    network = nn.Linear(50, 50, bias=False)
    options = regularization(weight_noise=1.0, gradient_noise=1.0)
    before = network.weight.detach().clone()
    with options.disturb(network, 7):
        of_weights = network.weight.detach() - before
    network.weight.grad = torch.zeros(50, 50)

    options.disturb_gradient([network.weight], 0, 7)

    together = torch.stack([of_weights.flatten(), network.weight.grad.flatten()])
    assert abs(float(torch.corrcoef(together)[0, 1])) < 0.1


def test_penalties_are_gradients_of_their_sums():
    weight, bias = nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(3))
    penalty = 0.1 * weight.abs().sum() + 0.3 * weight.square().sum() / 2
    (expected,) = torch.autograd.grad(penalty, weight)
    weight.grad, bias.grad = torch.ones(3, 4), torch.ones(3)

    regularization(l1=0.1, l2=0.3).penalize([weight, bias])

    torch.testing.assert_close(weight.grad, 1 + expected)
    assert torch.equal(bias.grad, torch.ones(3))


def test_parameters_without_a_gradient_are_passed_over():
    weight = nn.Parameter(torch.ones(2, 2))

    regularization(l1=1.0, l2=1.0).penalize([weight])
    regularization(gradient_noise=1.0).disturb_gradient([weight], 0, 1)

    assert weight.grad is None


def test_activation_noise_multiplies_and_leaves_zero_at_zero():
    network = nn.Sequential(nn.Identity(), nn.Dropout(0.0))
    regularization(activation_noise=0.3).prepare(network)
    x = torch.full((200, 200), 2.0)
    x[100:] = 0.0

    noisy = network.train()(x)

    assert not noisy[100:].any()
    assert float(noisy[:100].std()) == pytest.approx(0.6, rel=0.03)
    assert torch.equal(network.eval()(x), x)


def test_activation_noise_follows_the_generator_of_dropout():
    noise, module, x = ActivationNoise(0.3), nn.Dropout(0.0).train(), torch.ones(5)
    torch.manual_seed(1)
    first = noise(module, (), x)
    torch.manual_seed(1)

    assert torch.equal(first, noise(module, (), x))


def test_divergence_of_the_uniform_is_zero_and_of_certainty_ln_c():
    logits = torch.zeros(2, 3, 5)
    logits[:, 1] = torch.tensor([100.0, 0, 0, 0, 0])
    logits[:, 2] = torch.tensor([0.8, 0.1, 0.05, 0.03, 0.02]).log()

    values = divergence_from_uniform(logits, torch.tensor([2, 2, 2]))

    entropy = -sum(p * math.log(p) for p in (0.8, 0.1, 0.05, 0.03, 0.02))
    expected = [0.0, 2 * math.log(5), 2 * (math.log(5) - entropy)]
    torch.testing.assert_close(values, torch.tensor(expected), atol=1e-5, rtol=1e-5)


def test_divergence_ends_with_the_utterance():
    logits = torch.randn(7, 3, 4)
    lengths = torch.tensor([7, 3, 0])

    together = divergence_from_uniform(logits, lengths)

    alone = [
        float(divergence_from_uniform(logits[:n, i : i + 1], torch.tensor([n])).sum())
        for i, n in enumerate(lengths.tolist())
    ]
    torch.testing.assert_close(together, torch.tensor(alone))
    logits[3:, 1] = float("nan")
    assert torch.equal(divergence_from_uniform(logits, lengths), together)


def test_divergence_has_the_gradient_of_its_formula():
    logits = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(
        lambda x: divergence_from_uniform(x, torch.tensor([4, 2])), (logits,)
    )


def test_variational_dropout_drops_the_same_features_at_all_times():
    dropout, x = VariationalDropout(0.4).train(), torch.ones(5, 40, 50)

    dropped = dropout(x)

    assert torch.equal(dropped, dropped[:1].expand(5, -1, -1))
    assert {round(float(v), 4) for v in dropped.unique()} == {0.0, round(1 / 0.6, 4)}
    assert float((dropped == 0).float().mean()) == pytest.approx(0.4, abs=0.05)
    assert not torch.equal(dropped[0, 0], dropped[0, 1])
    assert torch.equal(dropout.eval()(x), x)


def test_average_is_that_of_its_definition():
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(0.0)
    average = MovingAverage(network, 0.5)

    for value in (1.0, 2.0, 3.0):
        network.weight.data.fill_(value)
        average.update()

    # d is 1/10, 2/11, 3/12.
    expected = 0.0
    for d, value in ((1 / 10, 1.0), (2 / 11, 2.0), (3 / 12, 3.0)):
        expected = d * expected + (1 - d) * value
    with average.in_place():
        assert network.weight.item() == pytest.approx(expected)
    assert network.weight.item() == 3.0


def test_average_forgets_no_faster_than_its_decay():
    network = nn.Linear(1, 1, bias=False)
    average = MovingAverage(network, 0.5)
    for value in [0.0] * 20 + [1.0]:
        network.weight.data.fill_(value)
        average.update()

    assert float(average.tensors["weight"]) == pytest.approx(0.5)


def test_average_that_was_saved_is_found_again():
    network = nn.BatchNorm1d(3)
    first = MovingAverage(network, 0.9)
    network.running_mean.fill_(2.0)
    first.update()
    second = MovingAverage(network, 0.9)

    second.restore(first.state())

    assert second.num_updates == 1
    for name, value in first.tensors.items():
        assert torch.equal(value, second.tensors[name])
    with pytest.raises(KeyError):
        second.restore({})


@pytest.mark.parametrize("option", ["activation_noise", "recurrent_dropout"])
def test_network_without_a_place_for_it_is_refused(option):
    with pytest.raises(ValueError, match=f"{option}: this network has no"):
        regularization(**{option: 0.1}).prepare(nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_noise": -0.1}, "weight_noise must be >= 0 and finite, got -0.1"),
        ({"weight_noise": math.inf}, "weight_noise must be >= 0 and finite, got inf"),
        ({"l1": math.nan}, "l1 must be >= 0 and finite, got nan"),
        ({"l2": -1.0}, "l2 must be >= 0 and finite, got -1.0"),
        ({"gradient_noise_decay": -1.0}, "gradient_noise_decay must be >= 0 and finite"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be in \[0, 1\), got 1.0"),
        ({"average_decay": 1.0}, r"average_decay must be in \[0, 1\), got 1.0"),
        ({"recurrent_dropout": -0.5}, r"recurrent_dropout must be in \[0, 1\), got -0.5"),
    ],
)
def test_options_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        regularization(**change)
