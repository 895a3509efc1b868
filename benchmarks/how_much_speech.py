"""Error rate over minutes of training speech: parts of a training set, and the curve of their runs.

    python benchmarks/how_much_speech.py cut data/commands/train.jsonl --minutes 10 24 -o parts
    asr train data=manifest data.train_manifest=parts/train_10.jsonl data.dev_manifest=... \
        preset=auto run_dir=runs/commands_10
    asr decode checkpoint=runs/commands_10/ckpt/best.ckpt data=manifest data.test_manifest=...
    python benchmarks/how_much_speech.py draw "Speech Commands" runs/commands_* \
        "FSDD" runs/fsdd_* -o docs/images/how_much_speech.png

`cut` takes whole speakers, or single utterances with --by utterance, in an order that is the same
for every size, so that a part holds the smaller ones. `draw` prints minutes, epochs, WER with its
95 % interval and the time of training for every run, in groups by the names between them, and draws
WER over minutes.
"""

import argparse
import random
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt

from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.evaluation.metrics import ErrorRate
from asr.evaluation.run_record import read_run

SEED = 1


class Point(NamedTuple):
    """One run."""

    name: str
    minutes: float
    epochs: float
    training_s: float
    errors: ErrorRate


def cut(utterances: list[Utterance], minutes: float, by: str) -> list[Utterance]:
    """Take whole groups in an order drawn once until there are so many minutes."""
    groups: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        key = utterance.id if by == "utterance" else str(utterance.extra[by])
        groups.setdefault(key, []).append(utterance)
    order = sorted(groups)
    random.Random(SEED).shuffle(order)
    taken: list[Utterance] = []
    while order and sum(u.duration for u in taken) < 60 * minutes:
        taken += groups[order.pop(0)]
    return taken


def read_point(path: Path) -> Point:
    run = read_run(path)
    manifest = read_manifest(run.config["data"]["train_manifest"])
    (result, *_) = run.best_results()
    assert result.score is not None, f"{path}: decode it first"
    last = run.history[-1]
    return Point(
        path.name,
        sum(u.duration for u in manifest) / 60,
        last["epoch"],
        last["seconds"],
        result.score.error_rate(run.metric),
    )


def group(words: list[str]) -> dict[str, list[Point]]:
    """Read `NAME RUN RUN ... NAME RUN ...`: what is a folder is a run of the name before it."""
    groups: dict[str, list[Point]] = {}
    name = ""
    for word in words:
        if Path(word).is_dir():
            groups.setdefault(name, []).append(read_point(Path(word)))
        else:
            name = word
    return {name: sorted(points, key=lambda p: p.minutes) for name, points in groups.items()}


def draw(groups: dict[str, list[Point]], out: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for name, points in groups.items():
        minutes = [p.minutes for p in points]
        rates = [100 * p.errors.rate for p in points]
        low = [100 * (p.errors.rate - p.errors.low) for p in points]
        high = [100 * (p.errors.high - p.errors.rate) for p in points]
        axes.errorbar(minutes, rates, yerr=[low, high], marker="o", capsize=3, label=name)
    axes.set(xscale="log", ylim=(0, 100), xlabel="minutes of training speech", ylabel="WER %")
    ticks = sorted({round(p.minutes) for points in groups.values() for p in points})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(out, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    cutting = commands.add_parser("cut", help="write parts of a manifest")
    cutting.add_argument("manifest", type=Path)
    cutting.add_argument("--minutes", type=float, nargs="+", required=True)
    cutting.add_argument("--by", default="speaker", help="speaker (default), utterance, or a key")
    cutting.add_argument("-o", "--out", type=Path, required=True, help="folder of the parts")
    drawing = commands.add_parser("draw", help="print and draw what runs made of them")
    drawing.add_argument("words", nargs="+", metavar="NAME RUN...")
    drawing.add_argument("-o", "--out", type=Path, help="the picture; none without")
    args = parser.parse_args()
    if args.command == "cut":
        args.out.mkdir(parents=True, exist_ok=True)
        utterances = read_manifest(args.manifest)
        for minutes in args.minutes:
            part = cut(utterances, minutes, args.by)
            path = args.out / f"{args.manifest.stem}_{minutes:g}.jsonl"
            write_manifest(path, part)
            print(f"{path}: {len(part)} utterances, {sum(u.duration for u in part) / 60:.1f} min")
        return
    groups = group(args.words)
    for name, points in groups.items():
        for p in points:
            low, high = 100 * p.errors.low, 100 * p.errors.high
            print(
                f"{name:<24} {p.name:<24} {p.minutes:6.1f} min {p.epochs:4g} epochs "
                f"{p.training_s:6.0f} s  WER {100 * p.errors.rate:6.2f} ({low:.2f} - {high:.2f})"
            )
    if args.out:
        draw(groups, args.out)


if __name__ == "__main__":
    main()
