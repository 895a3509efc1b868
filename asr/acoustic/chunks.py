"""Cutting long recordings so that memory stays bounded, and stitching what comes out.

The model sees chunks that begin and end in silences, alone. Where there is no silence, chunks
overlap: of each the model keeps the frames of its core, away from the chunk's ends, where it had
context on both sides, and cores end where it is quiet: a word that straddles two chunks may be
heard twice, or in neither. Cores lie side by side, so that their frames, joined, are as many as
those of the whole recording.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from asr.acoustic.silences import EnergySilences, MakeFinder, choose_cut
from asr.decoding.hypothesis import BLANK

# What is no longer is not cut; training utterances are rarely longer.
MAX_CHUNK_S = 30.0
# Context beside a core that does not end in silence, on both sides: several words.
MARGIN_S = 1.5
# A core ends at the quietest place of its last seconds.
SEARCH_S = 10.0
# Quiet means quiet for this long: longer than the closure of a stop consonant, about 0.1 s.
QUIET_S = 0.25
# Resolution of that search.
ENERGY_STEP_S = 0.01

Item = TypeVar("Item")
Result = TypeVar("Result")


class Chunk(NamedTuple):
    """What the model sees of a recording, and what of it is kept: [core_start, core_end)."""

    samples: np.ndarray  # (L,)
    core_start: int
    core_end: int
    ends_in_silence: bool  # or with the recording
    is_last: bool


def cut_chunks(
    blocks: Iterable[np.ndarray],
    sample_rate: int,
    frame_samples: int,
    make_finder: MakeFinder = EnergySilences,
) -> Iterator[Chunk]:
    """Cut a recording into chunks of at most `MAX_CHUNK_S` while it is read; a short one stays one.

    A longer one is cut at its silences (`choose_cut`), and where there are none at quiet places.

    Where it is cut depends on the samples alone, not on the blocks that they come in.

    Args:
        blocks: consecutive pieces (L,) of the recording.
        sample_rate: Hz.
        frame_samples: samples between two output frames; all borders but the last are multiples.
        make_finder: what finds silences; by their energy.

    Yields:
        Chunks in order whose cores cover the recording exactly.
    """
    longest = int(MAX_CHUNK_S * sample_rate)
    margin = _down(int(MARGIN_S * sample_rate), frame_samples)
    finder = make_finder(sample_rate)
    first = 0  # sample of the recording where the next chunk begins
    held = np.empty(0, np.float32)  # from there on
    core_start = 0  # in `held`
    is_long = False

    def find_cut(window: np.ndarray) -> int | None:
        silences = finder.find(window, first)
        return choose_cut(silences, core_start, len(window), sample_rate, frame_samples)

    for block in blocks:
        held = np.concatenate([held, block]) if len(held) else block
        while len(held) > longest:
            is_long = True
            if cut := find_cut(held[:longest]):
                yield Chunk(held[:cut], core_start, cut, True, False)
                held, core_start, first = held[cut:], 0, first + cut
                continue
            latest = _down(core_start + longest - 2 * margin, frame_samples)
            earliest = latest - int(SEARCH_S * sample_rate)
            cut = _down(find_quiet(held, earliest, latest, sample_rate), frame_samples)
            yield Chunk(held[: cut + margin], core_start, cut, False, False)
            held, core_start, first = held[cut - margin :], margin, first + cut - margin
    while is_long and (cut := find_cut(held)):
        yield Chunk(held[:cut], core_start, cut, True, False)
        held, core_start, first = held[cut:], 0, first + cut
    yield Chunk(held, core_start, len(held), True, True)


def check_longest(num_samples: int, sample_rate: int, max_samples: int | None) -> None:
    """Refuse what is too long for a model of whole clips.

    Args:
        num_samples: of a recording.
        sample_rate: Hz.
        max_samples: of the longest clip that the model takes; 0 or None for other models.

    Raises:
        ValueError: so many samples are more than that.
    """
    if max_samples and num_samples > max_samples:
        raise ValueError(
            f"a clip must be at most {MAX_CHUNK_S:g} s for a model that gives it one label, "
            f"got {num_samples / sample_rate:.1f} s"
        )


def check_shortest(num_samples: int, sample_rate: int, num_frames: Callable[[int], int]) -> None:
    """Refuse what is too short for a frame.

    Args:
        num_samples: of a recording.
        sample_rate: Hz.
        num_frames: output frames for that many samples.

    Raises:
        ValueError: so many samples give no frame.
    """
    if num_frames(num_samples) < 1:
        raise ValueError(
            f"{num_samples} samples at {sample_rate} Hz are too short for one frame of the model"
        )


def num_seen(
    chunk: Chunk, hop_length: int, frame_samples: int, num_frames: Callable[[int], int]
) -> int:
    """Samples of a chunk that the network sees: at a silence, none that gives a frame too many.

    A centred front end has a frame at both ends. Where nothing follows, the last word's token may
    wait for that frame, which is the first of the next chunk.

    Args:
        chunk: the chunk.
        hop_length: samples between two frames of features.
        frame_samples: samples between two output frames.
        num_frames: output frames for that many samples.
    """
    size = len(chunk.samples)
    if not chunk.ends_in_silence or chunk.is_last:
        return size
    shorter = size - hop_length
    return shorter if num_frames(shorter) == size // frame_samples else size


def keep_core(
    rows: np.ndarray, chunk: Chunk, frame_samples: int, tokens: Sequence[str]
) -> np.ndarray:
    """Drop the frames (T, C) of a chunk's margins; the rest is a copy.

    Where a chunk ends in a silence and in a blank, its last frame becomes the separator of words.
    The network took the chunk for a whole utterance, after whose last word nothing stands; who
    decodes a recording as a whole would join that word and the next.
    """
    first = chunk.core_start // frame_samples
    if chunk.is_last:  # the recording's end has a rounded-up last frame
        return rows[first:].copy()
    core = rows[first : chunk.core_end // frame_samples].copy()
    if chunk.ends_in_silence and " " in tokens and len(core) and core[-1].argmax() == BLANK:
        pair = [BLANK, tokens.index(" ")]
        core[-1, pair] = core[-1, pair[::-1]]
    return core


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


def map_batches(
    work: Callable[[list[Item]], Sequence[Result]],
    items: Sequence[Item],
    lengths: Sequence[int],
    most: int,
) -> list[Result]:
    """Do work on items of similar length together (`group_by_length`); results as items stand."""
    results: dict[int, Result] = {}
    for group in group_by_length(lengths, most):
        results |= dict(zip(group, work([items[i] for i in group]), strict=True))
    return [results[i] for i in range(len(items))]


def _down(samples: int, multiple: int) -> int:
    return samples - samples % multiple
