"""Time recurrent layers, forward and backward, against `nn.LSTM`, and ways to run their time loop.

    python benchmarks/cells.py [--threads 1 2] [--repeats 7] [--ways kernel eager ...]

The ways, for the LSTM with peepholes: "kernel", which the layer takes on a CPU; "eager", PyTorch's
operations a frame after the other with autograd, which it takes elsewhere; "in_place", the same
without autograd's bookkeeping and with a backward pass by hand; "compiled_frame", eager with each
frame compiled by torch.compile, and "compiled" with all frames at once. These two need a C++
compiler and minutes of its time, and are timed where they are asked for.

Before anything is timed all results and gradients are asserted to be those of the equations in
float64, and those of `nn.LSTM` where the peepholes are zero. Then they take turns. At one thread
times are of the CPU, otherwise of the clock.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from ctc_loss import machine
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional
from turns import time_in_turns

from asr.models.cells import CoupledLSTM, IdentityRNN, LoopedLSTM, PeepholeLSTM
from asr.models.lstm_equations import follow

Run = Callable[[nn.Module, Tensor], Tensor]


def by_layer(layer: nn.Module, x: Tensor) -> Tensor:
    """As the layer runs itself: on a CPU by the kernel."""
    return layer(x)[0]


def eager(layer: LoopedLSTM, x: Tensor) -> Tensor:
    """PyTorch's operations, a frame after the other."""
    projected = functional.linear(x, layer.weight_ih, layer.bias)
    zero = x.new_zeros(x.shape[1], layer.hidden_size)
    frames = follow(layer.equations, projected, layer.weight_hh, zero, zero)
    return torch.stack([gates.hidden for gates in frames])


def in_place(layer: PeepholeLSTM, x: Tensor) -> Tensor:
    """The same in one node of autograd's graph."""
    projected = functional.linear(x, layer.weight_ih, layer.bias)
    return InPlace.apply(projected, layer.weight_hh, layer.peepholes)


class InPlace(Function):
    """An LSTM with peepholes by operations that write where they are told."""

    @staticmethod
    def forward(ctx: Any, projected: Tensor, weight: Tensor, peepholes: Tensor) -> Tensor:  # noqa: ANN401
        """Keep all activations; return h."""
        gates = projected.clone()
        frames, rows, size = len(gates), gates.shape[1], weight.shape[1]
        # Before the first frame all is zero.
        hidden, cells = gates.new_zeros(2, frames + 1, rows, size)
        of_cell = peepholes.view(3, 1, size)
        for t in range(frames):
            torch.addmm(gates[t], hidden[t], weight.t(), out=gates[t])
            i, f, g, o = gates[t].view(rows, 4, size).unbind(1)
            c = cells[t + 1]
            i.addcmul_(of_cell[0], cells[t]).sigmoid_()
            f.addcmul_(of_cell[1], cells[t]).sigmoid_()
            torch.mul(f, cells[t], out=c).addcmul_(i, g.tanh_())
            o.addcmul_(of_cell[2], c).sigmoid_()
            torch.tanh(c, out=hidden[t + 1]).mul_(o)
        ctx.save_for_backward(gates, weight, peepholes, hidden, cells)
        return hidden[1:]

    @staticmethod
    def backward(ctx: Any, grads: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401
        """Go back through time."""
        gates, weight, peepholes, hidden, cells = ctx.saved_tensors
        frames, rows, size = grads.shape
        squashed = torch.tanh(cells[1:])
        i, f, g, o = gates.view(frames, rows, 4, size).unbind(2)
        # What does not depend on later frames is computed for all at once.
        slopes = torch.stack(
            [g * i * (1 - i), cells[:-1] * f * (1 - f), i * (1 - g * g), squashed * o * (1 - o)], 2
        )  # (T, N, 4, H)
        of_hidden = o * (1 - squashed * squashed) + slopes[:, :, 3] * peepholes[2]
        stays = torch.stack([f, slopes[:, :, 0] * peepholes[0], slopes[:, :, 1] * peepholes[1]])
        stays = stays.sum(0)  # dc_t / dc_{t-1}
        deltas = torch.empty_like(slopes)
        of_cell, later = grads.new_zeros(rows, size), grads.new_zeros(rows, size)
        for t in range(frames - 1, -1, -1):
            later.add_(grads[t])
            of_cell.addcmul_(later, of_hidden[t])
            torch.mul(slopes[t, :, :3], of_cell[:, None], out=deltas[t, :, :3])
            torch.mul(slopes[t, :, 3], later, out=deltas[t, :, 3])
            of_cell.mul_(stays[t])
            torch.mm(deltas[t].view(rows, 4 * size), weight, out=later)
        flat = deltas.view(frames * rows, 4 * size)
        of_peepholes = torch.stack(
            [
                (deltas[:, :, 0] * cells[:-1]).sum((0, 1)),
                (deltas[:, :, 1] * cells[:-1]).sum((0, 1)),
                (deltas[:, :, 3] * cells[1:]).sum((0, 1)),
            ]
        )
        weight_grad = flat.t() @ hidden[:-1].reshape(frames * rows, size)
        return flat.view(frames, rows, 4 * size), weight_grad, of_peepholes


def compiled_frame(layer: LoopedLSTM, x: Tensor) -> Tensor:
    """`eager` with each frame's equations compiled; its first call compiles."""
    projected = functional.linear(x, layer.weight_ih, layer.bias)
    hidden = cell = x.new_zeros(x.shape[1], layer.hidden_size)
    outputs = []
    for frame in projected:
        hidden, cell = FRAME(layer, frame, hidden, cell)
        outputs.append(hidden)
    return torch.stack(outputs)


def _frame(layer: LoopedLSTM, frame: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    gates = layer.equations(torch.addmm(frame, hidden, layer.weight_hh.t()), cell)
    return gates.hidden, gates.cell


FRAME = torch.compile(_frame)
WAYS: dict[str, Run] = {
    "kernel": by_layer,
    "eager": eager,
    "in_place": in_place,
    "compiled_frame": compiled_frame,
    "compiled": torch.compile(eager),
}


def fit(run: Run, layer: nn.Module, x: Tensor, weights: Tensor) -> list[Tensor]:
    """Outputs, and gradients of their weighted sum by the inputs and the parameters."""
    y = run(layer, x)
    return [y.detach(), *torch.autograd.grad(y, [x, *layer.parameters()], weights)]


def assert_equations(run: Run, layer: LoopedLSTM, x: Tensor, weights: Tensor) -> None:
    """Results and gradients are those of the equations in float64."""
    found = fit(run, layer, x, weights)
    double = copy.deepcopy(layer).double()
    exact = fit(eager, double, x.detach().double().requires_grad_(), weights.double())
    for ours, theirs in zip(found, exact, strict=True):
        error = (ours - theirs).abs().max() / theirs.abs().max().clamp_min(1.0)
        assert error < 1e-5, f"{run}: off by {error}"


def assert_lstm(run: Run, layer: PeepholeLSTM, lstm: nn.LSTM, x: Tensor, weights: Tensor) -> None:
    """Without peepholes results and gradients are those of `nn.LSTM`."""
    layer = copy.deepcopy(layer)
    nn.init.zeros_(layer.peepholes)
    y, *ours = fit(run, layer, x, weights)
    expected, *theirs = fit(by_layer, lstm, x, weights)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-5)
    for mine, other in zip(ours[:4], theirs[:4], strict=True):  # x, weight_ih, weight_hh, bias
        scale = other.abs().max().item()
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-5 * max(scale, 1.0))


def make_layers(num_features: int, size: int) -> tuple[nn.LSTM, PeepholeLSTM, CoupledLSTM, nn.RNN]:
    torch.manual_seed(1)
    lstm, peephole = nn.LSTM(num_features, size), PeepholeLSTM(num_features, size)
    with torch.no_grad():
        peephole.weight_ih.copy_(lstm.weight_ih_l0)
        peephole.weight_hh.copy_(lstm.weight_hh_l0)
        peephole.bias.copy_(lstm.bias_ih_l0 + lstm.bias_hh_l0)
    return lstm, peephole, CoupledLSTM(num_features, size), IdentityRNN(num_features, size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=192, help="H; the inputs have twice as many")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["kernel", "eager", "in_place"])
    options = parser.parse_args()
    print(machine())
    lstm, peephole, coupled, irnn = make_layers(2 * options.size, options.size)
    x = torch.randn(options.frames, options.batch, 2 * options.size, requires_grad=True)
    weights = torch.randn(options.frames, options.batch, options.size)
    ways = {way: WAYS[way] for way in options.ways}
    for way, run in ways.items():
        started = time.perf_counter()
        fit(run, peephole, x, weights)
        print(f"first call of {way}: {time.perf_counter() - started:.1f} s", flush=True)
        assert_equations(run, peephole, x, weights)
        assert_lstm(run, peephole, lstm, x, weights)
    assert_equations(by_layer, coupled, x, weights)
    rows: dict[str, tuple[Run, nn.Module]] = {"nn.LSTM": (by_layer, lstm)}
    rows |= {f"lstm_peephole, {way}": (run, peephole) for way, run in ways.items()}
    rows |= {"lstm_coupled, kernel": (by_layer, coupled), "lstm_coupled, eager": (eager, coupled)}
    rows |= {"irnn (nn.RNN)": (by_layer, irnn)}
    for num_threads in options.threads:
        torch.set_num_threads(num_threads)
        print_times(rows, x, weights, options.repeats)


@torch.no_grad()
def forward(run: Run, layer: nn.Module, x: Tensor) -> Tensor:
    return run(layer, x)


def print_times(
    rows: dict[str, tuple[Run, nn.Module]], x: Tensor, weights: Tensor, repeats: int
) -> None:
    """A line a layer and way: forward alone without gradient, and forward with backward."""
    runs: list[Callable[[], object]] = [partial(forward, *row, x) for row in rows.values()]
    runs += [partial(fit, *row, x, weights) for row in rows.values()]
    threads = torch.get_num_threads()
    clock = time.thread_time if threads == 1 else time.perf_counter
    times = time_in_turns(runs, repeats, [clock] * len(runs))
    print(f"\nT={len(x)} N={x.shape[1]} F={x.shape[2]} H={weights.shape[2]}, {threads} threads, ms")
    print(f"{'':<32}{'forward min':>12}{'median':>8}{'x LSTM':>8}{'+ backward min':>16}", end="")
    print(f"{'median':>8}{'x LSTM':>8}")
    for place, name in enumerate(rows):
        print(f"{name:<32}", end="")
        for offset, width in ((0, 12), (len(rows), 16)):
            mine, bound = times[offset + place], times[offset]
            least, middle = min(mine), statistics.median(mine)
            print(f"{1e3 * least:>{width}.1f}{1e3 * middle:>8.1f}", end="")
            print(f"{least / min(bound):>8.2f}", end="")
        print()


if __name__ == "__main__":
    main()
