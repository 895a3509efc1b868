"""The embedded corpus: spoken commands that anybody can make again, to the byte.

`generate` writes a folder: OUT/{train,dev,test}/*.wav (16 kHz, 16-bit), OUT/{train,dev,test}.jsonl,
OUT/lm_text.txt (sentences for a language model) and OUT/synth.json (what was asked and made).
Speakers are espeak-ng's accents x variants; a variant heard in one split is in no other, nor is a
sentence, and no sentence of the language model is in dev or test.

Everything random about an utterance comes from (seed, split, index), so that the number of workers
and an interruption change nothing: finished files are kept, folders are renamed when complete.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from asr.audio import audio_info
from asr.data.manifest import Utterance, write_manifest
from asr.files import write_atomically
from asr.synth import espeak
from asr.synth.folder import (
    LM_TEXT_NAME,
    SplitSummary,
    claim_folder,
    find_made,
    partial_folder,
    write_record,
)
from asr.synth.grammar import SPLITS, Split, compose_for, transcript
from asr.synth.recording import record_utterance
from asr.synth.voices import shuffled_voices
from asr.synth.workers import count_workers, open_workers

_RECIPE = 1  # to be raised whenever the same request gives other bytes
_MEAN_DURATION_S = 2.9
_NEW_SENTENCE_TRIES = 30


@dataclass(frozen=True)
class SynthRequest:
    """What to make; equal requests make equal bytes.

    Args:
        train_hours: of speech, up to 100 and more; met within a few percent.
        num_dev: utterances, >= 1.
        num_test: utterances, >= 1.
        num_lm_sentences: lines of the language model's text, >= 1.
        seed: >= 0.
    """

    train_hours: float = 3.5
    num_dev: int = 280
    num_test: int = 280
    num_lm_sentences: int = 40_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.train_hours < float("inf"):
            raise ValueError(f"train_hours must be > 0, got {self.train_hours}")
        for name in ("num_dev", "num_test", "num_lm_sentences"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must be >= 0, got {self.seed}")

    def num_utterances(self, split: Split) -> int:
        """Count the utterances of a split."""
        num_train = max(1, round(self.train_hours * 3600 / _MEAN_DURATION_S))
        return {"train": num_train, "dev": self.num_dev, "test": self.num_test}[split]


QUICKSTART = SynthRequest()
TINY = SynthRequest(train_hours=0.05, num_dev=12, num_test=12, num_lm_sentences=5_000)


class _Task(NamedTuple):
    """One utterance to speak, all that a worker needs."""

    path: Path
    spoken: str
    voice: str
    seed: tuple[int, ...]  # of everything but sentence and voice


def generate(
    out: Path,
    request: SynthRequest = QUICKSTART,
    *,
    num_workers: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> dict[Split, SplitSummary]:
    """Make the embedded corpus in the folder `out`, or finish what an interrupted call began.

    Args:
        num_workers: processes that speak, >= 1; None is one a core.
        overwrite: replace another corpus in `out`.
        progress: show a bar a split.

    Returns:
        What each split holds. A corpus that is already there is only described.

    Raises:
        ModuleNotFoundError: the extra `synth` is not installed.
        FileExistsError: `out` holds another corpus and `overwrite` is False.
        ValueError: `num_workers` is out of range.
    """
    num_workers = count_workers(num_workers)
    out = Path(out)
    parameters = _parameters(request)
    if (made := find_made(out, parameters)) is not None:
        return made
    espeak.require_espeak()
    claim_folder(out, parameters, overwrite)
    texts = {split: compose_sentences(request, split) for split in SPLITS}
    summaries: dict[Split, SplitSummary] = {}
    with open_workers(num_workers) as pool:
        for split in SPLITS:
            utterances = list(_speak_split(out, request, split, texts[split], pool, progress))
            write_manifest(out / f"{split}.jsonl", utterances)
            summaries[split] = SplitSummary.of(utterances)
    write_atomically(out / LM_TEXT_NAME, "".join(f"{line}\n" for line in compose_lm_text(request)))
    write_record(out, parameters, summaries)
    return summaries


def compose_sentences(request: SynthRequest, split: Split) -> list[str]:
    """Make up the sentences of a split as they are spoken; repeated only when new ones run out."""
    rng = random.Random(f"{request.seed} {split} sentences")
    sentences: list[str] = []
    seen: set[str] = set()
    for _ in range(request.num_utterances(split)):
        sentence = compose_for(split, rng)
        for _ in range(_NEW_SENTENCE_TRIES):
            if sentence not in seen:
                break
            sentence = compose_for(split, rng)
        seen.add(sentence)
        sentences.append(sentence)
    return sentences


def compose_lm_text(request: SynthRequest) -> Iterator[str]:
    """Make up the language model's sentences: those of the grammar that are training's."""
    rng = random.Random(f"{request.seed} lm")
    for _ in range(request.num_lm_sentences):
        yield transcript(compose_for("train", rng))


def _speak_split(
    out: Path,
    request: SynthRequest,
    split: Split,
    sentences: list[str],
    pool: ProcessPoolExecutor,
    progress: bool,
) -> Iterator[Utterance]:
    """Speak the utterances of a split that are not there yet, and give all of them in order."""
    folder, partial = out / split, partial_folder(out, split)
    place = folder if folder.exists() else partial
    place.mkdir(exist_ok=True)
    tasks = _plan(place, request, split, sentences)
    spoken = pool.map(_speak, tasks, chunksize=8)
    durations = list(tqdm(spoken, f"speak {split}", len(tasks), unit="utt", disable=not progress))
    os.replace(place, folder)
    for task, duration in zip(tasks, durations, strict=True):
        path = folder / task.path.name
        extra: dict[str, object] = {"id": path.stem, "speaker": task.voice}
        yield Utterance(path, duration, transcript(task.spoken), extra)


def _plan(place: Path, request: SynthRequest, split: Split, sentences: list[str]) -> list[_Task]:
    """Give each sentence a file, a voice (all in turn, in shuffled order) and a seed."""
    order = shuffled_voices(split, request.seed)
    return [
        _Task(
            place / f"{split}-{index:06d}.wav",
            sentence,
            order[index % len(order)],
            (request.seed, SPLITS.index(split), index),
        )
        for index, sentence in enumerate(sentences)
    ]


def _speak(task: _Task) -> float:
    """Make one file unless an earlier call did; return its seconds. Runs in a worker."""
    if task.path.exists():
        return audio_info(task.path).duration_s
    return record_utterance(task.path, task.spoken, task.voice, task.seed)


def _parameters(request: SynthRequest) -> dict[str, object]:
    return {**asdict(request), "recipe": _RECIPE}
