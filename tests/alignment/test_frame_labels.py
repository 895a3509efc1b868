"""Spans to a class for every frame: by hand, for any spans, and at the edges."""

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.alignment.frame_labels import label_frames
from asr.alignment.spans import merge_frames
from asr.ctc import minimum_input_length


def collapse(frames, blank=0):
    return [label for label, _ in groupby(frames.tolist()) if label != blank]


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        (0, [0, 0, 1, 0, 0, 0, 2, 0, 0, 0]),
        (1, [0, 1, 1, 1, 0, 2, 2, 2, 0, 0]),
        # Between them is [3, 6): the middle of frame 4 is the second one's.
        (9, [1, 1, 1, 1, 2, 2, 2, 2, 2, 2]),
    ],
)
def test_labels_grow_over_blanks_but_not_beyond_the_middle(reach, expected):
    assert label_frames([1, 2], [2, 6], [3, 7], 10, reach).tolist() == expected


def test_a_blank_stays_between_equal_neighbours():
    assert label_frames([1, 1], [1, 4], [2, 5], 6, 9).tolist() == [1, 1, 0, 1, 1, 1]


def test_a_frame_belongs_to_the_span_that_its_middle_lies_in():
    # A path of four frames on a grid of ten: 2.5 frames each.
    found = label_frames([1, 2], [2.5, 7.5], [5, 10], 10, 0)

    assert found.tolist() == [0, 0, 1, 1, 1, 0, 0, 2, 2, 2]


def test_labels_within_one_frame_have_one_each():
    # Two frames of the path for one; the last label is pushed back by the end.
    assert label_frames([1, 2, 3], [1, 1.5, 3.5], [1.5, 2, 4], 4, 0).tolist() == [0, 1, 2, 3]
    assert label_frames([1, 2, 2], [3, 3.25, 3.75], [3.25, 3.5, 4], 4, 1).tolist() == [1, 2, 0, 2]


def test_any_class_may_be_the_blank():
    assert label_frames([0, 1], [1, 3], [2, 4], 5, 0, blank=7).tolist() == [7, 0, 7, 1, 7]


def test_no_labels_are_blanks_alone():
    assert label_frames([], [], [], 3, 1).tolist() == [0, 0, 0]
    assert label_frames([], [], [], 0, 1).tolist() == []


@pytest.mark.parametrize(("labels", "size", "needed"), [([1], 0, 1), ([1, 1], 2, 3)])
def test_too_few_frames_are_refused(labels, size, needed):
    spans = range(len(labels))

    with pytest.raises(ValueError, match=f"{size} frames are fewer than the {needed} that"):
        label_frames(labels, spans, [s + 1 for s in spans], size, 1)


@st.composite
def spans(draw):
    """Labels and ordered spans anywhere, on a grid that just holds the labels or is longer."""
    labels = draw(st.lists(st.integers(1, 3), max_size=12))
    size = minimum_input_length(labels) + draw(st.integers(0, 15))
    times = st.lists(st.floats(0, size), min_size=2 * len(labels), max_size=2 * len(labels))
    borders = sorted(draw(times))
    return labels, borders[::2], borders[1::2], size


@given(spans(), st.floats(0, 20))
def test_merging_frames_gives_any_labels_back(case, reach):
    labels, starts, ends, size = case

    found = label_frames(labels, starts, ends, size, reach)

    assert len(found) == size
    assert collapse(found) == labels


@given(st.lists(st.integers(0, 2), max_size=20))
def test_without_growth_a_path_is_its_own_labelling(path):
    found = merge_frames(path, np.zeros(len(path)), ["-", "a", "b"])
    labels = ["-ab".index(span.word) for span in found]
    starts, ends = ([span[n] for span in found] for n in (1, 2))

    assert label_frames(labels, starts, ends, len(path), 0).tolist() == path


@given(spans(), st.floats(0, 20))
def test_every_label_is_where_its_span_was_if_there_is_room(case, reach):
    labels, starts, _, size = case
    # As many blanks between two as separate them, and a whole frame each.
    starts = [2 * n + 1 for n in range(len(starts))]
    size = max(size, 2 * len(labels) + 1)

    found = label_frames(labels, starts, [start + 1 for start in starts], size, reach)

    assert [int(found[start]) for start in starts] == labels
