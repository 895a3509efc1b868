"""Time the CTC loss on a GPU, logits to gradient, against PyTorch's native kernel and cuDNN's.

    python benchmarks/ctc_loss_cuda.py --utterances 1 8 64 256

For every N the three losses and gradients are first compared with PyTorch's in float64 on the GPU,
and ours with itself, bit by bit. Then the three run in turn, `--repeats` times over, a burst of
`--burst` runs between two CUDA events; a time is that of one run. Where launching takes longer than
computing, that is what is timed. All input lengths are T, because cuDNN wants it.

    python benchmarks/ctc_loss_cuda.py --without-device

prints what the kernels need of a GPU of compute capability 9.0, as linked for it, the memory that a
call allocates, and the host's time for a training call up to the driver, whose own is left out.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import NamedTuple

import torch

from asr.ctc import ctc_loss

LOSS_TOLERANCE = 1e-5  # relative
OUR_TOLERANCE = 5e-6  # of the gradient of the sum of losses
THEIR_TOLERANCE = 5e-2  # float32 logarithms of a thousand frames are no better


class Problem(NamedTuple):
    """A batch on the GPU, and its targets as cuDNN wants them."""

    logits: torch.Tensor  # (T, N, C)
    targets: torch.Tensor  # (N, S)
    input_lengths: torch.Tensor
    target_lengths: torch.Tensor
    host_targets: torch.Tensor  # (N * S,) int32 on the CPU


def make_problem(
    num_frames: int, num_utterances: int, num_classes: int, num_labels: int
) -> Problem:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(num_frames, num_utterances, num_classes, generator=generator)
    targets = torch.randint(1, num_classes, (num_utterances, num_labels), generator=generator)
    return Problem(
        logits.cuda().requires_grad_(),
        targets.cuda(),
        torch.full((num_utterances,), num_frames).cuda(),
        torch.full((num_utterances,), num_labels).cuda(),
        targets.reshape(-1).int(),
    )


def run_ours(problem: Problem) -> torch.Tensor:
    problem.logits.grad = None
    loss = ctc_loss(*problem[:4], reduction="sum", from_logits=True)
    loss.backward()
    return loss.detach()


def run_native(problem: Problem) -> torch.Tensor:
    problem.logits.grad = None
    loss = torch.nn.functional.ctc_loss(
        problem.logits.log_softmax(-1), *problem[1:4], reduction="sum"
    )
    loss.backward()
    return loss.detach()


def run_cudnn(problem: Problem) -> torch.Tensor:
    problem.logits.grad = None
    log_probs = problem.logits.log_softmax(-1)
    loss = torch.nn.functional.ctc_loss(
        log_probs, problem.host_targets, *host_lengths(problem), reduction="sum"
    )
    loss.backward()
    return loss.detach()


def host_lengths(problem: Problem) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Lengths as plain integers, as the batch was made."""
    num_frames, num_utterances, _ = problem.logits.shape
    num_labels = problem.targets.shape[1]
    return (num_frames,) * num_utterances, (num_labels,) * num_utterances


def competitors(problem: Problem) -> dict[str, Callable[[Problem], torch.Tensor]]:
    """Ours, the native kernel, and cuDNN's where PyTorch would choose it."""
    runs = {"ours": run_ours, "native": run_native}
    with torch.no_grad():
        usable = torch._use_cudnn_ctc_loss(
            problem.logits.log_softmax(-1), problem.host_targets, *host_lengths(problem), 0
        )
    return {**runs, "cudnn": run_cudnn} if usable else runs


def assert_agreement(problem: Problem, runs: dict[str, Callable[[Problem], torch.Tensor]]) -> None:
    """Compare all with PyTorch in float64, and ours with itself."""
    double = problem._replace(logits=problem.logits.detach().double().requires_grad_())
    expected = run_native(double)
    for name, run in runs.items():
        loss = run(problem)
        gradient = problem.logits.grad.clone()
        loss_error = ((loss - expected).abs() / expected.abs()).item()
        error = (gradient - double.logits.grad).abs().max().item()
        assert loss_error < LOSS_TOLERANCE, f"{name}: loss {loss}, expected {expected}"
        tolerance = OUR_TOLERANCE if name == "ours" else THEIR_TOLERANCE
        assert error < tolerance, f"{name}: gradient is off by {error}"
        if name == "ours":
            assert torch.equal(run(problem), loss), "ours: another loss at the second run"
            assert torch.equal(problem.logits.grad, gradient), "ours: another gradient"


def milliseconds(run: Callable[[], object], burst: int) -> float:
    """Time of one of `burst` runs, by events in the GPU's stream."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    for _ in range(burst):
        run()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / burst


def bench_row(problem: Problem, repeats: int, burst: int) -> str:
    """Assert agreement, time all in turn, and format a line of the table."""
    runs = competitors(problem)
    assert_agreement(problem, runs)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for trial in range(repeats + 1):
        for name, run in runs.items():
            taken = milliseconds(partial(run, problem), burst)
            if trial:  # the first warms up
                times[name].append(taken)
    line = f"{problem.logits.shape[1]:4d}"
    for name in ("ours", "native", "cudnn"):
        own = times.get(name)
        line += f" {min(own):9.3f} {statistics.median(own):9.3f}" if own else " " * 19 + "-"
    for name in ("native", "cudnn"):
        own = times.get(name)
        line += f" {min(own) / min(times['ours']):9.2f}" if own else " " * 9 + "-"
    return line


def report_without_device() -> None:
    """Print the tables that need no GPU."""
    import cuda_compiler

    from asr.ctc import cuda_loss

    cuda_compiler.install()
    print(f"compute capability 9.0, numba-cuda {version('numba-cuda')}, float32")
    print("S     warps  pairs  registers  spilled B/thread  local B/block  shared B/block")
    for num_labels in (60, 150, 400, 1000):
        warps, pairs = cuda_loss.shape_of_direction(num_labels)
        _, fit, _ = cuda_compiler.kernels(warps, pairs, "float32")
        needs = cuda_compiler.resources(fit)
        local = needs["STACK"] * 2 * warps * cuda_loss.WARP
        print(
            f"{num_labels:<5d} {warps:5d} {pairs:6d} {needs['REG']:10d} {needs['STACK']:17d} "
            f"{local:14d} {needs['SHARED']:15d}"
        )
    cuda_compiler.install_launches()
    print("\nhost time of a call and its gradient up to the driver, T=50 N=8 C=29 S=10, us")
    whole = host_times()
    cuda_loss._launch = lambda *arguments: None
    rest = host_times()
    print(f"least {min(whole):.0f}, median {statistics.median(whole):.0f}; ", end="")
    print(f"without its launches {min(rest):.0f} and {statistics.median(rest):.0f}")


def host_times(repeats: int = 200) -> list[float]:
    """Microseconds of calls whose kernels never start, on tensors of the CPU."""
    x = torch.zeros(50, 8, 29, requires_grad=True)
    targets = torch.ones((8, 10), dtype=torch.int64)
    lengths = torch.full((8,), 50), torch.full((8,), 10)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        torch.autograd.grad(ctc_loss(x, targets, *lengths, from_logits=True), x)
        times.append(1e6 * (time.perf_counter() - start))
    return times


def machine() -> str:
    """What the figures were measured with."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return (
        f"{torch.cuda.get_device_name()}; torch {torch.__version__}, CUDA {torch.version.cuda}, "
        f"cuDNN {torch.backends.cudnn.version()}, numba-cuda {version('numba-cuda')}, "
        f"commit {commit or 'unknown'}, {time.strftime('%Y-%m-%d')}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--utterances", nargs="+", type=int, default=[2**k for k in range(9)])
    parser.add_argument("--frames", type=int, default=750)
    parser.add_argument("--classes", type=int, default=29)
    parser.add_argument("--labels", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--burst", type=int, default=10, help="runs between two events")
    parser.add_argument("--without-device", action="store_true")
    options = parser.parse_args()
    if find_spec("numba_cuda") is None:
        print("ctc_loss_cuda.py needs numba-cuda: pip install 'ctc-asr[cuda]'", file=sys.stderr)
        return 2
    if options.without_device:
        report_without_device()
        return 0
    if not torch.cuda.is_available():
        print("ctc_loss_cuda.py needs a CUDA device, and torch sees none", file=sys.stderr)
        return 2
    print(machine())
    print(f"T={options.frames} C={options.classes} S={options.labels}; ms, least and median")
    print("   N      ours                native               cudnn           native x   cudnn x")
    for num_utterances in options.utterances:
        problem = make_problem(options.frames, num_utterances, options.classes, options.labels)
        print(bench_row(problem, options.repeats, options.burst), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
