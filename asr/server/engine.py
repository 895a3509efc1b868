"""One thread that recognises: it takes what waits, and what waits together goes together.

Requests come from the server's loop and wait in line. Those at the front that want the same decoder
share batches of the network; how they are grouped changes no result.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from asr.acoustic.model import BATCH_S, AcousticModel
from asr.audio import AudioError
from asr.decoding import Decoder
from asr.recognition.recognizer import Recognizer
from asr.recognition.sources import AudioFile, Source
from asr.recognition.transcripts import Transcript

# Recordings that share a batch; more gain nothing.
MAX_BATCH = 32
# What is said of an upload: a name would be somebody's words.
FILE_NAME = "file"

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Job:
    """A recording on its way.

    Attributes:
        path: where it lies until the job is done.
        duration_s: seconds of audio.
        decoder: for it.
        result: the transcript, or AudioError.
        began_at: when it went to work, by `time.monotonic`; None while it waits.
    """

    path: Path
    duration_s: float
    decoder: Decoder
    result: Future[Transcript] = field(default_factory=Future)
    began_at: float | None = None
    _abandoned: threading.Event = field(default_factory=threading.Event)

    def abandon(self) -> None:
        """Give it up: nobody waits for its result."""
        self._abandoned.set()
        self.result.cancel()

    @property
    def is_abandoned(self) -> bool:
        """Whether it was given up."""
        return self._abandoned.is_set()


class Engine:
    """A thread with a model.

    Args:
        model: the model.

    Attributes:
        batch_sizes: recordings of the latest batches, for statistics; whoever reads takes them.
    """

    def __init__(self, model: AcousticModel) -> None:
        self.model = model
        self.batch_sizes: deque[int] = deque(maxlen=1000)
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._moved_at: float | None = None  # when work last went on; None while there is none
        self._thread = threading.Thread(target=self._work, name="asr-engine", daemon=True)
        self._thread.start()

    @property
    def num_waiting(self) -> int:
        """Jobs that wait."""
        return len(self._waiting)

    @property
    def stalled_s(self) -> float:
        """Seconds since work last went on; 0 without work, infinite where the thread is gone."""
        if not self._thread.is_alive():
            return float("inf")
        moved_at = self._moved_at
        return 0.0 if moved_at is None else time.monotonic() - moved_at

    def submit(self, job: Job) -> None:
        """Put a job in line.

        Raises:
            RuntimeError: the engine is closed.
        """
        with self._changed:
            if self._is_closed:
                raise RuntimeError("the engine is closed")
            self._waiting.append(job)
            self._changed.notify()

    def close(self) -> None:
        """Give up what waits, and end the thread when it has done what it has in hand."""
        with self._changed:
            self._is_closed = True
            for job in self._waiting:
                job.abandon()
            self._waiting.clear()
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while jobs := self._take():
            self._moved_at = time.monotonic()
            self.batch_sizes.append(len(jobs))
            self._transcribe(jobs)
            self._moved_at = None

    def _take(self) -> list[Job]:
        """Wait for jobs and take those in front that go together; none when closed."""
        taken: list[Job] = []
        with self._changed:
            while not self._waiting and not self._is_closed:
                self._changed.wait()
            total_s = 0.0
            while self._waiting and len(taken) < MAX_BATCH:
                job = self._waiting[0]
                if taken and (
                    job.decoder is not taken[0].decoder or total_s + job.duration_s > BATCH_S
                ):
                    break
                taken.append(self._waiting.popleft())
                total_s += job.duration_s
        return taken

    def _transcribe(self, jobs: list[Job]) -> None:
        jobs = [job for job in jobs if job.result.set_running_or_notify_cancel()]
        if jobs:
            self._try(jobs)

    def _try(self, jobs: list[Job]) -> None:
        """Run jobs; where that fails together, one by one, so that one takes no other along."""
        try:
            self._run(jobs)
        except Exception as error:
            logger.exception("recognition failed", extra={"fields": {"recordings": len(jobs)}})
            if len(jobs) == 1:
                jobs[0].result.set_exception(error)
                return
            for job in jobs:
                if not job.result.done():
                    self._try([job])

    def _run(self, jobs: list[Job]) -> None:
        now = time.monotonic()
        sources = []
        for job in jobs:
            job.began_at = now
            sources.append(Source(AudioFile(job.path, FILE_NAME), None, self.model))
        recordings = (self._blocks(*pair) for pair in zip(jobs, sources, strict=True))
        results = Recognizer(self.model, jobs[0].decoder).transcribe_each(
            recordings, self.model.sample_rate, on_segment=lambda _: self._move()
        )
        for job, source, transcript in zip(jobs, sources, results, strict=True):
            if transcript.error is not None:
                job.result.set_exception(AudioError(transcript.error))
            else:
                job.result.set_result(replace(transcript, notes=source.notes))

    def _blocks(self, job: Job, source: Source) -> Iterator[np.ndarray]:
        """Read a recording for as long as somebody waits for it."""
        for block in source.blocks():
            if job.is_abandoned:
                raise AudioError("abandoned")
            self._move()
            yield block

    def _move(self) -> None:
        self._moved_at = time.monotonic()


def measure(path: Path, model: AcousticModel, max_duration_s: float) -> float:
    """Read a recording and return its seconds.

    Raises:
        AudioError: it cannot be used, or lasts longer than `max_duration_s`, beyond which it is not
            read.
    """
    most = int(max_duration_s * model.sample_rate)
    num_samples = 0
    for block in Source(AudioFile(path, FILE_NAME), None, model).blocks():
        num_samples += len(block)
        if num_samples > most:
            raise AudioError(f"{FILE_NAME}: lasts more than {max_duration_s:g} s")
    return num_samples / model.sample_rate
