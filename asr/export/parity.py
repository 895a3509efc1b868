"""The gate that an exported file passes: what it computes is what the model computes.

It is tried on batches and lengths other than the example's, from waveforms to log-probabilities,
with features that the runtime computes.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from asr.acoustic.model import AcousticModel
from asr.runtime.facts import Facts

Array = np.ndarray
# A graph at work: (N, T, S) or (N, L), and (N,), to log_probs (N, T', C) and their lengths (N,).
Run = Callable[[Array, Array], tuple[Array, Array]]

# Seconds of the utterances that the graph is traced with, and of those that it is tried on.
EXAMPLE_S = (1.1, 0.7)
TRIALS_S = ((1.37,), (0.31, 2.05, 0.9), (0.5, 0.5), (0.12,), (3.3, 0.2, 0.6, 1.0))
# Nats: how far a log-probability above LEAST may be off. Sums in another order make 1e-5.
TOLERANCE = 1e-3
LEAST = -20.0
# What stands in the padding, which no graph may look at: sherpa-onnx's for log-mel energies.
PADDING = -23.0


class Deviation(NamedTuple):
    """How far log-probabilities are from the model's.

    Attributes:
        largest: nats, over all classes that the model gives more than exp(LEAST).
        same_best: share of frames whose best class is the same, 0..1.
    """

    largest: float
    same_best: float


class ParityError(ValueError):
    """An exported graph computes something else than its model."""


def make_waveforms(seconds: Sequence[float], sample_rate: int) -> list[Array]:
    """Draw noise that swells and fades, with a tone in it, (L,) each."""
    rng = np.random.default_rng(len(seconds))
    waveforms = []
    for duration in seconds:
        time = np.arange(round(duration * sample_rate)) / sample_rate
        envelope = 0.1 * np.sin(2 * np.pi * 3.1 * time) ** 2
        tone = np.sin(2 * np.pi * 440.0 * time)
        waveform = envelope * (tone + 0.3 * rng.standard_normal(len(time)))
        waveforms.append(waveform.astype(np.float32))
    return waveforms


def pad(arrays: Sequence[Array], padding: float = 0.0) -> tuple[Array, Array]:
    """Stack (X, ...) arrays to (N, X, ...) and say their lengths (N,) int64."""
    lengths = np.array([len(array) for array in arrays], np.int64)
    stacked = np.full((len(arrays), lengths.max(), *arrays[0].shape[1:]), padding, np.float32)
    for row, array in zip(stacked, arrays, strict=True):
        row[: len(array)] = array
    return stacked, lengths


def check_frames(model: AcousticModel, facts: Facts) -> None:
    """Check that a runtime counts frames as the model does.

    Raises:
        ParityError: it does not.
    """
    longest = 3 * min(model.samples_per_frame, model.sample_rate)
    step = max(1, longest // 997)
    for num_samples in (*range(0, longest, step), 10 * model.sample_rate + 1):
        ours, theirs = model.num_frames(num_samples), facts.num_frames(num_samples)
        if ours != theirs:
            raise ParityError(
                f"{num_samples} samples give {ours} frames, by the exported file {theirs}"
            )


def measure(model: AcousticModel, run: Run, make_input: Callable[[Array], Array]) -> Deviation:
    """Compare a graph with its model on all `TRIALS_S`.

    Args:
        model: on the CPU.
        run: the graph.
        make_input: what it takes of a waveform (L,).

    Raises:
        ParityError: the graph fails, shapes or lengths differ, or values are not finite.
    """
    largest, same, total = 0.0, 0, 0
    for seconds in TRIALS_S:
        waveforms = make_waveforms(seconds, model.sample_rate)
        padded, lengths = pad(waveforms)
        expected, frames = model.log_probs(torch.from_numpy(padded), torch.from_numpy(lengths))
        inputs = pad([make_input(w) for w in waveforms], PADDING)
        try:
            found, found_frames = run(*inputs)
        except Exception as error:  # whatever a runtime raises, it is the graph that is wrong
            reason = " ".join(str(error).split())[:200]
            raise ParityError(f"utterances of {seconds} s cannot be computed: {reason}") from error
        if found_frames.tolist() != frames.tolist() or found.shape != expected.shape:
            raise ParityError(
                f"utterances of {seconds} s give {found.shape}, lengths {found_frames.tolist()}, "
                f"instead of {tuple(expected.shape)}, lengths {frames.tolist()}"
            )
        for ours, theirs, size in zip(expected.numpy(), found, frames.tolist(), strict=True):
            ours, theirs = ours[:size], theirs[:size]
            if not np.isfinite(theirs).all():
                raise ParityError(f"utterances of {seconds} s give values that are not finite")
            counts = ours > LEAST
            largest = max(largest, float(np.abs(ours - theirs)[counts].max(initial=0.0)))
            same += int((ours.argmax(1) == theirs.argmax(1)).sum())
            total += size
    return Deviation(largest, same / max(total, 1))


def check_parity(deviation: Deviation) -> None:
    """Refuse a graph that is too far from its model.

    Raises:
        ParityError: says by how much.
    """
    if not deviation.largest <= TOLERANCE:
        raise ParityError(
            f"log-probabilities are off by {deviation.largest:.3g} nats, more than {TOLERANCE:g}"
        )
