"""Error rates of a model and of what was exported of it, on the same utterances.

Utterances go through alone, as runtimes take them: the scales of 8 bits are those of everything
that is in a batch.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from asr.acoustic.model import AcousticModel
from asr.data.loading import BatchLoader
from asr.decoding import Decoder
from asr.evaluation.metrics import (
    METRICS,
    ErrorRate,
    Metric,
    RateDifference,
    compare_error_rates,
)
from asr.evaluation.table import format_table

# A waveform (L,) to log-probabilities (T, C).
Rows = Callable[[np.ndarray], np.ndarray]


class Measured(NamedTuple):
    """What one of them made of the utterances.

    Attributes:
        error_rate: of the metric that was asked for.
        change: of the rate from that of the first; None for the first itself.
        real_time_factor: seconds of one thread, for features and network, a second of audio.
    """

    error_rate: ErrorRate
    change: RateDifference | None
    real_time_factor: float


def rows_of(model: AcousticModel) -> Rows:
    """Let a model take utterances one at a time."""

    def run(waveform: np.ndarray) -> np.ndarray:
        batch = torch.from_numpy(waveform)[None]
        log_probs, lengths = model.log_probs(batch, torch.tensor([len(waveform)]))
        return log_probs[0, : int(lengths[0])].numpy()

    return run


def measure_errors(
    systems: Mapping[str, Rows], loader: BatchLoader, decoder: Decoder, metric: Metric
) -> dict[str, Measured]:
    """Let each of several systems hear all utterances of a loader.

    Args:
        systems: by name; the others are compared with the first.
        loader: the utterances; what it could not use is in its `bad` afterwards.
        decoder: of all of them.
        metric: what is counted.

    Raises:
        TooManyBadError: not one utterance could be used.
    """
    heard: dict[str, dict[str, str]] = {name: {} for name in systems}
    references: dict[str, str] = {}
    seconds, audio_s = dict.fromkeys(systems, 0.0), 0.0
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that a thread's time is all there is, whoever else computes
    try:
        for batch in loader.batches(0):
            lengths = batch.waveform_lengths.tolist()
            for key, text, row, length in zip(
                batch.ids, batch.texts, batch.waveforms.numpy(), lengths, strict=True
            ):
                references[key] = text
                audio_s += length / loader.sample_rate
                for name, run in systems.items():
                    started = time.thread_time()
                    rows = run(row[:length])
                    seconds[name] += time.thread_time() - started
                    heard[name][key] = decoder(rows[None], np.array([len(rows)]))[0][0].text
    finally:
        torch.set_num_threads(num_threads)
    return _compare(references, heard, {n: s / audio_s for n, s in seconds.items()}, metric)


def _compare(
    references: Mapping[str, str],
    heard: Mapping[str, Mapping[str, str]],
    factors: Mapping[str, float],
    metric: Metric,
) -> dict[str, Measured]:
    """Score texts by id of several systems, in the order of ids as all intervals here."""
    ids = sorted(references)
    said = [references[key] for key in ids]
    texts = {name: [found[key] for key in ids] for name, found in heard.items()}
    base, first = next(iter(texts.items()))
    return {
        name: Measured(
            METRICS[metric](said, own),
            None if name == base else compare_error_rates(said, own, first, metric=metric),
            factors[name],
        )
        for name, own in texts.items()
    }


def format_measured(
    measured: Mapping[str, Measured], sizes: Mapping[str, int], metric: Metric
) -> str:
    """Lay out rates, changes and sizes in bytes (of those that have one), a system a row."""
    header = ("", f"{metric.upper()} %", "95 % interval", "change", "95 % interval", "MB", "RTF")
    rows: list[Sequence[str]] = [header]
    for name, (rate, change, factor) in measured.items():
        changes = ["", ""]
        if change is not None:
            interval = f"{100 * change.low:+.2f} to {100 * change.high:+.2f}"
            changes = [f"{100 * change.difference:+.2f}", interval]
        interval = f"{100 * rate.low:.2f} - {100 * rate.high:.2f}"
        size = f"{sizes[name] / 1e6:.2f}" if name in sizes else ""
        rows.append([name, f"{100 * rate.rate:.2f}", interval, *changes, size, f"{factor:.4f}"])
    return format_table(rows)
