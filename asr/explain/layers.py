"""What a network's layers make of a recording."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from asr.explain.recording import LayerOutput, by_time, record, time_axes
from asr.models import Network

# Layers that are drawn; of a deeper network so many, evenly spread.
MOST_LAYERS = 12
LISTS = (nn.ModuleList, nn.Sequential)


class Layers(NamedTuple):
    """Outputs of layers, and how many layers there are and are left out."""

    outputs: list[LayerOutput]
    num_layers: int


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
    """Axis of channels: 1 with bins beside them, otherwise the one that is neither time nor 1.

    Of one number a frame, as weights of frames are, it is the last.
    """
    if output.dim() == 4:
        return 1 if time != 1 else None
    others = [axis for axis in range(output.dim()) if axis != time]
    wide = [axis for axis in others if output.shape[axis] > 1] or others[-1:]
    return wide[0] if len(wide) == 1 else None
