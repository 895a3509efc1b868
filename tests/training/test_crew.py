"""What the first rank says to the others, and what they do; commands have tests with real ones."""

import pytest

from asr.training import distributed
from asr.training.crew import lead

END = [None, None, None]


@pytest.fixture
def said(monkeypatch):
    """What the first of three ranks hands out; the others double it."""
    said = []

    def scatter(shares):
        said.append(list(shares))
        return shares[0]

    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    monkeypatch.setattr(distributed, "scatter", scatter)
    monkeypatch.setattr(distributed, "gather", lambda found: [found, *map(double, said[-1][1:])])
    return said


def double(share):
    return 2 * share


def fail(_):
    raise RuntimeError("no memory")


def test_one_process_is_a_first_rank_without_others():
    assert lead(lambda everybody: everybody([5]), double) == [10]


def test_job_has_shares_done_and_lets_the_others_go(said):
    found = lead(lambda everybody: everybody([1, 2, 3]) + everybody([4, 5, 6]), double)

    assert found == [2, 4, 6, 8, 10, 12]
    assert said == [[1, 2, 3], [4, 5, 6], END]


def test_job_that_fails_lets_the_others_go(said):
    with pytest.raises(RuntimeError, match="no memory"):
        lead(fail, double)

    assert said == [END]


def test_share_that_fails_is_no_end_of_others_and_tells_them_nothing(said):
    # They wait for what it found, and notice that it is no more.
    with pytest.raises(RuntimeError, match=r"^no memory$"):
        lead(lambda everybody: everybody([1, 2, 3]), fail)

    assert said == [[1, 2, 3]]


def test_other_ranks_do_their_shares_until_there_are_none(monkeypatch):
    shares, found = iter([3, 4, None]), []
    monkeypatch.setattr(distributed, "is_first", lambda: False)
    monkeypatch.setattr(distributed, "scatter", lambda _: next(shares))
    monkeypatch.setattr(distributed, "gather", found.append)

    assert lead(fail, double) is None
    assert found == [6, 8]


@pytest.mark.parametrize("name", ["scatter", "gather"])
def test_rank_that_is_no_more_is_said_in_a_line(monkeypatch, name):
    monkeypatch.setattr(distributed, name, fail)

    with pytest.raises(OSError, match="another rank ended; run the same command again: no memory"):
        lead(lambda everybody: everybody([1]), double)
