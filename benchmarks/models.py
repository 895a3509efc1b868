"""Every network of `conf/model`: its weights, its speed, and what runs of it came to.

    python benchmarks/models.py speed
    python benchmarks/models.py speed --models ds2_lstm quartznet conformer --threads 1
    python benchmarks/models.py runs runs/networks/ds2_lstm runs/networks/*
    python benchmarks/models.py runs --changes runs/one_change/plain runs/one_change/*

`speed` times real steps: features, network, CTC loss, gradient, AdamW, on a batch of noise with
texts of characters. Networks take turns, `--repeats` times over. Speed is audio over time, from the
least and from the median of a network's times; relative speed is the median over the turns of the
first network's time over its own. Several threads are timed by the clock, one by the processor time
of the process, which other work on the machine disturbs less. Before anything is timed, a short
utterance alone is held to the same in the batch.

`runs` reads folders that `asr train` and `asr decode` left. All must have heard the same speech.
Seconds are the training's time of the processor, which other work on the machine disturbs less than
the clock. "dev at N s" is the error rate on the dev set at the last validation within the seconds
that the first run took, in the middle of the others' schedules. With `--changes`, each run differs
from the first by one thing, and the table says by how much the error rate on the same utterances
differs (paired bootstrap).
"""

import argparse
import statistics
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from turns import time_in_turns

from asr.acoustic.checkpoint import load_checkpoint
from asr.acoustic.model import AcousticModel, build_model
from asr.cli.assembly import build_tokenizer
from asr.cli.environment import environment
from asr.cli.hydra_config import build, compose_config
from asr.data.loading import Batch
from asr.evaluation.comparison import compare_results
from asr.evaluation.run_record import Result, RunRecord, read_run
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


def show_speed(args: argparse.Namespace) -> None:
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
    rows = []
    for number, contestant in enumerate(contestants):
        own, first = ([kind[i] for kind in times] for i in (number, 0))
        rows.append(row(contestant, own, first, args.batch * args.seconds))
    print_table(header, rows)


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """Print a table of Markdown."""
    print("| " + " | ".join(header) + " |")
    print("|---" + "|---:" * (len(header) - 1) + "|")
    for cells in rows:
        print("| " + " | ".join(cells) + " |")


def results_of(run: RunRecord) -> dict[str, Result]:
    """What each decoder made of the test set."""
    found = {result.decoder: result for result in run.results if result.score is not None}
    assert "greedy" in found, f"{run.path}: decode it greedily first"
    return found


def rate_within(run: RunRecord, seconds: float) -> str:
    """Error rate of the last validation within so many seconds of training, in percent."""
    rows = [row for row in run.history if row["processor_s"] <= seconds]
    return f"{100 * rows[-1][f'dev_{run.metric}']:.1f}" if rows else "-"


def rate_and_interval(run: RunRecord, result: Result | None) -> str:
    """Error rate with its interval, in percent."""
    if result is None or result.score is None:
        return "-"
    rate = result.score.error_rate(run.metric)
    return f"{100 * rate.rate:.1f} ({100 * rate.low:.1f} - {100 * rate.high:.1f})"


def cost(run: RunRecord) -> list[str]:
    """Weights in millions, seconds of features that a frame depends on, epochs, seconds."""
    model = load_checkpoint(run.path / "ckpt/best.ckpt")
    weights = sum(p.numel() for p in model.network.parameters())
    field = model.network.receptive_field
    sees = (
        "all" if field is None else f"{field * model.features.hop_length / model.sample_rate:.2f}"
    )
    last = run.history[-1]
    return [f"{weights / 1e6:.2f}", sees, f"{last['epoch']:g}", f"{last['processor_s']:.0f}"]


def show_networks(runs: list[RunRecord]) -> None:
    """Print what every run cost and what errors it makes."""
    budget = runs[0].history[-1]["processor_s"]
    header = ["run", "million", "sees s", "epochs", "seconds", f"dev at {budget:.0f} s", "dev, end"]
    header += ["test, greedy", "test, beam", "real-time factor"]
    rows = []
    for run in runs:
        results = results_of(run)
        score = results["greedy"].score
        cells = [run.name, *cost(run), rate_within(run, budget), rate_within(run, float("inf"))]
        cells += [rate_and_interval(run, results.get(name)) for name in ("greedy", "beam")]
        rows.append([*cells, f"{score.real_time_factor:.4f}" if score else "-"])
    print_table(header, rows)


def show_changes(runs: list[RunRecord]) -> None:
    """Print how the errors of every run differ from the first one's, on the same utterances."""
    first = results_of(runs[0])["greedy"]
    rows = []
    for run in runs:
        result = results_of(run)["greedy"]
        cells = [run.name, f"{run.history[-1]['processor_s']:.0f}", rate_within(run, float("inf"))]
        cells.append(rate_and_interval(run, result))
        if run is not runs[0]:
            change = compare_results(first, result, run.metric).change
            low, high = 100 * change.low, 100 * change.high
            cells += [f"{100 * change.difference:+.1f}", f"{low:+.1f} to {high:+.1f}"]
        rows.append(cells + ["-"] * (6 - len(cells)))
    print_table(["run", "seconds", "dev", "test", "difference", "95 % interval"], rows)


def show_runs(args: argparse.Namespace) -> None:
    """Print the table of some runs, each once."""
    paths = {path.resolve(): path for path in args.runs}
    runs = [read_run(path) for path in paths.values()]
    show = show_changes if args.changes else show_networks
    show(runs)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    choices = sorted(path.stem for path in CONF.glob("*.yaml"))
    default = ["ds2_lstm", *(name for name in choices if name != "ds2_lstm")]
    speed = commands.add_parser("speed", help="time training steps and recognition")
    speed.add_argument("--models", nargs="+", choices=choices, default=default, metavar="MODEL")
    speed.add_argument("--threads", type=int, default=2)
    speed.add_argument("--repeats", type=int, default=5)
    speed.add_argument("--batch", type=int, default=32, help="utterances")
    speed.add_argument("--seconds", type=float, default=2.0, help="of each utterance")
    speed.add_argument("--precision", default="auto", help="auto, float32 or bfloat16")
    speed.set_defaults(show=show_speed)
    runs = commands.add_parser("runs", help="lay out what runs cost and what errors they make")
    runs.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders, the first first")
    runs.add_argument("--changes", action="store_true", help="differences from the first run")
    runs.set_defaults(show=show_runs)
    args = parser.parse_args()
    args.show(args)


if __name__ == "__main__":
    main()
