"""The embedded corpus: spoken commands that anybody can make again, to the byte.

`generate` writes a folder: OUT/{train,dev,test}/*.wav (16 kHz, 16-bit), OUT/{train,dev,test}.jsonl,
OUT/lm_text.txt (sentences for a language model) and OUT/synth.json (what was asked and made).
Speakers are espeak-ng's accents x variants; a variant heard in one split is in no other, nor is a
sentence, and no sentence of the language model is in dev or test.

Everything random about an utterance comes from (seed, split, index), so that the number of workers
and an interruption change nothing: finished files are kept, folders are renamed when complete.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from asr.audio import audio_info
from asr.data.manifest import Utterance, write_manifest
from asr.files import parse_json, read_text, write_atomically
from asr.synth import espeak
from asr.synth.grammar import Split, compose_for, transcript
from asr.synth.recording import record_utterance

SPLITS: tuple[Split, ...] = ("train", "dev", "test")

ACCENTS = (
    *("en-us", "en-us-nyc", "en", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan"),
    *("en-gb-x-gbcwmd", "en-029"),
)
# Left out: whispers, croaks, robots, a child's 350 Hz, and copies of these with one value changed.
VARIANTS: dict[Split, tuple[str, ...]] = {
    "train": (
        *("m1", "m2", "m4", "m5", "m7", "m8", "f1", "f3", "f5", "Alex", "Andrea", "Denis", "Diogo"),
        *("Gene2", "Henrique", "Hugo", "Jacky", "Lee", "Mike", "Nguyen", "Reed", "adam", "anika"),
        *("antonio", "aunty", "belinda", "benjamin", "boris", "david", "ed", "grandma", "grandpa"),
        *("iven3", "john", "kaukovalta", "klatt3", "linda", "marcelo", "max", "michel", "miguel"),
        *("norbert", "pablo", "paul", "pedro", "rob", "robert", "sandro", "victor"),
    ),
    "dev": ("m6", "f2", "shelby", "quincy", "gustave", "klatt4"),
    "test": ("m3", "f4", "Annie", "steph", "Andy", "Mario", "travis", "edward"),
}

_RECIPE = 1  # to be raised whenever the same request gives other bytes
_MEAN_DURATION_S = 2.9
_NEW_SENTENCE_TRIES = 30
_RECORD = "synth.json"


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


class SplitSummary(NamedTuple):
    """What a finished split holds."""

    num_utterances: int
    hours: float


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
    num_workers = num_workers if num_workers is not None else os.cpu_count() or 1
    if num_workers < 1:
        raise ValueError(f"num_workers must be >= 1, got {num_workers}")
    out = Path(out)
    record = _read_record(out)
    begun = record is not None and record["parameters"] == _parameters(request)
    if record is not None and begun and record["splits"] is not None:
        return {split: SplitSummary(*record["splits"][split]) for split in SPLITS}
    espeak.require_espeak()
    if not begun:
        _claim_folder(out, request, record, overwrite)
    texts = {split: compose_sentences(request, split) for split in SPLITS}
    summaries: dict[Split, SplitSummary] = {}
    # Spawned, not forked: a worker that loads espeak-ng shares nothing with this process.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_workers, mp_context=context) as pool:
        for split in SPLITS:
            utterances = list(_speak_split(out, request, split, texts[split], pool, progress))
            write_manifest(out / f"{split}.jsonl", utterances)
            hours = sum(utterance.duration for utterance in utterances) / 3600
            summaries[split] = SplitSummary(len(utterances), round(hours, 4))
    write_atomically(out / "lm_text.txt", "".join(f"{line}\n" for line in compose_lm_text(request)))
    _write_record(out, request, summaries)
    return summaries


def voices(split: Split) -> list[str]:
    """List a split's speakers by espeak-ng's names: every variant in every accent."""
    return [f"{accent}+{variant}" for variant in VARIANTS[split] for accent in ACCENTS]


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


def _claim_folder(
    out: Path, request: SynthRequest, record: dict[str, Any] | None, overwrite: bool
) -> None:
    """Empty the folder of any other corpus, if that is allowed, and write down the request."""
    names = [*SPLITS, *(f".{split}.partial" for split in SPLITS)]
    names += [*(f"{split}.jsonl" for split in SPLITS), "lm_text.txt", _RECORD]
    present = [out / name for name in names if (out / name).exists()]
    if present and not overwrite:
        raise FileExistsError(
            f"{out} holds {_describe_difference(record, _parameters(request))}; "
            "choose another folder or allow overwriting"
        )
    # The record goes last: cut short here, the folder is still known as the other corpus.
    for path in present:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    out.mkdir(parents=True, exist_ok=True)
    _write_record(out, request, None)


def _speak_split(
    out: Path,
    request: SynthRequest,
    split: Split,
    sentences: list[str],
    pool: ProcessPoolExecutor,
    progress: bool,
) -> Iterator[Utterance]:
    """Speak the utterances of a split that are not there yet, and give all of them in order."""
    folder, partial = out / split, out / f".{split}.partial"
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
    rng = random.Random(f"{request.seed} {split} voices")
    order = sorted(voices(split), key=lambda _: rng.random())
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


def _read_record(out: Path) -> dict[str, Any] | None:
    """Read synth.json: {"parameters": {...}, "splits": {split: [utterances, hours]} or null}."""
    path = out / _RECORD
    if not path.exists():
        return None
    try:
        record = parse_json(read_text(path))
        if not isinstance(record, dict) or set(record) != {"parameters", "splits"}:
            raise ValueError("it must have the keys parameters and splits")
    except ValueError as error:
        raise ValueError(f"{path}: not the record of a corpus: {error}") from error
    return record


def _write_record(
    out: Path, request: SynthRequest, summaries: dict[Split, SplitSummary] | None
) -> None:
    record = {"parameters": _parameters(request), "splits": summaries}
    write_atomically(out / _RECORD, json.dumps(record, indent=2) + "\n")


def _describe_difference(record: dict[str, Any] | None, asked: dict[str, object]) -> str:
    """Say in words what is in the folder instead of what is asked."""
    if record is None:
        return f"files that are no corpus of ours (there is no {_RECORD})"
    there = record["parameters"]
    different = [
        f"{name} {there.get(name)} instead of {value}"
        for name, value in asked.items()
        if there.get(name) != value
    ]
    return "another corpus: " + ", ".join(different)
