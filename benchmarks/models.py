"""Every network of `conf/model`: weights, receptive field, speed of training and of recognition.

    python benchmarks/models.py
    python benchmarks/models.py --models ds2_lstm quartznet conformer --threads 1

A step is a real one: features, network, CTC loss, gradient, AdamW, on a batch of noise with texts
of characters. Networks take turns, `--repeats` times over. Speed is audio over time, from the least
and from the median of a network's times; relative speed is the median over the turns of the first
network's time over its own. Several threads are timed by the clock, one by the processor time of
the process, which other work on the machine disturbs less. Before anything is timed, a short
utterance alone is held to the same in the batch.
"""

import argparse
import statistics
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from turns import time_in_turns

from asr.acoustic.model import AcousticModel, build_model
from asr.cli.assembly import build_tokenizer
from asr.cli.environment import environment
from asr.cli.hydra_config import build, compose_config
from asr.data.loading import Batch
from asr.training.precision import choose_precision
from asr.training.step import Stepper

CONF = Path(__file__).parents[1] / "conf/model"
ALPHABET = " abcdefghijklmnopqrstuvwxyz"
# Letters that people say in a second, roughly.
CHARACTERS_A_SECOND = 12


class Contestant(NamedTuple):
    """A network of `conf/model`, and what trains it."""

    name: str
    model: AcousticModel
    stepper: Stepper


def make_contestant(name: str, precision: str) -> Contestant:
    """Build a network as `asr train model=NAME` does, with features that need no corpus."""
    words = [f"model={name}", "features.normalize=utterance", f"tokenizer.alphabet='{ALPHABET}'"]
    config = compose_config("train", words)
    torch.manual_seed(1)
    model = build_model(config, build_tokenizer(config))
    stepper = Stepper(
        model,
        build(config, "optimizer")(model.network.parameters()),
        augment=None,
        loss=build(config, "loss"),
        precision=choose_precision(precision, model).name,
        grad_clip=config["trainer"]["grad_clip"],
        intermediate_weight=config["intermediate_weight"],
    )
    return Contestant(name, model, stepper)


def make_batch(model: AcousticModel, size: int, seconds: float) -> Batch:
    """Noise of that length, with random letters."""
    generator = torch.Generator().manual_seed(1)
    waveforms = 0.1 * torch.randn(size, round(seconds * model.sample_rate), generator=generator)
    count = round(CHARACTERS_A_SECOND * seconds)
    picks = torch.randint(len(ALPHABET), (size, count), generator=generator)
    texts = ["".join(ALPHABET[i] for i in row) for row in picks.tolist()]
    targets = torch.tensor([model.tokenizer.encode(text) for text in texts])
    lengths = torch.full((size,), waveforms.shape[1])
    names = [str(n) for n in range(size)]
    return Batch(names, texts, waveforms, lengths, targets, torch.full((size,), count))


def assert_alone_equals_batch(model: AcousticModel, batch: Batch) -> None:
    """Log-probabilities of a short utterance do not depend on what is beside it."""
    lengths = batch.waveform_lengths[:2].clone()
    lengths[1] //= 3
    together, frames = model.log_probs(batch.waveforms[:2], lengths)
    alone, _ = model.log_probs(batch.waveforms[1:2, : lengths[1]], lengths[1:])
    torch.testing.assert_close(together[1, : frames[1]], alone[0], rtol=0, atol=1e-3)


def train(contestant: Contestant, batch: Batch) -> None:
    """Take a step; its loss must be a number."""
    outcome = contestant.stepper(batch, 1e-4, 1)
    assert not outcome.problems, outcome.problems


def recognise(contestant: Contestant, batch: Batch) -> None:
    """Compute log-probabilities, in float32, as every command does."""
    contestant.model.log_probs(batch.waveforms, batch.waveform_lengths)


def row(contestant: Contestant, times: list[list[float]], first: list[list[float]], audio_s: float):  # noqa: ANN201
    """Cells of one network: its times of training and of recognition, and the first network's."""
    model = contestant.model
    weights = sum(p.numel() for p in model.network.parameters())
    field = model.network.receptive_field
    seconds = model.features.hop_length / model.sample_rate
    cells = [contestant.name, f"{weights / 1e6:.2f}", f"{1000 * model.seconds_per_frame:.0f}"]
    cells.append("all" if field is None else f"{field * seconds:.2f}")
    for own, theirs in zip(times, first, strict=True):
        ratios = [b / a for a, b in zip(own, theirs, strict=True)]
        cells += [f"{audio_s / min(own):.0f}", f"{audio_s / statistics.median(own):.0f}"]
        cells.append(f"{statistics.median(ratios):.2f}")
    return cells


def run(args: argparse.Namespace) -> None:
    """Measure, and print the table."""
    torch.set_num_threads(args.threads)
    contestants = [make_contestant(name, args.precision) for name in args.models]
    batch = make_batch(contestants[0].model, args.batch, args.seconds)
    for contestant in contestants:
        assert_alone_equals_batch(contestant.model, batch)
    clock = time.process_time if args.threads == 1 else time.perf_counter
    times = [
        time_in_turns(
            [partial(work, contestant, batch) for contestant in contestants],
            args.repeats,
            [clock] * len(contestants),
            seconds=0.0,
        )
        for work in (train, recognise)
    ]
    facts = environment()
    formats = ", ".join(sorted({c.stepper.precision for c in contestants}))
    print(f"{facts['processor']}, {args.threads} threads, training in {formats}", end="")
    print(f", times of the {'processor' if args.threads == 1 else 'clock'}")
    print(f"torch {torch.__version__}, commit {facts['commit']}")
    print(f"batch {args.batch} x {args.seconds} s, {args.repeats} turns; audio, s a second")
    header = ["model", "million", "frame ms", "sees s", "train max", "median", "relative"]
    header += ["recognise max", "median", "relative"]
    print("| " + " | ".join(header) + " |")
    print("|---" + "|---:" * (len(header) - 1) + "|")
    for number, contestant in enumerate(contestants):
        own, first = ([kind[i] for kind in times] for i in (number, 0))
        print("| " + " | ".join(row(contestant, own, first, args.batch * args.seconds)) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    choices = sorted(path.stem for path in CONF.glob("*.yaml"))
    default = ["ds2_lstm", *(name for name in choices if name != "ds2_lstm")]
    parser.add_argument("--models", nargs="+", choices=choices, default=default, metavar="MODEL")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32, help="utterances")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each utterance")
    parser.add_argument("--precision", default="auto", help="auto, float32 or bfloat16")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
