"""Fuzz the CTC loss against PyTorch in float64: `python tests/fuzz_ctc.py --cases 10000`.

Cases run in child processes, so that one that kills its process is counted rather than fatal. Ends
with the number of mismatches and of dead processes, and with exit code 1 unless both are 0.
"""

import argparse
import multiprocessing
import os
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from asr.ctc import ctc_loss
from tests.oracles import ctc as oracle

KINDS = (
    "plain",
    "times ten",
    "huge",
    "peaky",
    "confidently wrong",
    "least frames",
    "impossible",
    "empty targets",
    "repeats",
    "masked label",
    "one frame",
    "all blank",
    "drifting",
    "too sure",
)
LOSS_TOLERANCE = 1e-5  # relative
GRAD_TOLERANCE = 5e-6


def make_case(seed: int, kind: str | None = None) -> dict:
    """Logits, targets and options of a case; its kind is seed modulo the number of kinds."""
    rng = np.random.default_rng(seed)
    kind = kind or KINDS[seed % len(KINDS)]
    num_frames, num_utterances = int(rng.integers(1, 90)), int(rng.integers(1, 4))
    num_classes = int(rng.choice([2, 3, 5, 17, 29, 33, 64, 200]))
    num_labels = int(rng.integers(0, 40))
    if kind == "one frame":
        num_frames = 1
    elif kind == "too sure":  # what vanishes does so over many labels
        num_frames, num_utterances = int(rng.integers(60, 160)), 1
        num_labels = int(rng.integers(30, 70))
    targets = rng.integers(1, num_classes, (num_utterances, max(1, num_labels)))
    if kind == "repeats":
        targets = np.sort(targets, axis=1)
    target_lengths = rng.integers(0, num_labels + 1, num_utterances)
    if kind == "empty targets":
        target_lengths[:] = 0
    elif kind == "too sure":
        target_lengths[:] = num_labels
    least = [
        int(s + np.count_nonzero(y[1:s] == y[: max(s - 1, 0)]))
        for y, s in zip(targets, target_lengths, strict=True)
    ]
    if kind == "least frames":
        num_frames = max(1, *least)
        input_lengths = np.maximum(least, 1)
    elif kind == "impossible":
        input_lengths = rng.integers(1, num_frames + 1, num_utterances)
    else:
        if kind != "one frame":
            num_frames = max(num_frames, *least)
        input_lengths = np.array(
            [rng.integers(min(max(1, m), num_frames), num_frames + 1) for m in least]
        )
    logits = rng.normal(size=(num_frames, num_utterances, num_classes))
    distort(rng, kind, logits, targets, target_lengths)
    return {
        "kind": kind,
        "logits": torch.from_numpy(logits.astype(np.float32)),
        "lengths": tuple(map(torch.from_numpy, (targets, input_lengths, target_lengths))),
        "zero_infinity": bool(rng.integers(2)),
        "from_logits": bool(rng.integers(2)),
    }


def distort(rng, kind, logits, targets, target_lengths) -> None:
    """Give the logits, in place, the trouble that their kind is about."""
    num_frames, num_utterances, num_classes = logits.shape
    if kind == "times ten":
        logits *= 10
    elif kind == "huge":
        logits *= 1e4
    elif kind == "all blank":
        logits[..., 0] += 30
    elif kind == "peaky":
        logits[..., 0] += 10
        for n in range(num_utterances):
            spikes = np.sort(rng.integers(0, num_frames, target_lengths[n]))
            logits[spikes, n, targets[n, : target_lengths[n]]] += 20
    elif kind == "confidently wrong":
        wrong = rng.integers(0, num_classes, (num_frames, num_utterances))
        gap = rng.uniform(30, 120)
        np.put_along_axis(logits, wrong[..., None], gap, axis=2)
    elif kind == "masked label":
        logits[..., num_classes - 1] = -np.inf
    elif kind == "too sure":
        logits[..., rng.choice([0, 0, num_classes - 1])] += rng.uniform(
            *((0, 200), (50, 80))[rng.integers(2)]
        )
    elif kind == "drifting":
        ramp = np.linspace(0, rng.uniform(50, 400), num_frames)
        logits += ramp[:, None, None] * np.linspace(-1, 1, num_classes)


def expected(case: dict, given: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Losses and gradients by the float64 oracle."""
    targets, input_lengths, target_lengths = (v.numpy() for v in case["lengths"])
    x = given.double().numpy()
    losses, grad = np.zeros(x.shape[1]), np.zeros(x.shape)
    for n, (t, s) in enumerate(zip(input_lengths, target_lengths, strict=True)):
        with np.errstate(all="ignore"):
            log_probs = oracle.log_softmax(x[:t, n]) if case["from_logits"] else x[:t, n]
            losses[n], by_class, _ = oracle.forward_backward(log_probs, targets[n, :s])
            grad[:t, n] = np.exp(log_probs) * case["from_logits"] - by_class
        if np.isinf(losses[n]):
            grad[:t, n] = 0.0 if case["zero_infinity"] else np.nan
            losses[n] = 0.0 if case["zero_infinity"] else np.inf
    return losses, grad


def check(seed: int, kind: str | None = None) -> str | None:
    """Run a case with and without a gradient; say what is wrong, or nothing."""
    case = make_case(seed, kind)
    given = case["logits"]
    if not case["from_logits"]:
        given = given.double().log_softmax(-1).float()
    x = given.clone().requires_grad_()
    options = {k: case[k] for k in ("zero_infinity", "from_logits")}
    losses = ctc_loss(x, *case["lengths"], reduction="none", **options)
    losses.sum().backward()
    alone = ctc_loss(given, *case["lengths"], reduction="none", **options)
    want_losses, want_grad = expected(case, given)
    found = losses.detach().double().numpy()
    # float32 logits determine a loss near 0 to no better than their own resolution.
    scale = np.maximum(np.abs(want_losses), 1.0)
    with np.errstate(invalid="ignore"):
        loss_ok = (found == want_losses) | (np.abs(found - want_losses) <= LOSS_TOLERANCE * scale)
        same = torch.isclose(losses, alone, rtol=LOSS_TOLERANCE, atol=0.0, equal_nan=True)
        difference = np.abs(x.grad.double().numpy() - want_grad)
    grad_ok = (difference <= GRAD_TOLERANCE) | (np.isnan(x.grad.numpy()) & np.isnan(want_grad))
    if loss_ok.all() and grad_ok.all() and same.all():
        return None
    return (
        f"case {seed} ({case['kind']}, from_logits={case['from_logits']}): losses {found} for "
        f"{want_losses}, {alone.numpy()} without a gradient, which is off by "
        f"{np.nanmax(difference):.2e}"
    )


def _run_chunk(seeds: list[int]) -> None:
    torch.set_num_threads(1)
    wrong = [message for message in map(check, seeds) if message]
    for message in wrong:
        print(message, flush=True)
    os._exit(min(len(wrong), 100))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first case")
    parser.add_argument("--chunk", type=int, default=250, help="cases a child process runs")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.cases)
    check(options.first)  # compile once, before the forks
    mismatches = deaths = 0
    for start in range(0, len(seeds), options.chunk):
        chunk = list(seeds[start : start + options.chunk])
        child = multiprocessing.get_context("fork").Process(target=_run_chunk, args=(chunk,))
        child.start()
        child.join()
        code = child.exitcode or 0
        deaths += code < 0 or code > 100
        mismatches += code if 0 <= code <= 100 else 0
        if code < 0 or code > 100:
            print(f"a child died with {code} in cases {chunk[0]}..{chunk[-1]}")
    print(f"{options.cases} cases: {mismatches} mismatches, {deaths} dead processes")
    return int(mismatches > 0 or deaths > 0)


if __name__ == "__main__":
    raise SystemExit(main())
