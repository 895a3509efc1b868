"""`asr prepare` under torchrun: every rank reads a share of the audio, the first does the rest."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

from asr.corpora.verification import Finding, Inspect, Inspection
from asr.training import distributed
from asr.training.crew import Everybody, joined, lead

T = TypeVar("T")
# The others wait while the first rank unpacks an archive or cuts recordings.
_PATIENCE = timedelta(days=1)


def on_first_rank(prepare: Callable[[Inspect], T]) -> T | None:
    """Prepare on the first rank, while the others read audio for it; return None on these.

    Only the first rank writes, and only when everything was read.

    Args:
        prepare: is given what has the files of an inspection read by all ranks.

    Raises:
        OSError: another rank ended.
    """
    with joined(_PATIENCE):
        return lead(lambda everybody: prepare(partial(_inspect, everybody)), _read)


def _inspect(
    everybody: Everybody[Inspection, list[Finding]], inspection: Inspection
) -> Sequence[Finding]:
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
    parts = everybody(shares)
    return [parts[i % count][i // count] for i in range(len(inspection.utterances))]


def _read(share: Inspection) -> list[Finding]:
    """Read a share with this rank's part of the machine's cores."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return share.run(max(1, (os.cpu_count() or 1) // here))
