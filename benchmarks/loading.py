"""Loading without a network behind it: a manifest of files, and shards of the same speech.

    python benchmarks/loading.py [--hours 0.5] [--threads 1 2 4] [--augment spec] [--format flac]

Speech is noise of 2 to 15 s at 16 kHz, written as FLAC. A figure is hours of speech that an hour of
loading gives, of the best of some epochs that took turns. `cores` is processor time over time: far
below the number of threads, that load waited for something else.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from asr.augment import WaveformAugment
from asr.cli.hydra_config import build, compose_config
from asr.data.loading import BatchLoader, Corpus, ManifestCorpus
from asr.data.manifest import Manifest, Utterance, write_manifest
from asr.data.shards.corpus import ShardCorpus
from asr.data.shards.packing import Packing, pack
from asr.text import CharTokenizer

SAMPLE_RATE, REPEATS = 16000, 2


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


def measure(corpus: Corpus, augment: WaveformAugment | None, num_threads: int, epoch: int) -> tuple:
    """Load an epoch; return hours of speech an hour, and processor time over time."""
    loader = BatchLoader(
        corpus,
        CharTokenizer(" abcdefghijklmnopqrstuvwxyz"),
        sample_rate=SAMPLE_RATE,
        batch_seconds=80.0,
        seed=1,
        order="shuffled",
        augment=augment,
        num_threads=num_threads,
        num_frames=lambda num_samples: num_samples // 640,
    )
    begun, worked = time.perf_counter(), time.process_time()
    samples = sum(int(batch.waveform_lengths.sum()) for batch in loader.batches(epoch))
    taken = time.perf_counter() - begun
    return samples / SAMPLE_RATE / taken, (time.process_time() - worked) / taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=0.5, help="speech (default: 0.5)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument(
        "--augment", default="spec", help="a choice of conf/augment (default: spec)"
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
        print(f"{args.hours:g} h of speech, augment={args.augment}, best of {REPEATS} epochs\n")
        print("| corpus | threads | hours of speech an hour | cores |\n|---|---|---|---|")
        for num_threads in args.threads:
            turns = [
                (kind, *measure(corpus, augment, num_threads, epoch))
                for epoch in range(1, REPEATS + 1)
                for kind, corpus in corpora.items()
            ]
            for kind in corpora:
                speed, cores = max(turn[1:] for turn in turns if turn[0] == kind)
                print(f"| {kind} | {num_threads} | {speed:,.0f} | {cores:.2f} |", flush=True)


if __name__ == "__main__":
    main()
