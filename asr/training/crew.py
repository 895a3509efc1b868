"""Ranks that do a job together: the first does it, and has shares of it done by all."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TypeVar

from asr.training import distributed

S = TypeVar("S")
F = TypeVar("F")
T = TypeVar("T")
# Has a share done by every rank, in their order, and returns what each found.
Everybody = Callable[[Sequence[S]], list[F]]


@contextmanager
def joined(timeout: timedelta = distributed.TIMEOUT) -> Iterator[tuple[int, int]]:
    """Inside, this process is one of the ranks that torchrun announces: (rank, world_size).

    All but the first log nothing but warnings.

    Args:
        timeout: how long a rank waits for another.
    """
    rank, world_size = distributed.start(timeout)
    try:
        if rank:
            logging.getLogger().setLevel(logging.WARNING)
        yield rank, world_size
    finally:
        distributed.stop()


def lead(job: Callable[[Everybody[S, F]], T], work: Callable[[S], F]) -> T | None:
    """Do a job on the first rank; the others do their shares of it and return None.

    Where the job fails the others are let go; a rank whose own share fails ends, and with it the
    job. One process is a first rank without others.

    Args:
        job: is given what has shares done; None is no share.
        work: does a share.

    Raises:
        OSError: another rank ended.
    """
    if not distributed.is_first():
        while (share := _scatter(None)) is not None:
            _gather(work(share))
        return None
    waiting = True  # the others, for a share

    def everybody(shares: Sequence[S]) -> list[F]:
        nonlocal waiting
        own = _scatter(shares)
        waiting = False
        found = _gather(work(own))
        waiting = True
        return found

    try:
        return job(everybody)
    finally:
        # One that is no more makes no new error.
        if waiting:
            with suppress(RuntimeError):
                distributed.scatter([None] * distributed.world_size())


def _scatter(shares: Sequence[S] | None) -> S:
    with _talking():
        return distributed.scatter(shares)


def _gather(found: F) -> list[F]:
    with _talking():
        return distributed.gather(found)


@contextmanager
def _talking() -> Iterator[None]:
    """Say in a line that another rank is no more, which gloo raises as a RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(f"another rank ended; run the same command again: {error}") from error
