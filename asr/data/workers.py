"""Reading and augmenting one utterance after the other, here or in processes of their own.

What an utterance becomes is a pure function of (seed, epoch, index): by whom and in which order it
is done changes no sample.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from asr.augment import WaveformAugment


class LoadingError(OSError):
    """Loading cannot go on: not for the sake of one utterance."""


class Sound(Protocol):
    """What can be read."""

    def waveform(self, sample_rate: int) -> np.ndarray:
        """Samples (L,) float32; raises ValueError where they cannot be had."""
        ...


@runtime_checkable
class HeldSound(Sound, Protocol):
    """A sound whose file only this process has, as that of a shard that is read ahead."""

    def fetched(self) -> Sound:
        """The same with its file in it, which another process can be given."""
        ...


class Prepared(NamedTuple):
    """An utterance, read and augmented."""

    num_samples: int  # as it was read
    waveform: np.ndarray  # (L,) float32, augmented
    unchanged: Callable[[], np.ndarray]  # gives it as it was read


Prepare = Callable[[Sound, int, int], Prepared]


@dataclass(frozen=True)
class Preparation:
    """How utterances are read and augmented.

    Attributes:
        sample_rate: Hz.
        augment: applied to every waveform, or None.
        seed: what augmentation is drawn from.
    """

    sample_rate: int
    augment: WaveformAugment | None
    seed: int

    def rng(self, epoch: int, index: int) -> np.random.Generator:
        """What an utterance's augmentation is drawn from, the same whenever it is asked for."""
        key = (self.seed, epoch, index)
        # The same generator, made in two thirds of the time: a million of them make a plan.
        return np.random.default_rng(np.array(key, np.uint32) if max(key) < 2**32 else key)

    def change(self, waveform: np.ndarray, epoch: int, index: int) -> np.ndarray:
        """Augment (L,) float32.

        Raises:
            LoadingError: a file that augmentation draws from cannot be read.
        """
        if self.augment is None:
            return waveform
        try:
            return self.augment(waveform, self.rng(epoch, index))
        except ValueError as error:
            raise LoadingError(str(error)) from error

    def __call__(self, sound: Sound, epoch: int, index: int) -> Prepared:
        """Read and augment in this thread."""
        waveform = sound.waveform(self.sample_rate)
        changed = self.change(waveform, epoch, index)
        return Prepared(len(waveform), changed, lambda: waveform)


@contextmanager
def preparing(preparation: Preparation, num_processes: int) -> Iterator[Prepare]:
    """Give what prepares an utterance; threads may share it.

    Args:
        preparation: how.
        num_processes: that do it; with 0 the thread that asks does.

    Raises:
        LoadingError: a process was ended from outside.
    """
    if not num_processes:
        yield preparation
        return
    # Forked from a process that has the imports and no threads: at once, and with shared memory.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(num_processes, context, _begin, (preparation,)) as pool:

        def prepare(sound: Sound, epoch: int, index: int) -> Prepared:
            source = sound.fetched() if isinstance(sound, HeldSound) else sound
            try:
                found = pool.submit(_work, source, epoch, index).result()
            except BrokenProcessPool as error:
                raise LoadingError(
                    f"one of {num_processes} loading processes was ended from outside, as by a "
                    "system that has no memory left"
                ) from error
            if isinstance(found, str):
                raise ValueError(found)
            return Prepared(*found, lambda: source.waveform(preparation.sample_rate))

        yield prepare


def use_one_thread() -> None:
    """Keep the calling thread from starting a team of OpenMP threads of its own.

    Resampling is a convolution of PyTorch's; teams of several loading threads and the model's
    would wait for each other on the same cores, and a step took twice as long.
    """
    torch.get_num_threads()  # sets this thread up as PyTorch does, before the limit
    threadpool_limits(1, user_api="openmp")


# Of a process that loads: how.
_preparation: Preparation | None = None


def _begin(preparation: Preparation) -> None:
    """Set up a process that loads."""
    global _preparation
    # The terminal sends Ctrl-C to all; the training decides when to stop, and then ends this.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    use_one_thread()
    _preparation = preparation


def _end_with_parent() -> None:
    """Leave nobody behind when the training is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(sound: Sound, epoch: int, index: int) -> tuple[int, np.ndarray] | str:
    """Prepare in a process that loads; what is wrong with the sound comes back as a text."""
    assert _preparation is not None
    try:
        found = _preparation(sound, epoch, index)
    except ValueError as error:
        return str(error)
    return found.num_samples, found.waveform
