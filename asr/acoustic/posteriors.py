"""Recordings of any length to log-probabilities: the model over chunks, batched and stitched."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from asr.acoustic.chunks import Chunk, group_by_length, plan_chunks
from asr.acoustic.model import AcousticModel

# Padded audio that goes through the model at once.
BATCH_S = 120.0


def recordings_log_probs(model: AcousticModel, waveforms: Sequence[np.ndarray]) -> list[Tensor]:
    """Run the model over recordings; long ones go through it in overlapping chunks.

    Args:
        model: the model.
        waveforms: (L,) float32 in [-1, 1] at the model's rate, each long enough for a frame.

    Returns:
        log_probs (T, C) float32 of every recording, on the CPU.
    """
    frame_samples = model.samples_per_frame
    chunks: list[tuple[np.ndarray, Chunk]] = []
    owners: list[int] = []
    for owner, waveform in enumerate(waveforms):
        planned = plan_chunks(waveform, model.sample_rate, frame_samples)
        chunks += [(waveform[chunk.start : chunk.end], chunk) for chunk in planned]
        owners += [owner] * len(planned)
    cores: list[Tensor | None] = [None] * len(chunks)
    sizes = [len(samples) for samples, _ in chunks]
    for group in group_by_length(sizes, int(BATCH_S * model.sample_rate)):
        rows, row_lengths = _run(model, [chunks[i][0] for i in group])
        for row, length, i in zip(rows, row_lengths.tolist(), group, strict=True):
            cores[i] = _keep_core(row[:length], chunks[i][1], frame_samples)
    parts: list[list[Tensor]] = [[] for _ in waveforms]
    for owner, core in zip(owners, cores, strict=True):
        assert core is not None
        parts[owner].append(core)
    return [torch.cat(part) for part in parts]


def pad_log_probs(log_probs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack (T, C) log-probabilities to (N, T, C), zero beyond their lengths (N,)."""
    lengths = torch.tensor([len(rows) for rows in log_probs])
    return torch.nn.utils.rnn.pad_sequence(list(log_probs), batch_first=True), lengths


def batch_by_frames(model: AcousticModel, log_probs: Sequence[Tensor]) -> list[list[int]]:
    """Group recordings by length into batches of at most `BATCH_S` padded seconds."""
    frame_budget = int(BATCH_S / model.seconds_per_frame)
    return group_by_length([len(rows) for rows in log_probs], frame_budget)


def _run(model: AcousticModel, waveforms: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    padded = torch.zeros(len(waveforms), int(lengths.max()))
    for row, waveform in zip(padded, waveforms, strict=True):
        row[: len(waveform)] = torch.from_numpy(waveform)
    return model.log_probs(padded, lengths)


def _keep_core(rows: Tensor, chunk: Chunk, frame_samples: int) -> Tensor:
    """Drop the frames (T, C) of a chunk's margins; borders are multiples of `frame_samples`."""
    first = (chunk.core_start - chunk.start) // frame_samples
    if chunk.core_end == chunk.end:  # the end of the recording keeps its rounded-up last frame
        return rows[first:].clone()
    count = (chunk.core_end - chunk.core_start) // frame_samples
    return rows[first : first + count].clone()
