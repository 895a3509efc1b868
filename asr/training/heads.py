"""Auxiliary heads: layers that training puts on a network to learn further tasks from its frames.

They stand beside the network and not in it: a model file is written without them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from asr.acoustic.model import AcousticModel
from asr.data.loading import Batch
from asr.features.front_end import length_mask
from asr.models import Network, SpellingNetwork
from asr.training.tasks import Tally, Task

# Utterances and frames of a trial that shows what a layer gives.
TRIAL_SHAPE = (2, 64)
# What each layer gave in each call of the network; None stands for the class layer's input.
Heard = dict[str | None, list[Tensor]]


class Layout(NamedTuple):
    """How a layer lays out what it gives."""

    num_features: int  # H
    time_first: bool  # (T, N, H), otherwise (N, T, H)


class Heads(nn.Module):
    """The heads of a network.

    Args:
        model: whose network they stand on.
        tasks: what each learns, by name; none is no head.

    Raises:
        ValueError: the network shows no frames, or has no layer that a task names, or that layer
            has other frames than those that the classes are read from.
    """

    def __init__(self, model: AcousticModel, tasks: Mapping[str, Task]) -> None:
        super().__init__()
        network = model.network
        if tasks and not hasattr(network, "encode"):
            raise ValueError(
                f"heads need a network that gives frames, and {type(network).__name__} gives none "
                "(a label for a whole clip)"
            )
        self.tasks = dict(tasks)
        rows = _class_layer(network).out_features
        self.frames_out = rows // len(model.tokenizer.tokens)
        self._layouts: dict[str | None, Layout] = {}
        for name, task in tasks.items():
            if task.layer not in self._layouts:
                try:
                    self._layouts[task.layer] = _find_layout(model, task.layer)
                except ValueError as error:
                    raise ValueError(f"heads.{name}: {error}") from None
        self.heads = nn.ModuleList(
            task.make_head(self._layouts[task.layer].num_features) for task in tasks.values()
        )
        self.to(model.device)

    @contextmanager
    def listening(self, network: Network) -> Iterator[Heard]:
        """Inside, calls of the network leave what the heads read."""
        with _listening(network, list(self._layouts)) as heard:
            yield heard

    def say(self, heard: Heard, lengths: Tensor) -> list[Tensor]:
        """Compute what each head gives for the last call.

        Args:
            heard: of `listening`.
            lengths: (N,) frames of the classes.
        """
        lengths = self.frame_lengths(lengths)
        outputs = []
        for task, head in zip(self.tasks.values(), self.heads, strict=True):
            x = heard[task.layer][-1]
            x = x if self._layouts[task.layer].time_first else x.transpose(0, 1)  # (T, N, H)
            if task.reverse:
                x = 2 * x.detach() - x  # the same values, and the opposite gradient
            outputs.append(head(x, length_mask(lengths, len(x)).T[..., None]))
        return outputs

    def score(self, heard: Heard, lengths: Tensor, batch: Batch) -> dict[str, Tally]:
        """Score the heads on a batch, in evaluation.

        Args:
            heard: of `listening`.
            lengths: (N,) frames of the classes.
            batch: the utterances.

        Returns:
            A tally by name; none where the network took the batch in pieces, which have no label.
        """
        calls = next(iter(heard.values()), [])
        if len(calls) != 1 or len(batch.ids) not in calls[0].shape[:2]:
            return {}
        lengths = lengths.to(calls[0].device)
        outputs = zip(self.tasks.items(), self.say(heard, lengths), strict=True)
        frames = self.frame_lengths(lengths).cpu()
        return {name: task.score(x.float(), frames, batch) for (name, task), x in outputs}

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Frames T that heads read, for that many of the classes."""
        return lengths // self.frames_out


class WithHeads(nn.Module):
    """A network and its heads, as one call: what `forward` is to other modules."""

    def __init__(self, network: nn.Module, heads: Heads) -> None:
        super().__init__()
        self.network = network
        self.heads = heads

    def forward(self, features: Tensor, feature_lengths: Tensor) -> tuple[Tensor, ...]:
        """Return logits and lengths, logits of letters where the network has them, and of heads."""
        network = cast(Network, self.network)
        with self.heads.listening(network) as heard:
            if network.intermediate is None:
                logits, lengths, *letters = network(features, feature_lengths)
            else:
                spelling = cast(SpellingNetwork, network)
                logits, lengths, *letters = spelling.with_characters(features, feature_lengths)
        return logits, lengths, *letters, *self.heads.say(heard, lengths)


@contextmanager
def _listening(network: Network, layers: list[str | None]) -> Iterator[Heard]:
    """Inside, calls of the network leave what goes into the class layer, and what layers give."""
    heard: Heard = {layer: [] for layer in layers}

    def note_input(module: nn.Module, inputs: tuple[Tensor]) -> None:
        heard[None].append(inputs[0])

    def note_output(
        layer: str, module: nn.Module, inputs: object, output: Tensor | tuple[Tensor, ...]
    ) -> None:
        heard[layer].append(output[0] if isinstance(output, tuple) else output)

    handles = []
    for layer in layers:
        if layer is None:
            handles.append(_class_layer(network).register_forward_pre_hook(note_input))
        else:
            module = cast(nn.Module, network).get_submodule(layer)
            handles.append(module.register_forward_hook(partial(note_output, layer)))
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def _class_layer(network: Network) -> nn.Linear:
    return cast(nn.Linear, cast(nn.Module, network).get_submodule(network.class_layer))


def _find_layout(model: AcousticModel, layer: str | None) -> Layout:
    """Find what a layer gives, by a trial where it is not the class layer's input.

    Raises:
        ValueError: there is no such layer, or it has other frames than the classes.
    """
    network = model.network
    if layer is None:
        return Layout(_class_layer(network).in_features, time_first=True)
    names = [name for name, _ in cast(nn.Module, network).named_modules() if name]
    if layer not in names:
        raise ValueError(f"layer must be one of the network's, such as {names[0]}, got {layer!r}")
    size, frames = TRIAL_SHAPE
    features = torch.zeros(size, frames, model.features.num_features, device=model.device)
    network.eval()
    with torch.no_grad(), _listening(network, [None, layer]) as heard:
        network(features, torch.full((size,), frames, device=model.device))
    network.train()
    (wanted,) = heard[None]
    x = heard[layer][-1] if heard[layer] else None
    if not isinstance(x, Tensor) or x.dim() != 3 or {*x.shape[:2]} != {*wanted.shape[:2]}:
        found = "nothing" if x is None else f"{tuple(x.shape)}" if isinstance(x, Tensor) else "more"
        raise ValueError(
            f"layer {layer!r} must give as many frames as the classes are read from: of {size} "
            f"utterances {tuple(wanted.shape[:2])} frames and utterances, got {found}"
        )
    return Layout(x.shape[-1], time_first=x.shape[:2] == wanted.shape[:2])
