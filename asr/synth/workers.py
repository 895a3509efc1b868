"""Processes that speak."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager


def count_workers(wanted: int | None) -> int:
    """Say how many processes there will be; None is one a core.

    Raises:
        ValueError: fewer than one is wanted.
    """
    num_workers = wanted if wanted is not None else os.cpu_count() or 1
    if num_workers < 1:
        raise ValueError(f"num_workers must be >= 1, got {num_workers}")
    return num_workers


@contextmanager
def open_workers(
    num_workers: int, start: Callable[[], None] | None = None
) -> Iterator[ProcessPoolExecutor]:
    """Start processes, each by calling `start`.

    Raises:
        ChildProcessError: one was ended from outside.
    """
    # Spawned, not forked: a worker that loads espeak-ng shares nothing with this process.
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(num_workers, context, start) as pool:
            yield pool
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a process that speaks was ended (out of memory?); the same command goes on"
        ) from error
