"""Cutting long recordings so that memory stays bounded, and stitching what comes out.

The model sees overlapping chunks; of each it keeps the frames of its core, away from the chunk's
ends, where it had context on both sides. Cores lie side by side, so that their frames, joined, are
as many as those of the whole recording. Why cores end where it is quiet: a word that straddles two
chunks may be heard twice, or in neither.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Training utterances are rarely longer, and a recurrent model is best at lengths it was trained on.
MAX_CHUNK_S = 30.0
# Context beside a core, on both sides: several words.
MARGIN_S = 1.5
# A core ends at the quietest place of its last seconds.
SEARCH_S = 10.0
# Quiet means quiet for this long: longer than the closure of a stop consonant, about 0.1 s.
QUIET_S = 0.25
# Resolution of that search.
ENERGY_STEP_S = 0.01


class Chunk(NamedTuple):
    """Samples [start, end) that the model sees, of which it keeps [core_start, core_end)."""

    start: int
    end: int
    core_start: int
    core_end: int


def plan_chunks(waveform: np.ndarray, sample_rate: int, frame_samples: int) -> list[Chunk]:
    """Cut a waveform (L,) into chunks of at most `MAX_CHUNK_S`; a short one stays whole.

    Args:
        frame_samples: samples between two output frames; all borders but the last are multiples.

    Returns:
        Chunks in order whose cores cover the waveform exactly.
    """
    longest = int(MAX_CHUNK_S * sample_rate)
    margin = _down(int(MARGIN_S * sample_rate), frame_samples)
    size = len(waveform)
    if size <= longest:
        return [Chunk(0, size, 0, size)]
    chunks: list[Chunk] = []
    core_start = 0
    while size - core_start > longest - margin:
        latest = _down(core_start + longest - 2 * margin, frame_samples)
        earliest = latest - int(SEARCH_S * sample_rate)
        cut = _down(find_quiet(waveform, earliest, latest, sample_rate), frame_samples)
        chunks.append(Chunk(max(0, core_start - margin), cut + margin, core_start, cut))
        core_start = cut
    chunks.append(Chunk(max(0, core_start - margin), size, core_start, size))
    return chunks


def find_quiet(waveform: np.ndarray, earliest: int, latest: int, sample_rate: int) -> int:
    """Return the middle of the quietest `QUIET_S` of waveform[earliest:latest], the last of equals.

    The stretch must be longer than `QUIET_S`.
    """
    step = int(ENERGY_STEP_S * sample_rate)
    num_steps = (latest - earliest) // step
    blocks = waveform[earliest : earliest + num_steps * step].reshape(num_steps, step)
    energy = np.square(blocks, dtype=np.float64).sum(axis=1)
    width = int(QUIET_S / ENERGY_STEP_S)
    sums = np.convolve(energy, np.ones(width), mode="valid")  # (num_steps - width + 1,)
    last_quietest = len(sums) - 1 - int(np.argmin(sums[::-1]))
    return earliest + (last_quietest * step + width * step // 2)


def group_by_length(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Group indices into batches whose padded size, longest times count, is at most `most`.

    An item longer than that is a batch by itself. Longest first: what needs the most memory fails
    before, not after, the rest was done.
    """
    groups: list[list[int]] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if groups and longest * (len(groups[-1]) + 1) <= most:
            groups[-1].append(index)
        else:
            groups.append([index])
            longest = lengths[index]
    return groups


def _down(samples: int, multiple: int) -> int:
    return samples - samples % multiple
