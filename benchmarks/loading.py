"""Loading without a network behind it: a manifest of files, and shards of the same speech.

    python benchmarks/loading.py [--hours 0.5] [--loaders 1 2 4 8] [--augment full] [--format flac]

Speech is noise of 2 to 15 s at 16 kHz, written as FLAC, and loaded by threads (loading.num_threads)
and by processes (loading.num_processes). That both give the same batches is asserted first. A
figure is hours of speech that an hour of loading gives, of the best of some epochs that took turns.
`own s` is the processor time of this process, where training would be, for an hour of speech: what
loading takes from a network on the same cores.
"""

import argparse
import tempfile
import time
from collections import deque
from contextlib import ExitStack, closing
from itertools import product
from pathlib import Path

import numpy as np
import soundfile
import torch

from asr.augment import WaveformAugment
from asr.cli.hydra_config import build, compose_config
from asr.data.loading import BatchLoader, Corpus, ManifestCorpus
from asr.data.manifest import Manifest, Utterance, write_manifest
from asr.data.shards.corpus import ShardCorpus
from asr.data.shards.packing import Packing, pack
from asr.text import CharTokenizer

SAMPLE_RATE, REPEATS = 16000, 2
KINDS = ("threads", "processes")


def make_speech(folder: Path, hours: float) -> Path:
    """Write files and their manifest."""
    rng = np.random.default_rng(1)
    utterances: list[Utterance] = []
    seconds = 0.0
    while seconds < 3600 * hours:
        duration = float(round(rng.uniform(2.0, 15.0), 3))
        path = folder / f"{len(utterances) % 100:02d}" / f"{len(utterances)}.flac"
        path.parent.mkdir(exist_ok=True)
        # Less noise than speech has would compress to nothing, and more to no less than WAV.
        waveform = rng.normal(0.0, 0.02, round(duration * SAMPLE_RATE))
        soundfile.write(path, waveform, SAMPLE_RATE, subtype="PCM_16")
        utterances.append(Utterance(path, duration, "some words", {"id": f"u{len(utterances)}"}))
        seconds += duration
    write_manifest(folder / "train.jsonl", utterances)
    return folder / "train.jsonl"


def make_loader(
    corpus: Corpus, augment: WaveformAugment | None, kind: str, count: int
) -> BatchLoader:
    """Make a loader with so many threads or processes."""
    return BatchLoader(
        corpus,
        CharTokenizer(" abcdefghijklmnopqrstuvwxyz"),
        sample_rate=SAMPLE_RATE,
        batch_seconds=80.0,
        seed=1,
        order="shuffled",
        augment=augment,
        num_threads=count if kind == "threads" else 1,
        num_processes=count if kind == "processes" else 0,
        num_frames=lambda num_samples: num_samples // 640,
    )


def check(corpus: Corpus, augment: WaveformAugment | None) -> None:
    """Assert that threads and processes give the same batches, bit for bit."""
    with (
        closing(make_loader(corpus, augment, "threads", 2)) as threads,
        closing(make_loader(corpus, augment, "processes", 2)) as processes,
    ):
        plans = [loader.render(1, loader.plan(1)[:3]) for loader in (threads, processes)]
        for one, other in zip(*plans, strict=True):
            assert one.ids == other.ids
            assert torch.equal(one.waveforms, other.waveforms)


def measure(loader: BatchLoader, epoch: int) -> tuple[float, float]:
    """Load an epoch; return hours of speech an hour, and own processor seconds an hour of speech.

    A pass over its first batches comes before: it starts processes, and draws the first rooms.
    """
    deque(loader.render(epoch, loader.plan(epoch)[:3]), maxlen=0)
    begun, worked = time.perf_counter(), time.process_time()
    samples = sum(int(batch.waveform_lengths.sum()) for batch in loader.batches(epoch))
    taken, own = time.perf_counter() - begun, time.process_time() - worked
    hours = samples / SAMPLE_RATE / 3600
    return hours / taken * 3600, own / hours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=0.5, help="speech (default: 0.5)")
    parser.add_argument("--loaders", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument(
        "--augment", default="full", help="a choice of conf/augment (default: full)"
    )
    parser.add_argument("--format", default="flac", choices=("flac", "opus", "keep"))
    args = parser.parse_args()
    config = compose_config("train", [f"augment={args.augment}"])
    augment = build(config["augment"], "waveform")
    with tempfile.TemporaryDirectory() as name:
        manifest = make_speech(Path(name), args.hours)
        packing = Packing(args.format, None, 600.0, 1000.0, 2)
        pack(Manifest(manifest), Path(name) / "shards", packing, source="benchmark")
        corpora = {
            "manifest of FLAC": ManifestCorpus([str(manifest)]),
            f"shards of {args.format}": ShardCorpus(str(Path(name) / "shards"), buffer_hours=0.2),
        }
        for corpus in corpora.values():
            check(corpus, augment)
        print(f"{args.hours:g} h of speech, augment={args.augment}, best of {REPEATS} epochs\n")
        print("| corpus | loaders | hours of speech an hour | own s |\n|---|---|---|---|")
        for count in args.loaders:
            with ExitStack() as stack:
                loaders = {
                    key: stack.enter_context(
                        closing(make_loader(corpora[key[0]], augment, key[1], count))
                    )
                    for key in product(corpora, KINDS)
                }
                turns = [
                    (key, *measure(loader, epoch))
                    for epoch in range(1, REPEATS + 1)
                    for key, loader in loaders.items()
                ]
            for name, kind in loaders:
                speed, own = max(turn[1:] for turn in turns if turn[0] == (name, kind))
                print(f"| {name} | {count} {kind} | {speed:,.0f} | {own:.1f} |", flush=True)


if __name__ == "__main__":
    main()
