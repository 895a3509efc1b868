"""What the modules of a network are called with, and which axis of what they give is time.

Networks are known by their Protocol and by the types of their modules alone: a convolution is an
`nn.Conv1d` or `nn.Conv2d`, whoever holds it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from asr.models import Network

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)

Choose = Callable[[str, nn.Module], bool]


class Call(NamedTuple):
    """One call of a module.

    Attributes:
        name: of the module in the network.
        module: the module.
        input: its first argument.
        output: what it gives; of several things the first.
    """

    name: str
    module: nn.Module
    input: Tensor
    output: Tensor


class LayerOutput(NamedTuple):
    """What a layer made of one recording: frames, channels, and where a channel has them, bins.

    Attributes:
        name: of the layer in the network.
        values: (T, K) or (T, K, F).
    """

    name: str
    values: Tensor


def modules_of(network: Network) -> dict[str, nn.Module]:
    """All modules below a network, by name."""
    assert isinstance(network, nn.Module)
    return {name: module for name, module in network.named_modules() if name}


@contextmanager
def recording(network: Network, choose: Choose) -> Iterator[list[Call]]:
    """Note the calls of some modules, in order, while the block runs."""
    calls: list[Call] = []

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple, output: object) -> None:
            first = output[0] if isinstance(output, tuple | list) else output
            if inputs and isinstance(inputs[0], Tensor) and isinstance(first, Tensor):
                calls.append(Call(name, module, inputs[0], first))

        return hook

    handles = [
        module.register_forward_hook(note(name))
        for name, module in modules_of(network).items()
        if choose(name, module)
    ]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def record(network: Network, features: Tensor, choose: Choose) -> list[Call]:
    """Run a network on features (1, T, F) and return the calls of some modules."""
    with torch.backends.cudnn.flags(enabled=False), recording(network, choose) as calls:
        network(features, torch.tensor([features.shape[1]], device=features.device))
    return calls


def time_axes(
    once: Sequence[Call], network: Network, features: Tensor, choose: Choose
) -> list[int | None]:
    """Find the axis of time of every call's output: the one that grows with the features.

    Layouts differ from network to network, and a shape alone does not say what is time: the network
    is run once more on the same features twice over.

    Args:
        once: calls of the modules that `choose` chooses, on the features.
        network: that was called.
        features: (1, T, F).
        choose: as in `record`.

    Returns:
        An axis for each call, None where no single one or more than one grew.
    """
    twice = record(network, torch.cat([features, features], 1), choose)
    axes: list[int | None] = []
    for short, long in zip(once, twice, strict=True):
        sizes = enumerate(zip(short.output.shape, long.output.shape, strict=True))
        grown = [axis for axis, (before, after) in sizes if after > before]
        axes.append(grown[0] if len(grown) == 1 else None)
    return axes


def by_time(output: Tensor, axis: int, channels: int) -> Tensor | None:
    """Lay out a layer's output as (T, K) or (T, K, F).

    Args:
        output: of one recording.
        axis: of time.
        channels: axis of channels.

    Returns:
        None where there are more axes than these that are not 1.
    """
    output = output.movedim((axis, channels), (0, 1))
    left = [size for size in output.shape[2:] if size != 1]
    if len(left) > 1:
        return None
    return output.reshape(*output.shape[:2], *left)
