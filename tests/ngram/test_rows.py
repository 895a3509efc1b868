"""Rows on disk and their sorting."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from asr.ngram.rows import Cursor, Scratch, whole_groups

PAIR = np.dtype([("key", np.int64, (2,)), ("count", np.int64)])
BYTES_PER_ROW = 3 * PAIR.itemsize + 32  # of a sort
NUMBER = np.dtype(np.int64)


@pytest.fixture
def scratch(tmp_path):
    with Scratch(tmp_path, 200 * BYTES_PER_ROW * 8 // 3) as scratch:
        yield scratch


def draw_pairs(rng, size, largest):
    rows = np.empty(size, dtype=PAIR)
    rows["key"] = rng.integers(0, largest, size=(size, 2))
    rows["count"] = rng.integers(1, 5, size=size)
    return rows


def sort(scratch, rows, pieces=7, **options):
    sorter = scratch.sorter(PAIR, **options)
    for piece in np.array_split(rows, pieces):
        sorter.add(piece)
    blocks = list(sorter.blocks())
    assert all(0 < len(block) <= scratch.block_rows for block in blocks)
    return np.concatenate([rows[:0], *blocks])


@pytest.mark.parametrize("size", [0, 1, 199, 200, 201, 5000])
@pytest.mark.parametrize("largest", [1, 3, 1 << 62])
def test_sorted_rows_equal_a_sort_in_memory(rng, scratch, size, largest):
    rows = draw_pairs(rng, size, largest)

    found = sort(scratch, rows)

    keys = list(map(tuple, found["key"].tolist()))
    assert keys == sorted(keys)
    by_all = np.lexsort((rows["count"], rows["key"][:, 1], rows["key"][:, 0]))
    again = np.lexsort((found["count"], found["key"][:, 1], found["key"][:, 0]))
    assert (found[again] == rows[by_all]).all()


@pytest.mark.parametrize("size", [1, 201, 5000])
@pytest.mark.parametrize("largest", [1, 3, 40, 1 << 62])
def test_counts_of_equal_keys_are_added(rng, scratch, size, largest):
    rows = draw_pairs(rng, size, largest)

    found = sort(scratch, rows, add_counts=True)

    keys, which = np.unique(rows["key"], axis=0, return_inverse=True)
    assert (found["key"] == keys).all()
    assert (found["count"] == np.bincount(which.ravel(), rows["count"])).all()


def test_repetitive_rows_never_reach_the_disk(rng, scratch, monkeypatch):
    monkeypatch.setattr(scratch, "file", None)

    found = sort(scratch, draw_pairs(rng, 20_000, 8), add_counts=True)

    assert len(found) == 64


def test_whole_groups_are_not_cut(rng):
    rows = draw_pairs(rng, 500, 20)
    rows = rows[np.lexsort((rows["key"][:, 1], rows["key"][:, 0]))]

    for column in (None, 1):
        groups = list(whole_groups(iter(np.array_split(rows, 90)), column))

        assert (np.concatenate(groups) == rows).all()
        edges = [(a["key"][-1][:column], b["key"][0][:column]) for a, b in pairwise(groups)]
        assert all((a != b).any() for a, b in edges)
        assert len(groups) > 10


def test_gather_reads_rows_in_rising_order(rng, scratch):
    file = scratch.file(NUMBER)
    file.append(np.arange(1000) * 7)
    at = np.sort(rng.integers(3, 990, size=400))

    for block_rows in (1, 64, 5000):
        assert (file.gather(at, block_rows) == at * 7).all()
    assert len(file.gather(at[:0], 64)) == 0


def test_cursor_takes_across_blocks(scratch):
    file = scratch.file(NUMBER)
    file.append(np.arange(100))
    cursor = Cursor(file.blocks(7), NUMBER)

    taken = [cursor.take(n) for n in (0, 3, 4, 20, 0, 73)]

    assert [len(rows) for rows in taken] == [0, 3, 4, 20, 0, 73]
    assert (np.concatenate(taken) == np.arange(100)).all()


def test_rows_leave_no_name(tmp_path, scratch):
    scratch.file(NUMBER).append(np.arange(10))

    assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(OSError, match=r"nowhere: cannot write temporary files here \(No such file"):
        Scratch(tmp_path / "nowhere", 1000).file(NUMBER)


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from asr.ngram.rows import Scratch
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with Scratch(Path(sys.argv[1]), 1000) as scratch:
    try:
        scratch.file(np.dtype(np.int64)).append(np.arange(1000))
    except OSError as error:
        print(error)
"""


def test_full_disk_is_one_line_that_names_the_folder(tmp_path):
    pytest.importorskip("resource")

    child = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True
    )

    assert f"{tmp_path}: cannot write temporary files here (File too large)" in child.stdout
    assert child.stderr == ""
