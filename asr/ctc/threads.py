"""Threads of our own for kernels that release the GIL.

Why not Numba's parallel loops: of its thread pools one aborts the process when two Python threads
meet in it, and the other kills children forked after its first use (DataLoader workers).
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pool_size = 0


def run_on_threads(work: Callable[[], None], num_threads: int) -> None:
    """Run `work` on the calling thread and num_threads - 1 others; raise what any raised."""
    if num_threads <= 1:
        work()
        return
    pool = _get_pool(num_threads - 1)
    others = [pool.submit(work) for _ in range(num_threads - 1)]
    work()
    for other in others:
        # One that has not started finds an empty queue: no need to wait for a busy pool.
        if not other.cancel():
            other.result()


def thread_count(num_items: int, nanoseconds: float) -> int:
    """Return how many threads `num_items` items are worth; `nanoseconds` is the estimated work.

    A second thread costs about 30 us to wake.
    """
    worth = 1 + int(nanoseconds / 150_000)
    return max(1, min(torch.get_num_threads(), num_items, worth))


def _get_pool(size: int) -> ThreadPoolExecutor:
    global _pool, _pool_size
    with _lock:
        if _pool is None or _pool_size < size:
            _pool = ThreadPoolExecutor(size, thread_name_prefix="asr-ctc")
            _pool_size = size
        return _pool


def _forget_pool() -> None:
    """In a forked child: the pool's threads were not forked, and its lock may have been held."""
    global _lock, _pool, _pool_size
    _lock, _pool, _pool_size = threading.Lock(), None, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
