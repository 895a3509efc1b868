"""Utterances of shards as a corpus: which lie near each other, and reading them in order."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from asr.audio import AudioContent
from asr.data.lazy_sequence import LazySequence
from asr.data.manifest import load_waveform, longest_audio
from asr.data.shards.ahead import ReadAhead
from asr.data.shards.index import ShardSet, member_of
from asr.data.shards.members import Member, read_member
from asr.data.shards.streams import Patience, open_stream

# Stands where the index of an utterance would in the key of what the order of shards is drawn from.
_ORDER_OF_SHARDS = 2**32 - 1


@dataclass(frozen=True)
class FetchedSound:
    """The audio file of an utterance in memory, by itself."""

    content: AudioContent
    duration: float  # seconds, as the index says

    def waveform(self, sample_rate: int) -> np.ndarray:
        """As `ShardUtterance.waveform`."""
        return load_waveform(self.content, sample_rate, longest_audio(self.duration))


@dataclass(frozen=True)
class ShardUtterance:
    """One utterance of a shard.

    Attributes:
        duration: seconds, > 0.
        extra: further keys, `id` among them.
        place: index in its corpus.
        read: gives the audio file of an index, by a name; raises ShardError.
    """

    duration: float
    text: str
    extra: dict[str, object]
    place: int
    read: Callable[[int], AudioContent]

    @property
    def id(self) -> str:
        """Its name in the manifest that was packed."""
        return str(self.extra["id"])

    def waveform(self, sample_rate: int) -> np.ndarray:
        """Samples (L,) float32 in [-1, 1] at that rate.

        Raises:
            ShardError: the shard does not give the audio.
            AudioError: it is bad, or much longer than the index says.
        """
        return self.fetched().waveform(sample_rate)

    def fetched(self) -> FetchedSound:
        """Take the file from whoever reads it; where that reads ahead, it gives it once.

        Raises:
            ShardError: the shard does not give the audio.
        """
        return FetchedSound(self.read(self.place), self.duration)


class ShardUtterances(LazySequence[ShardUtterance]):
    """The utterances of a corpus of shards, each made from its line when it is asked for.

    Attributes:
        durations: (N,) float64, seconds.
    """

    def __init__(self, corpus: "ShardCorpus", read: Callable[[int], AudioContent]) -> None:
        self._corpus = corpus
        self._read = read
        self.durations = corpus.durations

    def __len__(self) -> int:
        return len(self.durations)

    def make(self, row: int) -> ShardUtterance:
        """Make an utterance from its line of the index."""
        record = self._corpus.record(row)
        extra = {"id": record["id"], **record.get("extra", {})}
        return ShardUtterance(record["duration"], record["text"], extra, row, self._read)


class ShardCorpus:
    """The utterances of one or more sets of shards.

    An epoch goes through the shards in a new order. What lies near each other in it, a buffer,
    is shuffled and batched by length; a buffer is read while the one before is used. A buffer that
    holds the whole corpus gives the batches that a manifest of the same utterances gives.

    Args:
        shards: folders that `asr shard` wrote, or URLs of such.
        buffer_hours: speech of a buffer, > 0; two of them are held as they are compressed.
        max_duration: seconds; longer utterances are left out and counted, None for no limit.
        timeout_s: seconds that a server is waited for without a byte, > 0.
        retries: further tries after one that failed, >= 0.

    Attributes:
        durations: (N,) float64, seconds of the utterances.
        num_too_long: utterances that were left out.

    Raises:
        ShardError: an index cannot be read or breaks a rule.
        ValueError: no utterance is left, or a parameter is out of its range.
    """

    def __init__(
        self,
        shards: Sequence[str] | str,
        *,
        buffer_hours: float = 2.0,
        max_duration: float | None = None,
        timeout_s: float = 30.0,
        retries: int = 3,
    ) -> None:
        places = [shards] if isinstance(shards, str) else shards
        if not places or None in places:
            raise ValueError("shards must name one or more folders or URLs, got none")
        if not buffer_hours > 0:
            raise ValueError(f"buffer_hours must be > 0, got {buffer_hours}")
        self.buffer_hours = buffer_hours
        self.patience = Patience(timeout_s, retries)
        self._shards = [s for place in places for s in ShardSet(place, self.patience).shards]
        sizes = [len(shard.durations) for shard in self._shards]
        durations = np.concatenate([np.empty(0), *(shard.durations for shard in self._shards)])
        kept = durations <= (np.inf if max_duration is None else max_duration)
        if not kept.any():
            limit = f" of at most max_duration={max_duration} s" if len(durations) else ""
            raise ValueError(f"{', '.join(places)}: must hold at least one utterance{limit}")
        self.num_too_long = int((~kept).sum())
        self.durations = durations[kept]
        self._shard_of = np.repeat(np.arange(len(sizes)), sizes)[kept]  # (N,)
        self._row_of = np.concatenate([np.arange(size) for size in sizes])[kept]  # (N,)

    def utterances(self, epoch: int) -> ShardUtterances:
        """The recordings, the same in every epoch; each reads its audio by itself."""
        return ShardUtterances(self, self._read_alone)

    def order_key(self) -> str:
        """What the order of batches depends on beside the utterances."""
        sizes = np.bincount(self._shard_of, minlength=len(self._shards)).tolist()
        return f"buffer_hours={self.buffer_hours} shards={sizes}"

    def buffers(self, seed: int, epoch: int, *, shuffle: bool) -> list[np.ndarray]:
        """Cut the epoch's row of shards into parts of about `buffer_hours`."""
        order = np.arange(len(self._shards))
        if shuffle:
            order = np.random.default_rng((seed, epoch, _ORDER_OF_SHARDS)).permutation(order)
        place_of_shard = np.argsort(order)
        row = np.argsort(place_of_shard[self._shard_of], kind="stable")
        before_s = np.cumsum(self.durations[row]) - self.durations[row]
        total_s = self.durations.sum()
        count = max(1, round(total_s / 3600 / self.buffer_hours))
        number = np.minimum(before_s * count // total_s, count - 1)
        return np.split(row, np.flatnonzero(np.diff(number)) + 1)

    @contextmanager
    def reading(self, parts: Sequence[np.ndarray]) -> Iterator[ShardUtterances]:
        """Read ahead, shard by shard, in a thread of its own."""
        with ReadAhead(parts, self._locate, self.patience) as ahead:
            yield ShardUtterances(self, ahead.take)

    def record(self, index: int) -> dict:
        """The index's line of an utterance."""
        return self._shards[self._shard_of[index]].record(int(self._row_of[index]))

    def _locate(self, index: int) -> tuple[str, Member]:
        return self._shards[self._shard_of[index]].tar, member_of(self.record(index))

    def _read_alone(self, index: int) -> AudioContent:
        tar, member = self._locate(index)
        with open_stream(tar, self.patience) as stream:
            return AudioContent(f"{tar}: {member.name}", read_member(stream, member))
