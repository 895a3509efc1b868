"""From utterances to padded batches, in an order that is a pure function of (seed, epoch).

Every batch holds about the same number of padded seconds. A loader renders the next batches in
threads while the model works (decoding audio releases the GIL), so loading hides behind a step.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Literal, NamedTuple, Protocol, get_args, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from asr.augment import WaveformAugment
from asr.ctc import minimum_input_length
from asr.data.manifest import Manifest
from asr.data.planning import PADDING_S, plan_batches
from asr.data.selection import Measured, Selection
from asr.data.unusable import BadUtterances, Unusable
from asr.data.workers import LoadingError, LoadingProcesses, Preparation, Prepare, use_one_thread
from asr.text import Tokenizer

# SortaGrad goes from short to long in the first epoch only (Amodei et al. 2016, section 3.2);
# what is sorted does so in every epoch.
Order = Literal["shuffled", "sorta_grad", "sorted"]
# Batches rendered ahead of the model.
PREFETCH = 3


class Speech(Protocol):
    """An utterance that can be rendered: a recording, or one composed of several."""

    @property
    def id(self) -> str:
        """Its name."""
        ...

    @property
    def text(self) -> str:
        """What is said, normalised."""
        ...

    @property
    def duration(self) -> float:
        """Seconds."""
        ...

    @property
    def extra(self) -> Mapping[str, object]:
        """What else its manifest says of it, such as its speaker."""
        ...

    def waveform(self, sample_rate: int) -> np.ndarray:
        """Samples (L,) float32; raises AudioError where they cannot be had."""
        ...


class Corpus(Protocol):
    """What an epoch is made of; recordings are the same in every epoch, compositions differ."""

    def utterances(self, epoch: int) -> Sequence[Speech]:
        """The utterances of an epoch; their number never changes."""
        ...


@runtime_checkable
class StreamedCorpus(Corpus, Protocol):
    """A corpus whose audio is best read in the order in which it lies."""

    def buffers(self, seed: int, epoch: int, *, shuffle: bool) -> list[np.ndarray]:
        """Utterances that may meet in a batch: indices in the order in which they lie.

        Every index is in one buffer; a pure function of its arguments.
        """
        ...

    def order_key(self) -> str:
        """What the buffers depend on beside the utterances."""
        ...

    def reading(self, parts: Sequence[np.ndarray]) -> AbstractContextManager[Sequence[Speech]]:
        """Read ahead: inside, the waveforms of these utterances come from memory, once each.

        Args:
            parts: indices in the order of reading; all of a part are asked for before the next's.
        """
        ...


def durations_of(utterances: Sequence[Speech]) -> np.ndarray:
    """Seconds (n,) of each utterance, without making it where they are known."""
    known = getattr(utterances, "durations", None)
    return np.array([u.duration for u in utterances]) if known is None else known


class Batch(NamedTuple):
    """A padded batch: N utterances, L samples, S labels."""

    ids: list[str]
    texts: list[str]  # as hypotheses are written
    waveforms: Tensor  # (N, L) float32
    waveform_lengths: Tensor  # (N,) int64
    targets: Tensor  # (N, S) int64
    target_lengths: Tensor  # (N,) int64
    utterances: Sequence[Speech] = ()  # what auxiliary heads learn from

    def pinned(self) -> "Batch":
        """Copy into memory that a GPU reads while the program goes on."""
        return Batch._make(x.pin_memory() if isinstance(x, Tensor) else x for x in self)


class Rendered(NamedTuple):
    """One utterance ready for a batch."""

    utterance: Speech
    text: str  # as hypotheses are written
    waveform: np.ndarray  # (L,) float32
    targets: list[int]


class ManifestCorpus:
    """The utterances of one or more manifests.

    Args:
        manifests: JSON Lines files.
        max_duration: seconds; longer utterances are left out and counted, None for no limit.
        repeat: how often an epoch goes through them, >= 1; for small corpora.
        read: opens one.

    Attributes:
        num_too_long: utterances that were left out.

    Raises:
        ValueError: no utterance is left, or a parameter is out of its range.
    """

    def __init__(
        self,
        manifests: Sequence[str],
        *,
        max_duration: float | None = None,
        repeat: int = 1,
        read: Callable[[str], Measured] = Manifest,
    ) -> None:
        if isinstance(manifests, str):
            manifests = [manifests]
        if repeat < 1:
            raise ValueError(f"repeat must be >= 1, got {repeat}")
        if not manifests or None in manifests:
            raise ValueError("manifests must name one or more files, got none")
        parts = [read(path) for path in manifests]
        durations = np.concatenate([part.durations for part in parts])
        limit_s = math.inf if max_duration is None else max_duration
        kept = np.flatnonzero(durations <= limit_s)
        if not len(kept):
            names = ", ".join(map(str, manifests))
            limit = f" of at most max_duration={max_duration} s" if len(durations) else ""
            raise ValueError(f"{names}: must hold at least one utterance{limit}")
        self.max_duration = max_duration
        self.num_too_long = len(durations) - len(kept)
        self._utterances = Selection(parts, np.tile(kept, repeat))

    def utterances(self, epoch: int) -> Sequence[Speech]:
        """The recordings, the same in every epoch."""
        return self._utterances


class BatchLoader:
    """Iterates over the batches of an epoch, rendered ahead in threads or processes.

    Args:
        corpus: where utterances come from.
        tokenizer: turns text into targets.
        sample_rate: Hz of the waveforms.
        batch_seconds: padded seconds of audio in a batch of one rank.
        seed: decides order and augmentation.
        order: of the batches in an epoch.
        augment: applied to every waveform, or None.
        num_threads: threads that render, >= 1.
        num_processes: processes that read and augment in their place, >= 0; they change no batch,
            and stay until `close`.
        max_bad_fraction: of an epoch's utterances that may be unusable, in [0, 1]; the default goes
            on as long as one can be used, which is what an evaluation wants.
        num_frames: output frames of the model for that many samples; utterances with fewer
            frames than their text needs are unusable. None leaves texts alone, unchecked and
            without targets: a test set must not lose what CTC cannot align.
        check_longest: raises ValueError where so many samples are too long for the model, which
            makes the utterance unusable; None where it takes any length.
        rank: this process among `world_size`; every rank gets its share of each batch.
    """

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: Tokenizer,
        *,
        sample_rate: int,
        batch_seconds: float,
        seed: int,
        order: Order,
        augment: WaveformAugment | None,
        num_threads: int,
        num_frames: Callable[[int], int] | None,
        check_longest: Callable[[int], None] | None = None,
        max_bad_fraction: float = 1.0,
        num_processes: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if num_threads < 1:
            raise ValueError(f"num_threads must be >= 1, got {num_threads}")
        if type(num_processes) is not int or num_processes < 0:
            raise ValueError(f"num_processes must be a whole number >= 0, got {num_processes!r}")
        if not 0 <= max_bad_fraction <= 1:
            raise ValueError(f"max_bad_fraction must be in [0, 1], got {max_bad_fraction}")
        if order not in get_args(Order):
            raise ValueError(f"order must be one of {', '.join(get_args(Order))}, got {order!r}")
        self.corpus = corpus
        self.tokenizer = tokenizer
        self.sample_rate = sample_rate
        self.batch_seconds = batch_seconds
        self.seed = seed
        self.order = order
        self.augment = augment
        # A thread waits for a process: with two for each, none is ever without work.
        self.num_threads = 2 * num_processes or num_threads
        self.max_bad_fraction = max_bad_fraction
        self.num_frames = num_frames
        self.check_longest = check_longest
        self.rank = rank
        self.world_size = world_size
        self.bad = BadUtterances(max_bad_fraction, 0)
        self._preparation = Preparation(sample_rate, augment, seed)
        self._processes = (
            LoadingProcesses(self._preparation, num_processes) if num_processes else None
        )
        self._drawn: tuple[int, list[float]] = (-1, [])  # an epoch, and its augmented durations

    def durations(self, epoch: int) -> Sequence[float] | np.ndarray:
        """Seconds of an epoch's utterances, as long as augmentation makes them."""
        durations = durations_of(self.corpus.utterances(epoch))
        if self.augment is None:
            return durations
        # Half a minute for a million utterances: the last epoch's are remembered.
        if self._drawn[0] != epoch:
            drawn = [
                self.augment.duration(seconds, self._preparation.rng(epoch, index))
                for index, seconds in enumerate(durations.tolist())
            ]
            self._drawn = epoch, drawn
        return self._drawn[1]

    def plan(self, epoch: int) -> list[list[int]]:
        """Batches of an epoch over all ranks, as indices into its utterances."""
        return plan_batches(
            # Utterances of similar length after augmentation share a batch.
            self.durations(epoch),
            self.batch_seconds * self.world_size,
            seed=self.seed,
            epoch=epoch,
            sort=self.order == "sorted" or (self.order == "sorta_grad" and epoch == 0),
            buffers=self._buffers(epoch),
        )

    def _buffers(self, epoch: int) -> list[np.ndarray] | None:
        if not isinstance(self.corpus, StreamedCorpus):
            return None
        return self.corpus.buffers(self.seed, epoch, shuffle=self.order != "sorted")

    def close(self) -> None:
        """End the processes that load, if there are any; another pass starts new ones."""
        if self._processes is not None:
            self._processes.close()

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield this rank's share of the batches of an epoch, from batch `start` on.

        Raises:
            TooManyBadError: more than `max_bad_fraction` of the epoch could not be read, or all.
            LoadingError: a noise or a room cannot be read, or a process was ended from outside.
        """
        yield from self.render(epoch, self.plan(epoch)[start:])

    def sample(self, seconds: float) -> Iterator[Batch]:
        """Yield some batches of epoch 0, from its whole length, of about that many seconds.

        Raises:
            TooManyBadError: as `batches`.
        """
        plan = self.plan(0)
        wanted = max(1, round(seconds / (self.batch_seconds * self.world_size)))
        yield from self.render(0, plan[:: max(1, len(plan) // wanted)])

    def render(self, epoch: int, plan: list[list[int]]) -> Iterator[Batch]:
        """Yield this rank's share of some batches of an epoch.

        Raises:
            TooManyBadError: as `batches`.
        """
        shares = [batch[self.rank :: self.world_size] for batch in plan]
        pending: deque[list[Future]] = deque()
        # Reading ends before the threads that wait for it do, and these before the processes.
        with (
            self._preparing() as prepare,
            ThreadPoolExecutor(self.num_threads, "loading", use_one_thread) as pool,
            self._reading(epoch, shares) as utterances,
        ):
            self.bad = BadUtterances(self.max_bad_fraction, len(utterances))
            render = partial(self._render, prepare, epoch)
            try:
                for indices in shares:
                    pending.append([pool.submit(render, i, utterances[i]) for i in indices])
                    if len(pending) > PREFETCH:
                        yield self._collate(pending.popleft())
                while pending:
                    yield self._collate(pending.popleft())
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    @contextmanager
    def _preparing(self) -> Iterator[Prepare]:
        """Give what reads and augments; processes of which one was lost end, for new ones."""
        if self._processes is not None:
            self._processes.start()
        try:
            yield self._processes or self._preparation
        except LoadingError:
            self.close()
            raise

    @contextmanager
    def _reading(self, epoch: int, shares: list[list[int]]) -> Iterator[Sequence[Speech]]:
        """Give an epoch's utterances; what the shares hold is read ahead where that helps."""
        utterances = self.corpus.utterances(epoch)
        if not isinstance(self.corpus, StreamedCorpus):
            yield utterances
            return
        wanted = np.zeros(len(utterances), dtype=bool)
        wanted[[index for share in shares for index in share]] = True
        parts = [buffer[wanted[buffer]] for buffer in self._buffers(epoch) or ()]
        with self.corpus.reading([part for part in parts if len(part)]) as utterances:
            yield utterances

    def _render(
        self, prepare: Prepare, epoch: int, index: int, utterance: Speech
    ) -> Rendered | Unusable:
        """Read, augment and encode one utterance, and check that CTC can align it."""
        try:
            found = prepare(utterance, epoch, index)
            if self.check_longest is not None:
                self.check_longest(found.num_samples)
            text = self.tokenizer.reference(utterance.text)
            if self.num_frames is None:
                return Rendered(utterance, text, found.waveform, [])
            targets = self.tokenizer.encode(utterance.text)
        except ValueError as error:
            return Unusable(utterance.id, str(error))
        if not targets:
            return Unusable(utterance.id, "the transcript is empty")
        needed = minimum_input_length(targets)
        if self.num_frames(len(found.waveform)) >= needed:
            return Rendered(utterance, text, found.waveform, targets)
        # Spoken faster, an utterance may be too short for its text: then it stays as it was.
        frames = self.num_frames(found.num_samples)
        if frames >= needed:
            return Rendered(utterance, text, found.unchanged(), targets)
        reason = f"{frames} frames are fewer than the {needed} that its text needs"
        return Unusable(utterance.id, f"{reason}: {utterance.text!r}")

    def _collate(self, futures: list[Future]) -> Batch:
        results = [future.result() for future in futures]
        for result in results:
            if isinstance(result, Unusable):
                self.bad.skip(result)
        usable = [result for result in results if isinstance(result, Rendered)]
        batch = pad_batch(usable, round(PADDING_S * self.sample_rate))
        return batch.pinned() if torch.cuda.is_available() else batch


def pad_batch(items: Sequence[Rendered], multiple: int = 1) -> Batch:
    """Pad with zeros to the longest of a batch, waveforms up to a multiple of some samples."""
    waveform_lengths = torch.tensor([len(item.waveform) for item in items], dtype=torch.int64)
    target_lengths = torch.tensor([len(item.targets) for item in items], dtype=torch.int64)
    longest = max(waveform_lengths.tolist(), default=0)
    most = max(target_lengths.tolist(), default=0)
    waveforms = torch.zeros(len(items), -(-longest // multiple) * multiple)
    targets = torch.zeros(len(items), most, dtype=torch.int64)
    for row, item in enumerate(items):
        waveforms[row, : len(item.waveform)] = torch.from_numpy(item.waveform)
        targets[row, : len(item.targets)] = torch.tensor(item.targets, dtype=torch.int64)
    ids, texts = [item.utterance.id for item in items], [item.text for item in items]
    speech = [item.utterance for item in items]
    return Batch(ids, texts, waveforms, waveform_lengths, targets, target_lengths, speech)
