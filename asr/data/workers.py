"""Reading and augmenting one utterance after the other, here or in processes of their own.

What an utterance becomes is a pure function of (seed, epoch, index): by whom and in which order it
is done changes no sample.

A process has a pipe of its own, and nobody else holds the end that it writes to. When it dies, even
in the middle of an answer, the operating system closes the pipe, and who waits for the answer
learns it at once. (The executor of `concurrent.futures` has one pipe for all answers, of which the
training holds both ends: half an answer of a process that was killed is waited for without end.)
"""

import atexit
import logging
import logging.handlers
import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Lock
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from asr.augment import WaveformAugment

# What a new process finds imported.
_PRELOADED = [__name__, "asr.data.shards.corpus"]
# Seconds that a killed process is waited for.
_JOIN_S = 10.0


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


# Reads and augments an utterance of an epoch.
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

    def __call__(self, sound: Sound, epoch: int, index: int) -> Prepared:
        """Read and augment in this thread.

        Raises:
            ValueError: the sound cannot be read.
            LoadingError: a file that augmentation draws from cannot be read.
        """
        waveform = changed = sound.waveform(self.sample_rate)
        if self.augment is not None:
            try:
                changed = self.augment(waveform, self.rng(epoch, index))
            except ValueError as error:
                raise LoadingError(str(error)) from error
        return Prepared(len(waveform), changed, lambda: waveform)


class LoadingProcesses:
    """Processes that read and augment, for whichever thread asks.

    Each has a copy of the preparation, and stays until it is closed or this process ends, however
    that ends. They ignore SIGINT and SIGTERM: a signal to stop is this process's affair.

    Args:
        preparation: how.
        count: of processes, >= 1.
    """

    def __init__(self, preparation: Preparation, count: int) -> None:
        self._preparation = preparation
        self._count = count
        self._lock = Lock()
        self._all: list[_LoadingProcess] = []
        self._idle: SimpleQueue[_LoadingProcess] = SimpleQueue()
        self._said: set[str] = set()

    def start(self) -> None:
        """Start the processes, unless they run already; before they are asked."""
        with self._lock:
            if self._all:
                return
            _start_forkserver()
            self._all = [
                _LoadingProcess(self._preparation, self._count) for _ in range(self._count)
            ]
            self._idle = SimpleQueue()
            for process in self._all:
                self._idle.put(process)
            # Before multiprocessing's own, which would wait for who ignores SIGTERM.
            atexit.register(self.close)

    def close(self) -> None:
        """End the processes; they can be started again.

        A thread that still asks one of them, or will, has a LoadingError.
        """
        with self._lock:
            atexit.unregister(self.close)
            while self._all:
                self._all.pop().end()

    def __call__(self, sound: Sound, epoch: int, index: int) -> Prepared:
        """Have one of the processes read and augment.

        Raises:
            ValueError: the sound cannot be read.
            LoadingError: as `Preparation`, or a process was ended from outside.
        """
        source = sound.fetched() if isinstance(sound, HeldSound) else sound
        idle = self._idle  # others may be started meanwhile
        process = idle.get()
        try:
            answer = process.ask(source, epoch, index)
        finally:
            idle.put(process)
        for record in answer.records:
            self._log(record)
        if answer.error is not None:
            raise answer.error
        rate = self._preparation.sample_rate
        return Prepared(answer.num_samples, answer.waveform, lambda: source.waveform(rate))

    def _log(self, record: logging.LogRecord) -> None:
        """Say once what several processes have to say."""
        with self._lock:
            is_new = record.getMessage() not in self._said
            self._said.add(record.getMessage())
        logger = logging.getLogger(record.name)
        if is_new and logger.isEnabledFor(record.levelno):
            logger.handle(record)


class _Answer(NamedTuple):
    """What a process has made of an utterance, or why it could not, and what it logged."""

    records: list[logging.LogRecord]
    num_samples: int = 0
    waveform: np.ndarray = np.empty(0, np.float32)
    error: Exception | None = None


class _LoadingProcess:
    """One process, and the pipe to it."""

    def __init__(self, preparation: Preparation, count: int) -> None:
        context = multiprocessing.get_context("forkserver")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, preparation), name="loading", daemon=True
        )
        self._count = count
        self._process.start()
        theirs.close()

    def ask(self, sound: Sound, epoch: int, index: int) -> _Answer:
        """Have an utterance read and augmented.

        Raises:
            LoadingError: the process is no more.
        """
        try:
            self._pipe.send((sound, epoch, index))
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise LoadingError(
                f"one of {self._count} loading processes was ended from outside, as by a system "
                "that has no memory left"
            ) from error

    def end(self) -> None:
        """End it, whatever it does: it has nothing to lose."""
        self._process.kill()
        self._process.join(_JOIN_S)
        self._pipe.close()


def use_one_thread() -> None:
    """Keep the calling thread from starting a team of OpenMP threads of its own.

    Resampling is a convolution of PyTorch's; teams of several loading threads and the model's
    would wait for each other on the same cores, and a step took twice as long.
    """
    torch.get_num_threads()  # sets this thread up as PyTorch does, before the limit
    threadpool_limits(1, user_api="openmp")


def _start_forkserver() -> None:
    """Start what processes are forked from: it has the imports, which they share, and one thread.

    A fork takes over no other thread, nor gives back the locks that it holds: OpenBLAS, which
    comes with numpy, would have threads here.
    """
    name = "OPENBLAS_NUM_THREADS"
    before = os.environ.get(name)
    multiprocessing.get_context("forkserver").set_forkserver_preload(_PRELOADED)
    os.environ[name] = "1"
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _serve(pipe: Connection, preparation: Preparation) -> None:
    """Prepare what is asked for, until nobody is there to ask."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
    records: SimpleQueue[logging.LogRecord] = SimpleQueue()
    logging.getLogger().addHandler(logging.handlers.QueueHandler(records))
    logging.getLogger().setLevel(logging.INFO)
    while True:
        try:
            answer = _answer(preparation, *pipe.recv())
            logged = [records.get() for _ in range(records.qsize())]
            pipe.send(answer._replace(records=logged))
        except (EOFError, OSError):
            return


def _answer(preparation: Preparation, sound: Sound, epoch: int, index: int) -> _Answer:
    try:
        found = preparation(sound, epoch, index)
    except LoadingError as error:
        return _Answer([], error=error)
    except ValueError as error:
        return _Answer([], error=ValueError(str(error)))  # whatever kind it was, this can be sent
    except Exception:
        return _Answer([], error=RuntimeError(traceback.format_exc()))
    return _Answer([], found.num_samples, found.waveform)
