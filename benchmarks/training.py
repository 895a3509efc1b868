"""Training speed: hours of audio an hour, peak memory, and where a step's time goes.

    python benchmarks/training.py [--manifest data/synth/train.jsonl] [--steps 40]

Trains the quickstart's network on batches of the embedded corpus, once with our CTC loss and once
with PyTorch's, step by step in turn, after asserting that both give the same losses and gradients.
Without a manifest it makes an hour of the embedded corpus in a temporary folder.
"""

import argparse
import resource
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from asr.acoustic.model import build_model
from asr.cli.assembly import build_tokenizer, make_loader
from asr.cli.environment import environment
from asr.cli.hydra_config import build, compose_config
from asr.cli.texts import settle_texts
from asr.data.loading import Batch
from asr.synth.corpus import SynthRequest, generate
from asr.training.precision import choose_precision
from asr.training.step import Stepper

STAGES = ("loading", "features", "forward", "loss", "backward", "optimizer")


def torch_loss(logits: Tensor, targets: Tensor, lengths: Tensor, target_lengths: Tensor) -> Tensor:
    """PyTorch's loss, from logits, a value an utterance."""
    log_probs = logits.log_softmax(-1)
    return functional.ctc_loss(log_probs, targets, lengths, target_lengths, reduction="none")


def assert_losses_agree(steppers: dict[str, Stepper], batch: Batch) -> None:
    """Both losses give the same values and gradients for the same logits."""
    logits, lengths = steppers["asr"].forward(batch, 0)
    results = []
    for name in ("asr", "torch"):
        leaf = logits.detach().float().requires_grad_()
        values = steppers[name].loss(leaf, lengths, batch)
        values.sum().backward()
        results.append((values.detach(), leaf.grad))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-4, atol=1e-3)
    # PyTorch's float32 gradient is the less exact of the two: its error is about 1e-3.
    torch.testing.assert_close(results[0][1], results[1][1], rtol=0, atol=5e-3)


def make_steppers(config: dict) -> tuple[dict[str, Stepper], object]:
    """The same network twice, with our loss and with PyTorch's, and the batches."""
    torch.manual_seed(1)
    model = build_model(config, build_tokenizer(config))
    loader = make_loader(config, "train", model)
    steppers = {}
    for name, loss in (("asr", build(config, "loss")), ("torch", torch_loss)):
        model = deepcopy(model)
        steppers[name] = Stepper(
            model,
            build(config, "optimizer")(model.network.parameters()),
            augment=build(config["augment"], "features"),
            loss=loss,
            precision="float32",
            grad_clip=config["trainer"]["grad_clip"],
        )
    return steppers, loader


def measure_memory(config: dict, name: str, num_steps: int, precision: str) -> float:
    """GiB that a process takes to train with one of the losses; call it in a fresh process."""
    steppers, loader = make_steppers(config)
    stepper = steppers[name]
    stepper.precision = precision
    for number, batch in zip(range(num_steps), loader.batches(1), strict=False):
        stepper(batch, 1e-4, number)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def run(config: dict, num_steps: int) -> None:
    """Measure, and print the table."""
    steppers, loader = make_steppers(config)
    batches = loader.batches(1)
    first = next(batches)
    assert_losses_agree(steppers, first)
    precision = choose_precision("auto", steppers["asr"].model).name
    for stepper in steppers.values():
        stepper.precision = precision
        stepper(first, 0.0, 0)
        stepper.stopwatch.seconds.clear()
    seconds: dict[str, list[float]] = {name: [] for name in steppers}
    audio_s = loading_s = 0.0
    for number in range(num_steps):
        started = time.perf_counter()
        batch = next(batches)
        loading_s += time.perf_counter() - started
        audio_s += float(batch.waveform_lengths.sum()) / loader.sample_rate
        # The first to see a shape compiles its kernels: they take turns at being first.
        for name in list(steppers)[:: 1 if number % 2 else -1]:
            started = time.perf_counter()
            steppers[name](batch, 1e-4, number)
            seconds[name].append(time.perf_counter() - started)
    steppers["asr"].stopwatch.seconds["loading"] = loading_s
    steppers["torch"].stopwatch.seconds["loading"] = loading_s
    _print(steppers, seconds, audio_s, precision)
    for name in steppers:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            peak = pool.submit(measure_memory, config, name, num_steps, precision).result()
        print(f"peak memory of a process that trains with {name}: {peak:.2f} GiB")


def _print(
    steppers: dict[str, Stepper], seconds: dict[str, list[float]], audio_s: float, precision: str
) -> None:
    facts = environment()
    print(f"{facts['processor']}, {facts['num_threads']} threads, {precision}")
    print(f"torch {torch.__version__}, commit {facts['commit']}")
    print(f"{'loss':<8}{'audio h/h':>10}{'step ms min':>13}{'median':>8}", end="")
    print("".join(f"{stage:>11}" for stage in STAGES))
    for name, stepper in steppers.items():
        stages = stepper.stopwatch.seconds
        total = sum(seconds[name]) + stages["loading"]
        low, middle = min(seconds[name]), statistics.median(seconds[name])
        print(f"{name:<8}{audio_s / total:>10.0f}{1000 * low:>13.1f}{1000 * middle:>8.1f}", end="")
        print("".join(f"{stages[stage] / total:>11.1%}" for stage in STAGES))
    ratios = [b / a for a, b in zip(seconds["asr"], seconds["torch"], strict=True)]
    losses = [stepper.stopwatch.seconds["loss"] for stepper in steppers.values()]
    print(f"whole step, torch / asr: median {statistics.median(ratios):.3f}; ", end="")
    print(f"loss alone, forward pass: {losses[1] / losses[0]:.1f}", end="")
    print(" (torch's gradient is counted in its backward pass, ours in the loss)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path, help="what to train on")
    parser.add_argument("--steps", type=int, default=40)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        manifest = args.manifest
        if manifest is None:
            generate(Path(folder), SynthRequest(train_hours=1.0, num_dev=1, num_test=1))
            manifest = Path(folder, "train.jsonl")
        words = ["data=manifest", f"data.train_manifest={manifest.resolve()}"]
        run(settle_texts(compose_config("train", words))[0], args.steps)


if __name__ == "__main__":
    main()
