"""Training time and scaling of the recipes, on paper: nothing of this was measured on a GPU.

    python benchmarks/scaling_model.py          # tables of docs/cluster.md
    python benchmarks/scaling_model.py hours    # table of docs/corpora.md

The floating-point operations of a network are counted (convolutions and products of matrices, on
tensors without memory) and its weights too. All else is `Assumptions`: change them and print again.

    compute(B) = 3 x operations of B seconds of audio / (utilisation x peak)
    exchange(N) = 2 (N - 1) / N x 4 bytes x weights / bandwidth of the slowest link
    norms(N) = 2 x layers of batch norm x latency x log2 N
    step(B, N) = compute(B) + norms(N) + exchange(N) - what hides behind the backward pass
    hidden(B, N) = min(overlap x exchange(N), 2/3 compute(B))
"""

import argparse
import math
from dataclasses import dataclass
from functools import cache
from types import MethodType

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from asr.acoustic.model import build_model
from asr.cli.hydra_config import compose_config
from asr.models.blocks import MaskedBatchNorm
from asr.text import CharTokenizer

GPUS = (1, 2, 4, 8, 16, 32, 64)
# Of the utterances that operations are counted on, about LibriSpeech's mean: attention's grow with
# the length.
UTTERANCE_S = 12.0
# The networks of the scaling tables, of experiment=librispeech_960.
SCALED = {
    "model=conformer_medium": ("experiment=librispeech_960",),
    "model=ds2_large": ("experiment=librispeech_960", "model=ds2_large"),
}
LIBRISPEECH_HOURS = 960
# Of the table of hours: words of the command, hours of speech, classes.
RECIPES = {
    "an4": (("experiment=an4",), 0.8, 28),
    "lj_speech": (("experiment=lj_speech",), 22, 28),
    "librispeech_100": (("experiment=librispeech_100",), 100, 256),
    "librispeech_460": (("experiment=librispeech_460",), 460, 1024),
    "librispeech_960": (("experiment=librispeech_960",), 960, 1024),
    "librispeech_960 model=ds2_large": (SCALED["model=ds2_large"], 960, 1024),
    "ted_lium": (("experiment=ted_lium",), 452, 512),
    "common_voice": (("experiment=common_voice",), 1000, 512),
}


@dataclass(frozen=True)
class Assumptions:
    """What the model takes for granted.

    Attributes:
        peak: operations a second of one GPU: an H100 SXM, bfloat16, dense (its data sheet).
        utilisation: share of `peak` that training reaches; docs/corpora.md says where from.
        gpus_a_node: that NVLink joins.
        node_bandwidth: bytes a second and direction between GPUs of a node: NVLink's 450 GB/s at
            70 %.
        network_bandwidth: bytes a second and direction between nodes: 400 Gbit/s at 80 %.
        latency: seconds of a small sum over ranks, for each doubling of their number.
        overlap: share of the exchange that begins before the backward pass has ended.
    """

    peak: float = 989e12
    utilisation: float = 0.02
    gpus_a_node: int = 8
    node_bandwidth: float = 315e9
    network_bandwidth: float = 40e9
    latency: float = 20e-6
    overlap: float = 0.5


@dataclass(frozen=True)
class Counted:
    """What is counted of a network.

    Attributes:
        operations: of the forward pass for a second of audio, a product and a sum being two.
        weights: numbers that are learnt.
        norms: layers of batch norm, whose sums go over all ranks twice a step.
        batch_seconds: of one rank, as the recipe says.
        epochs: as the recipe says.
    """

    operations: float
    weights: int
    norms: int
    batch_seconds: float
    epochs: int


@cache
def count(words: tuple[str, ...], num_classes: int) -> Counted:
    """Count a network as `asr train WORDS` builds it."""
    config = compose_config("train", list(words))
    letters = "".join(map(chr, range(0x4E00, 0x4E00 + num_classes)))
    with torch.device("meta"):
        model = build_model(config, CharTokenizer(letters))
        network = model.network.train()
        frames = round(UTTERANCE_S * model.sample_rate / model.features.hop_length)
        features = torch.empty(1, frames, model.features.num_features)
        recurrent = [layer for layer in network.modules() if isinstance(layer, nn.LSTM)]
        for layer in recurrent:
            layer.forward = MethodType(_skip, layer)
        with FlopCounterMode(display=False) as counter:
            logits, _ = network(features, torch.tensor([frames]))  # (T', 1, C)
    steps = sum(lstm_operations(layer, len(logits)) for layer in recurrent)
    return Counted(
        operations=(counter.get_total_flops() + steps) / UTTERANCE_S,
        weights=sum(parameter.numel() for parameter in network.parameters()),
        norms=sum(isinstance(layer, MaskedBatchNorm) for layer in network.modules()),
        batch_seconds=config["loading"]["batch_seconds"],
        epochs=config["trainer"]["max_epochs"],
    )


def lstm_operations(layer: nn.LSTM, frames: int) -> int:
    """Operations of a layer of one direction: products of its four gates."""
    return 2 * 4 * layer.hidden_size * (layer.input_size + layer.hidden_size) * frames


def _skip(layer: nn.LSTM, x: Tensor) -> tuple[Tensor, None]:
    """Stand in for a layer's steps through time, whose operations a formula gives."""
    return x.new_empty(*x.shape[:2], layer.hidden_size), None


def compute_s(counted: Counted, seconds: float, given: Assumptions) -> float:
    """Seconds of a GPU's forward and backward pass over seconds of audio."""
    return 3 * counted.operations * seconds / (given.utilisation * given.peak)


def step_s(counted: Counted, seconds: float, gpus: int, given: Assumptions) -> float:
    """Seconds of a step of `gpus` GPUs, each with so many seconds of audio."""
    compute = compute_s(counted, seconds, given)
    inside = gpus <= given.gpus_a_node
    bandwidth = given.node_bandwidth if inside else given.network_bandwidth
    exchange = 2 * (gpus - 1) / gpus * 4 * counted.weights / bandwidth
    norms = 2 * counted.norms * given.latency * math.log2(gpus)
    return compute + norms + exchange - min(given.overlap * exchange, 2 / 3 * compute)


def scaling_table(name: str, given: Assumptions) -> list[str]:
    """Rows of a network's table: a batch for each GPU, and one batch shared by all."""
    counted = count(SCALED[name], 1024)
    batch_s, speech_s = counted.batch_seconds, 3600 * LIBRISPEECH_HOURS
    columns = "steps an epoch", "step, ms", "efficiency", "epoch, min"
    shared = "shared: step, ms", "efficiency", "epoch, min"
    rows = [
        f"`{name}`: {counted.weights / 1e6:.1f} million weights, "
        f"{counted.operations / 1e9:.2f} GFLOP a second of audio, {counted.norms} batch norms",
        "",
        f"| {' | '.join(['GPUs', *columns, *shared])} |",
        "|---:" * 8 + "|",
    ]
    alone = step_s(counted, batch_s, 1, given)
    for gpus in GPUS:
        own = step_s(counted, batch_s, gpus, given)
        parted = step_s(counted, batch_s / gpus, gpus, given)
        steps = speech_s / batch_s
        rows.append(
            f"| {gpus} | {steps / gpus:,.0f} | {1e3 * own:.1f} | {alone / own:.0%} | "
            f"{steps / gpus * own / 60:.1f} | {1e3 * parted:.1f} | {alone / parted / gpus:.0%} | "
            f"{steps * parted / 60:.1f} |"
        )
    return rows


def hours_table(given: Assumptions) -> list[str]:
    """Rows of the recipes' hours on one GPU."""
    columns = "recipe", "hours", "epochs", "million weights", "GFLOP a second of audio"
    times = "audio over time", "hours on one H100"
    rows = [f"| {' | '.join([*columns, *times])} |", "|---" + "|---:" * 6 + "|"]
    for name, (words, hours, num_classes) in RECIPES.items():
        counted = count(words, num_classes)
        speed = 1 / compute_s(counted, 1, given)
        taken = hours * counted.epochs / speed
        rows.append(
            f"| `{name}` | {hours:,} | {counted.epochs} | {counted.weights / 1e6:.1f} | "
            f"{counted.operations / 1e9:.2f} | {speed:,.0f} | "
            f"{f'{taken:.1f}' if taken >= 0.1 else '< 0.1'} |"
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", nargs="?", choices=("scaling", "hours"), default="scaling")
    given = Assumptions()
    if parser.parse_args().table == "hours":
        print("\n".join(hours_table(given)))
        return
    print("\n\n".join("\n".join(scaling_table(name, given)) for name in SCALED))


if __name__ == "__main__":
    main()
