"""Any number of hours from any text: its lines, read by many voices, to the byte the same again.

`read_script` writes a folder as `asr prepare` does: OUT/{train,dev,test}.jsonl with the audio in
OUT/SPLIT/0000/ (a thousand files a folder), OUT/normalizer.json, OUT/rejected.jsonl,
OUT/lm_text.txt (the texts of training) and OUT/synth.json (what was asked and made).

Which text and voice an utterance has, and all that is drawn for it, come from (seed, split, index).
Utterances are made in this order until the hours are full, whatever the number of workers; finished
files of an interrupted call are kept.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import logging
import os
import random
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from asr.data.manifest import Utterance, write_manifest
from asr.data.unusable import Unusable
from asr.files import write_atomically, write_json_lines
from asr.synth import espeak
from asr.synth.folder import (
    LM_TEXT_NAME,
    NORMALIZER_NAME,
    REJECTED_NAME,
    SplitSummary,
    claim_folder,
    find_made,
    partial_folder,
    write_record,
)
from asr.synth.grammar import SPLITS, Split
from asr.synth.reading import Reading, Spoken, read_aloud, start_reader
from asr.synth.surroundings import Surroundings
from asr.synth.voices import ACCENTS, shuffled_voices
from asr.synth.workers import count_workers, open_workers
from asr.text import TextNormalizer, write_normalizer

MAX_CHARACTERS = 250  # of a text: slow voices then take MAX_DURATION_S
MIN_DISJOINT_TEXTS = 100  # with fewer, all splits have all of them
HELD_OUT_SHARE = 0.05  # of texts and hours, for dev and for test
MAX_HELD_OUT_HOURS = 0.5

_RECIPE = 1  # to be raised whenever the same request gives other bytes
_FILES_A_FOLDER = 1000
_READINGS_AHEAD = 16  # a worker
_MOST_REFUSED = 100  # beyond as many as were spoken

NOT_SPOKEN = "text that its voice cannot speak"

logger = logging.getLogger(__name__)


class Script(NamedTuple):
    """What is to be read.

    Attributes:
        texts: in the alphabet of `normalizer`, all different, at least one.
        rejected: lines that are not among them.
    """

    texts: Sequence[str]
    normalizer: TextNormalizer
    rejected: Sequence[Unusable]


@dataclass(frozen=True)
class ReadRequest:
    """How a script is read; equal requests make equal bytes of it.

    Args:
        hours: of training speech, > 0; dev and test get a twentieth of it each, at most half an
            hour.
        accents: espeak-ng's names, as "en-us".
        surroundings: rooms and noise.
        seed: >= 0.
    """

    hours: float
    accents: Sequence[str] = ACCENTS
    surroundings: Surroundings = field(default_factory=Surroundings)
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.hours < float("inf"):
            raise ValueError(f"hours must be > 0, got {self.hours}")
        if self.seed < 0:
            raise ValueError(f"seed must be >= 0, got {self.seed}")

    def seconds(self, split: Split) -> float:
        """Tell how much speech a split gets, up to the end of its last utterance."""
        held_out = min(HELD_OUT_SHARE * self.hours, MAX_HELD_OUT_HOURS)
        return 3600 * (self.hours if split == "train" else held_out)


def read_script(
    out: Path,
    script: Script,
    request: ReadRequest,
    *,
    num_workers: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> dict[Split, SplitSummary]:
    """Read a script in the folder `out`, or finish what an interrupted call began.

    Args:
        num_workers: processes that speak, >= 1; None is one a core.
        overwrite: replace another corpus in `out`.
        progress: show a bar a split.

    Returns:
        What each split holds. A corpus that is already there is only described.

    Raises:
        ModuleNotFoundError: the extra `synth` is not installed.
        FileExistsError: `out` holds another corpus and `overwrite` is False.
        ValueError: `num_workers` is out of range, there is no text, hardly any text can be spoken,
            or a file of the noise is broken.
    """
    num_workers = count_workers(num_workers)
    if not script.texts:
        raise ValueError("there is no text to read")
    parameters = _parameters(script, request)
    if (made := find_made(out, parameters)) is not None:
        return made
    espeak.require_espeak()
    claim_folder(out, parameters, overwrite)
    texts = divide_texts(script.texts, request.seed)
    rejected, summaries = list(script.rejected), {}
    start = functools.partial(start_reader, request.surroundings)
    with open_workers(num_workers, start) as pool:
        for split in SPLITS:
            folder, partial = out / split, partial_folder(out, split)
            place = folder if folder.exists() else partial
            readings = plan_readings(place, split, texts[split], request)
            spoken = _read_ahead(pool, readings, _READINGS_AHEAD * num_workers)
            with closing(spoken):
                made, refused = _fill(split, spoken, request.seconds(split), progress)
            utterances = _finish_split(out, split, place, made)
            rejected += refused
            summaries[split] = SplitSummary.of(utterances)
            _say_repeats(split, len(made) + len(refused), len(texts[split]))
    write_atomically(out / LM_TEXT_NAME, "".join(f"{text}\n" for text in texts["train"]))
    write_json_lines(out / REJECTED_NAME, [item.record() for item in rejected])
    write_normalizer(out / NORMALIZER_NAME, script.normalizer)
    write_record(out, parameters, summaries)
    return summaries


def divide_texts(texts: Sequence[str], seed: int) -> dict[Split, list[str]]:
    """Give each text to one split, by a hash of it; all to all where there are too few."""
    if len(texts) < MIN_DISJOINT_TEXTS:
        logger.info(
            "%d texts are fewer than %d: train, dev and test share them, in other voices",
            *(len(texts), MIN_DISJOINT_TEXTS),
        )
        return {split: list(texts) for split in SPLITS}
    hashed = sorted(texts, key=lambda text: hashlib.sha256(f"{seed} {text}".encode()).digest())
    count = round(HELD_OUT_SHARE * len(texts))
    held_out = {"dev": set(hashed[:count]), "test": set(hashed[count : 2 * count])}
    other = held_out["dev"] | held_out["test"]
    divided: dict[Split, list[str]] = {"train": [text for text in texts if text not in other]}
    divided["dev"] = [text for text in texts if text in held_out["dev"]]
    divided["test"] = [text for text in texts if text in held_out["test"]]
    return divided


def plan_readings(
    place: Path, split: Split, texts: Sequence[str], request: ReadRequest
) -> Iterator[Reading]:
    """Plan utterances without end: all texts in another order each time, each by another voice.

    A text meets every voice before it meets one again. The first time through the texts spreads
    them over all voices, so that few texts soon bring every voice.
    """
    order = shuffled_voices(split, request.seed, request.accents)
    index = 0
    for lap in itertools.count():
        rng = random.Random(f"{request.seed} {split} texts {lap}")
        for number in sorted(range(len(texts)), key=lambda _: rng.random()):
            folder = place / f"{index // _FILES_A_FOLDER:04d}"
            yield Reading(
                folder / f"{split}-{index:07d}.wav",
                texts[number],
                order[(number * len(order) // len(texts) + lap) % len(order)],
                (request.seed, SPLITS.index(split), index),
            )
            index += 1


def _read_ahead(
    pool: ProcessPoolExecutor, readings: Iterator[Reading], ahead: int
) -> Generator[tuple[Reading, Spoken], None, None]:
    """Give readings in their order with what became of them; a few more are under way."""
    waiting: deque[tuple[Reading, Future[Spoken]]] = deque()
    try:
        while True:
            for reading in itertools.islice(readings, ahead - len(waiting)):
                waiting.append((reading, pool.submit(read_aloud, reading)))
            reading, future = waiting.popleft()
            yield reading, future.result()
    finally:
        wait([future for _, future in waiting if not future.cancel()])


def _fill(
    split: Split, spoken: Iterator[tuple[Reading, Spoken]], target_s: float, progress: bool
) -> tuple[list[tuple[Reading, float]], list[Unusable]]:
    """Take utterances until the hours are full."""
    made: list[tuple[Reading, float]] = []
    refused: list[Unusable] = []
    seconds = new_s = 0.0
    started = time.monotonic()
    with tqdm(desc=f"read {split}", total=round(target_s), unit="s", disable=not progress) as bar:
        for reading, result in spoken:
            if result.reason:
                refused.append(
                    Unusable(reading.path.stem, NOT_SPOKEN, result.reason, split, reading.path)
                )
                if len(refused) > _MOST_REFUSED + len(made):
                    raise ValueError(f"hardly any text can be spoken: {result.reason}")
                continue
            made.append((reading, result.duration_s))
            seconds += result.duration_s
            new_s += result.duration_s if result.is_new else 0.0
            pace = new_s / (time.monotonic() - started)
            bar.set_postfix_str(f"{pace:.0f} h of speech an hour", refresh=False)
            bar.update(min(round(seconds), round(target_s)) - bar.n)
            if seconds >= target_s:
                break
    return made, refused


def _finish_split(
    out: Path, split: Split, place: Path, made: Sequence[tuple[Reading, float]]
) -> list[Utterance]:
    """Remove what was read beyond the hours, give the folder its name and write the manifest."""
    kept = {reading.path for reading, _ in made}
    for path in list(place.rglob("*.wav")):
        if path not in kept:
            path.unlink()
    for folder in list(place.iterdir()):
        if not any(folder.iterdir()):
            folder.rmdir()
    os.replace(place, out / split)
    utterances = [
        Utterance(
            out / split / reading.path.relative_to(place),
            duration_s,
            reading.text,
            {"id": reading.path.stem, "speaker": reading.voice},
        )
        for reading, duration_s in made
    ]
    write_manifest(out / f"{split}.jsonl", utterances)
    return utterances


def _say_repeats(split: Split, num_readings: int, num_texts: int) -> None:
    times = num_readings / num_texts
    if times > 1:
        logger.info("%s: %d texts, each read %.1f times, in other voices", split, num_texts, times)
    else:
        logger.info("%s: %d of %d texts read, each once", split, num_readings, num_texts)


def _parameters(script: Script, request: ReadRequest) -> dict[str, object]:
    """All that the bytes depend on, in JSON's types."""
    texts = hashlib.sha256("\n".join(script.texts).encode()).hexdigest()
    return {
        "texts": texts,
        "hours": request.hours,
        "accents": list(request.accents),
        **request.surroundings.parameters(),
        "seed": request.seed,
        "text_recipe": _RECIPE,
    }
