"""`asr prepare` under torchrun: every rank reads a share of the audio, the first does the rest."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from asr.corpora.verification import Finding, Inspect, Inspection
from asr.training import distributed

T = TypeVar("T")
# The others wait while the first rank unpacks an archive or cuts recordings.
_PATIENCE = timedelta(days=1)


def on_first_rank(prepare: Callable[[Inspect], T]) -> T | None:
    """Prepare on the first rank, while the others read audio for it; return None on these.

    Only the first rank writes, and only when everything was read. One process is a first rank
    without others.

    Args:
        prepare: is given what has the files of an inspection read by all ranks.

    Raises:
        OSError: another rank ended.
    """
    rank, _ = distributed.start(_PATIENCE)
    try:
        if rank:
            logging.getLogger().setLevel(logging.WARNING)
            _assist()
            return None
        try:
            return prepare(_inspect)
        finally:
            # Whatever happened, the others are let go; one that is no more makes no new error.
            with suppress(RuntimeError):
                distributed.scatter([None] * distributed.world_size())
    finally:
        distributed.stop()


def _inspect(inspection: Inspection) -> Sequence[Finding]:
    """Share files out, as cards are dealt, and put what was found back into their order."""
    count = distributed.world_size()
    shares = [
        replace(
            inspection,
            utterances=inspection.utterances[rank::count],
            progress=inspection.progress and not rank,
        )
        for rank in range(count)
    ]
    with _talking():
        parts = distributed.gather(_read(distributed.scatter(shares)))
    return [parts[i % count][i // count] for i in range(len(inspection.utterances))]


def _assist() -> None:
    """Read what the first rank shares out, until it has no more."""
    with _talking():
        while (share := distributed.scatter(None)) is not None:
            distributed.gather(_read(share))


@contextmanager
def _talking() -> Iterator[None]:
    """Say in a line that another rank is no more, which gloo raises as a RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(f"another rank ended; run the same command again: {error}") from error


def _read(share: Inspection) -> list[Finding]:
    """Read a share with this rank's part of the machine's cores."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return share.run(max(1, (os.cpu_count() or 1) // here))
