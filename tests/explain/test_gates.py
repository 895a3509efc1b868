"""Gates over time: what they let through and keep is what the layer itself gives."""

import pytest
import tones
import torch
from torch import nn

from asr.explain.gates import cell_states, follow_cells, gru_gates
from asr.models.cells import CoupledLSTM, PeepholeLSTM
from tests.explain.toys import Toy

OPTIONS = ({}, {"bias": False}, {"batch_first": True}, {"bidirectional": True})


def first_outputs(layer, x):
    """Outputs (T, H) of a layer's first direction."""
    batch = x[None] if getattr(layer, "batch_first", False) else x[:, None]
    with torch.no_grad():
        return layer(batch)[0].reshape(len(x), -1)[:, : layer.hidden_size]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_gates_of_pytorchs_layers_give_their_outputs(kind, options, rng):
    layer = kind(5, 4, dtype=torch.float64, **options)
    x = torch.from_numpy(rng.normal(size=(7, 5)))

    gates, state, _ = follow_cells(layer, x)

    assert all(((gate > 0) & (gate < 1)).all() for gate in gates.values())
    seen = state if kind is nn.GRU else gates["output gate"] * state
    assert torch.allclose(seen, first_outputs(layer, x))


def test_gates_of_a_projected_lstm_see_what_it_puts_out(rng):
    lstm = nn.LSTM(5, 4, proj_size=2, dtype=torch.float64)
    x = torch.from_numpy(rng.normal(size=(7, 5)))

    gates, state, _ = follow_cells(lstm, x)

    with torch.no_grad():
        seen = (gates["output gate"] * state) @ lstm.weight_hr_l0.T
        assert torch.allclose(seen, lstm(x)[0])


@pytest.mark.parametrize("kind", [PeepholeLSTM, CoupledLSTM])
def test_gates_of_looped_cells_give_their_outputs(kind, rng):
    layer = kind(5, 4).double()
    x = torch.from_numpy(rng.normal(size=(7, 5)))

    gates, state, _ = follow_cells(layer, x)

    assert torch.allclose(gates["output gate"] * state, first_outputs(layer, x))
    coupled = torch.allclose(gates["forget gate"], 1 - gates["input gate"])
    assert coupled == (kind is CoupledLSTM)


def test_update_gate_that_is_open_keeps_the_state_and_shut_takes_the_new_one():
    gru = nn.GRU(1, 1, dtype=torch.float64)
    for parameter in gru.parameters():
        nn.init.zeros_(parameter)
    gru.bias_ih_l0.data[2] = 1.0  # the candidate is tanh(1)
    gru.weight_ih_l0.data[1] = 1.0  # the input opens and shuts the update gate

    _, update, hidden = gru_gates(gru, torch.tensor([[-50.0], [50.0]], dtype=torch.float64))

    assert update[:, 0].tolist() == pytest.approx([0.0, 1.0])
    assert hidden[:, 0].tolist() == pytest.approx([0.76159415595, 0.76159415595])
    (half,) = gru_gates(gru, torch.zeros(1, 1, dtype=torch.float64))[2]
    assert float(half) == pytest.approx(0.76159415595 / 2)


@pytest.mark.parametrize("cell", ["lstm", "gru", "lstm_peephole", "lstm_coupled"])
def test_states_are_of_the_first_layer_with_gates_and_its_own_input(cell, rng):
    config = tones.CONFIG | {"model": tones.CONFIG["model"] | {"cell": cell, "num_layers": 2}}
    network = tones.untrained_model(config=config).network.eval()
    features = torch.from_numpy(rng.normal(size=(1, 20, 16))).float()
    given = []
    handle = network.layers[0].forwards.register_forward_hook(
        lambda _, inputs, output: given.append((inputs[0], output[0]))
    )

    states = cell_states(network, features)

    handle.remove()
    assert states.name == "layers.0.forwards"
    seen = states.state if cell == "gru" else states.gates["output gate"] * states.state
    assert torch.allclose(seen, given[0][1][:, 0], atol=1e-6)


def test_a_layer_that_takes_batches_first_gets_frames(rng):
    gru = nn.GRU(3, 2, batch_first=True)
    features = torch.from_numpy(rng.normal(size=(1, 6, 3))).float()

    class Outputs(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = gru

        def forward(self, x):
            return self.gru(x)[0]

    states = cell_states(Toy(Outputs()), features)

    with torch.no_grad():
        assert torch.allclose(states.state, gru(features)[0][0], atol=1e-6)


@pytest.mark.parametrize("cell", ["rnn", "clipped_rnn", "irnn"])
def test_cells_without_gates_have_no_states(cell, rng):
    config = tones.CONFIG | {"model": tones.CONFIG["model"] | {"cell": cell}}
    network = tones.untrained_model(config=config).network.eval()

    assert cell_states(network, torch.from_numpy(rng.normal(size=(1, 20, 16))).float()) is None
