"""Time the CTC loss, logits to gradient, against PyTorch's and (where it can be imported) optax's.

    python benchmarks/ctc_loss.py --rows A B C --kinds plain ragged peaky --threads 1 2

Every row first asserts that loss and gradient agree with PyTorch's in float64, then runs the
competitors in turn, `--repeats` times over. At one thread times are of CPU: of the calling thread,
where ours and PyTorch's do all their work, and of the process for optax, which works in threads of
its own and goes on in them after it has returned. Otherwise times are of the clock.
Memory is what the peak of the process rises by, gradient included; it needs Linux.
"""

import argparse
import math
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numba
import torch
from peak_memory import peak_memory
from turns import time_in_turns

from asr.ctc import ctc_loss

# Frames, utterances, classes, labels. W and X are warp-ctc's published grid.
SHAPES = {
    "A": (100, 8, 29, 20),
    "B": (400, 16, 29, 80),
    "C": (750, 32, 29, 150),
    "D": (1500, 32, 29, 300),
    "E": (400, 32, 1024, 60),
    "F": (750, 32, 5000, 60),
    "G": (2000, 4, 29, 400),
    "W1": (150, 1, 28, 40),
    "W16": (150, 16, 28, 40),
    "W32": (150, 32, 28, 40),
    "W64": (150, 64, 28, 40),
    "W128": (150, 128, 28, 40),
    "X1": (150, 1, 5000, 20),
    "X16": (150, 16, 5000, 20),
    "X32": (150, 32, 5000, 20),
    "X64": (150, 64, 5000, 20),
    "X128": (150, 128, 5000, 20),
}
KINDS = ("plain", "ragged", "peaky")


class Problem(NamedTuple):
    """A batch: logits (T, N, C), padded targets, lengths."""

    logits: torch.Tensor
    targets: torch.Tensor
    input_lengths: torch.Tensor
    target_lengths: torch.Tensor


def make_problem(row: str, kind: str) -> Problem:
    """Seeded logits: of unit variance; or, for "peaky", of a model sure of one alignment."""
    num_frames, num_utterances, num_classes, num_labels = SHAPES[row]
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(num_frames, num_utterances, num_classes, generator=generator)
    targets = torch.randint(1, num_classes, (num_utterances, num_labels), generator=generator)
    input_lengths = torch.full((num_utterances,), num_frames)
    target_lengths = torch.full((num_utterances,), num_labels)
    if kind == "ragged":
        share = 0.7 + 0.3 * torch.rand(num_utterances, generator=generator)
        input_lengths = (share * num_frames).long()
        target_lengths = (share * num_labels).long()
    if kind == "peaky":
        logits[..., 0] += 12.0
        spikes = (torch.arange(num_labels) + 0.5) * num_frames / num_labels
        for n in range(num_utterances):
            logits[spikes.long(), n, targets[n]] += 20.0
    return Problem(logits.requires_grad_(), targets, input_lengths, target_lengths)


def ours(problem: Problem) -> torch.Tensor:
    problem.logits.grad = None
    loss = ctc_loss(*problem, from_logits=True)
    loss.backward()
    return loss.detach()


def theirs(problem: Problem) -> torch.Tensor:
    problem.logits.grad = None
    log_probs = problem.logits.log_softmax(-1)
    loss = torch.nn.functional.ctc_loss(log_probs, *problem[1:])
    loss.backward()
    return loss.detach()


def make_optax(problem: Problem) -> Callable[[Problem], object] | None:
    """The same loss by optax, compiled for the shape; None where optax is not installed."""
    try:
        import jax
        import optax
    except ImportError:
        return None
    frames = torch.arange(len(problem.logits))
    labels = torch.arange(problem.targets.shape[1])
    logit_padding = (frames[None] >= problem.input_lengths[:, None]).float().numpy()
    label_padding = (labels[None] >= problem.target_lengths[:, None]).float().numpy()
    weights = 1.0 / (problem.target_lengths.clamp(min=1) * len(problem.targets)).float().numpy()
    x = jax.numpy.asarray(problem.logits.detach().permute(1, 0, 2).numpy())
    targets = jax.numpy.asarray(problem.targets.int().numpy())

    def loss(logits: object) -> object:
        return (optax.ctc_loss(logits, logit_padding, targets, label_padding) * weights).sum()

    step = jax.jit(jax.value_and_grad(loss))
    jax.block_until_ready(step(x))
    return lambda _: jax.block_until_ready(step(x))


def errors(problem: Problem) -> tuple[float, float, float]:
    """Assert agreement; return (error of our loss, worst errors of our and their gradient)."""
    double = problem._replace(logits=problem.logits.detach().double().requires_grad_())
    expected = theirs(double).item()
    loss = ours(problem).item()
    our_error = (problem.logits.grad - double.logits.grad).abs().max().item()
    theirs(problem)
    their_error = (problem.logits.grad - double.logits.grad).abs().max().item()
    loss_error = abs(loss - expected) / max(abs(expected), 1.0)
    assert loss_error < 1e-5, f"loss {loss}, expected {expected}"
    assert our_error * mean_divisor(problem) < 5e-6, f"gradient is off by {our_error}"
    return loss_error, our_error * mean_divisor(problem), their_error * mean_divisor(problem)


def mean_divisor(problem: Problem) -> float:
    """What the mean divided gradients by: errors are stated for the sum."""
    return float(problem.target_lengths.max()) * len(problem.targets)


def memory_of(run: Callable[[Problem], object], problem: Problem) -> float:
    """MiB that a loss with its gradient needs."""
    problem.logits.grad = None
    return peak_memory(lambda: run(problem))


def machine() -> str:
    """What the figures were measured with."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].split(":")[1].strip() if names else cpu
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return (
        f"{cpu}; Python {platform.python_version()}, torch {torch.__version__}, "
        f"numba {numba.__version__}, commit {commit or 'unknown'}, {time.strftime('%Y-%m-%d')}"
    )


def bench_row(row: str, kind: str, repeats: int) -> float:
    """Print one line; return the ratio of the minimum times."""
    problem = make_problem(row, kind)
    _, our_error, their_error = errors(problem)
    optax_run = make_optax(problem)
    runs = [ours, theirs] + ([optax_run] if optax_run else [])
    memory = [memory_of(run, problem) for run in (ours, theirs)]
    clocks = [time.perf_counter] * len(runs)
    if torch.get_num_threads() == 1:
        clocks = [time.thread_time, time.thread_time, time.process_time]
    seconds = time_in_turns([partial(run, problem) for run in runs], repeats, clocks)
    least = [min(times) for times in seconds]
    middle = [statistics.median(times) for times in seconds]
    against_optax = f"{least[2] / least[0]:6.1f}" if optax_run else "     -"
    print(
        f"{row:5s}{kind:7s}{torch.get_num_threads():2d} "
        f"{1e3 * least[0]:9.3f} {1e3 * least[1]:9.2f} {least[1] / least[0]:6.1f} "
        f"{middle[1] / middle[0]:6.1f} {against_optax} "
        f"{our_error:9.1e} {their_error:9.1e} {memory[0]:8.1f} {memory[1]:8.1f}",
        flush=True,
    )
    return least[1] / least[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    print(machine())
    print(
        "row  kind   th   ours ms  torch ms   min x  med x  optax x "
        "grad err  torch's  MiB ours  torch's"
    )
    for num_threads in options.threads:
        torch.set_num_threads(num_threads)
        for kind in options.kinds:
            ratios = {row: bench_row(row, kind, options.repeats) for row in options.rows}
            table = [ratios[row] for row in ratios if row in "ABCDEFG"]
            if table:
                mean = math.exp(statistics.fmean(map(math.log, table)))
                print(f"     geometric mean of {len(table)} rows of A-G, {kind}: {mean:.1f}")


if __name__ == "__main__":
    main()
