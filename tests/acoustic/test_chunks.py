import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.acoustic.chunks import (
    MARGIN_S,
    MAX_CHUNK_S,
    cut_chunks,
    find_quiet,
    group_by_length,
    map_batches,
)

RATE = 8000


def cut(waveform, frame_samples=320, num_blocks=1):
    return list(cut_chunks(np.array_split(waveform, num_blocks), RATE, frame_samples))


@settings(max_examples=30)
@given(
    seconds=st.floats(0.01, 200), frame_samples=st.sampled_from([160, 320]), seed=st.integers(0, 9)
)
def test_cores_cover_the_recording_and_chunks_are_bounded(seconds, frame_samples, seed):
    size = max(1, int(seconds * RATE))
    waveform = np.random.default_rng(seed).standard_normal(size).astype(np.float32)

    chunks = cut(waveform, frame_samples)

    cores = [c.samples[c.core_start : c.core_end] for c in chunks]
    np.testing.assert_array_equal(np.concatenate(cores), waveform)
    assert chunks[0].core_start == 0
    assert chunks[-1].core_end == len(chunks[-1].samples)
    margin = MARGIN_S * RATE - frame_samples
    for chunk in chunks:
        assert 0 < len(chunk.samples) <= MAX_CHUNK_S * RATE
        assert chunk.core_start % frame_samples == 0
    assert all(chunk.core_start > margin for chunk in chunks[1:])
    for chunk in chunks[:-1]:
        assert chunk.core_end % frame_samples == 0
        assert len(chunk.samples) - chunk.core_end > margin


@settings(max_examples=20)
@given(seconds=st.floats(0.01, 120), num_blocks=st.integers(1, 40), seed=st.integers(0, 9))
def test_chunks_do_not_depend_on_the_blocks_of_reading(seconds, num_blocks, seed):
    size = max(1, int(seconds * RATE))
    waveform = np.random.default_rng(seed).standard_normal(size).astype(np.float32)

    whole, streamed = cut(waveform), cut(waveform, num_blocks=num_blocks)

    assert [c[1:] for c in whole] == [c[1:] for c in streamed]
    for a, b in zip(whole, streamed, strict=True):
        np.testing.assert_array_equal(a.samples, b.samples)


def test_recording_is_cut_in_its_pause():
    waveform = np.full(40 * RATE, 0.5, np.float32)
    waveform[20 * RATE : 20 * RATE + 4000] = 0.0

    first, second = cut(waveform)

    assert 20 * RATE <= first.core_end <= 20 * RATE + 4000
    assert len(second.samples) - second.core_start == len(waveform) - first.core_end


def test_find_quiet_returns_the_middle_of_the_quietest_stretch():
    waveform = np.ones(4 * RATE, np.float32)
    waveform[2 * RATE : 2 * RATE + 2000] = 0.0

    assert find_quiet(waveform, 1000, 4 * RATE, RATE) == pytest.approx(2 * RATE + 1000, abs=80)


@given(st.lists(st.integers(1, 100), max_size=30), st.integers(1, 300))
def test_groups_hold_every_index_once_within_the_budget(lengths, most):
    groups = group_by_length(lengths, most)

    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or max(lengths[i] for i in group) * len(group) <= most


@given(st.lists(st.integers(1, 100), max_size=30))
def test_results_stand_where_their_items_did(lengths):
    items = [f"{i}: {length}" for i, length in enumerate(lengths)]

    assert map_batches(lambda group: [*map(str.upper, group)], items, lengths, 150) == items
