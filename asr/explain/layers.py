"""What a network's layers make of a recording, and the gates of an LSTM cell over time."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from asr.explain.recording import LayerOutput, by_time, record, time_axes
from asr.models import Network
from asr.models.cells import first_gates

# Layers that are drawn; of a deeper network so many, evenly spread.
MOST_LAYERS = 12
LISTS = (nn.ModuleList, nn.Sequential)


class Layers(NamedTuple):
    """Outputs of layers, and how many layers there are and are left out."""

    outputs: list[LayerOutput]
    num_layers: int


class Gates(NamedTuple):
    """An LSTM's gates and cells over time, (T, H) each; gates are in [0, 1], cells have no bound.

    Source: Hochreiter and Schmidhuber 1997; Gers et al. 2000; PyTorch's `nn.LSTM` for the names:
    c_t = f_t c_{t-1} + i_t g_t, h_t = o_t tanh(c_t).
    """

    name: str
    input: Tensor
    forget: Tensor
    output: Tensor
    cell: Tensor


def layer_outputs(network: Network, features: Tensor) -> Layers:
    """Run a network on features (1, T, F) and keep what its layers give.

    A layer is an entry of a list of modules, or a module with weights beside such lists.
    """
    names = layer_names(network)

    def choose(name: str, module: nn.Module) -> bool:
        return name in names

    outputs = []
    calls = record(network, features, choose)
    for call, axis in zip(calls, time_axes(calls, network, features, choose), strict=True):
        if axis is None:
            continue
        channels = _channel_axis(call.output, axis)
        values = None if channels is None else by_time(call.output, axis, channels)
        if values is not None:
            outputs.append(LayerOutput(call.name, values.cpu()))
    spread = torch.linspace(0, len(outputs) - 1, min(MOST_LAYERS, len(outputs))).round().int()
    return Layers([outputs[place] for place in spread.tolist()], len(outputs))


def layer_names(network: Network) -> set[str]:
    """Names of the layers: entries of lists, and modules with weights beside these lists."""
    names: set[str] = set()

    def walk(module: nn.Module, prefix: str) -> None:
        for name, child in module.named_children():
            if isinstance(child, LISTS):
                names.update(f"{prefix}{name}.{entry}" for entry, _ in child.named_children())
            elif any(isinstance(below, LISTS) for below in child.modules()):
                walk(child, f"{prefix}{name}.")
            elif any(True for _ in child.parameters()):
                names.add(f"{prefix}{name}")

    assert isinstance(network, nn.Module)
    walk(network, "")
    return names


def _channel_axis(output: Tensor, time: int) -> int | None:
    """Axis of channels: 1 with bins beside them, otherwise the one that is neither time nor 1."""
    if output.dim() == 4:
        return 1 if time != 1 else None
    wide = [axis for axis in range(output.dim()) if axis != time and output.shape[axis] > 1]
    return wide[0] if len(wide) == 1 else None


def lstm_gates(network: Network, features: Tensor) -> Gates | str:
    """Compute the gates of the first `nn.LSTM` that a network calls, in its first direction.

    Returns:
        The gates, or why there are none.
    """
    calls = record(network, features, lambda _, module: isinstance(module, nn.LSTM))
    if not calls:
        return "The network has no layer of type nn.LSTM."
    call = calls[0]
    lstm = call.module
    assert isinstance(lstm, nn.LSTM)
    inputs = call.input[0] if lstm.batch_first else call.input[:, 0]  # (T, F)
    return Gates(call.name, *(x.cpu() for x in run_lstm(lstm, inputs)))


def run_lstm(lstm: nn.LSTM, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run the first layer and direction of an LSTM over (T, F): i, f, o and c, (T, H) each."""
    gates = first_gates(lstm, inputs[:, None])
    return gates.input[:, 0], gates.forget[:, 0], gates.output[:, 0], gates.cell[:, 0]
