"""Error rate over noise and in rooms: one test set, heard in worse and worse places.

    python benchmarks/noise.py data=fsdd_connected --noise noises/test \
        --models plain=runs/plain/ckpt/best.ckpt noise=runs/noise/ckpt/best.ckpt \
        -o docs/images/noise_digits.svg

Every utterance is decoded greedily as it is, with a recording of the folder at each ratio of speech
to noise (where either sounds, as in training: `asr.augment.noise`), and in simulated rooms of
three sizes. Which recording, which part of it and which room follow from the seed and the
utterance's id: every model hears the same sound, and at every ratio the same noise. Nothing is
clipped. A model whose training drew noise from one of the folder's files is refused; what was mixed
into a corpus before is not known here. Rooms are none of those of `augment/room=simulated`.

Prints WER in percent with 95 % intervals over utterances, and differences to the first model on the
same utterances (paired bootstrap). The picture is light or dark as the reader's system.
"""

import argparse
import hashlib
import sys
from collections.abc import Callable, Sequence
from importlib.resources import files
from itertools import cycle
from pathlib import Path

import numpy as np
import torch

from asr.acoustic.checkpoint import load_checkpoint
from asr.acoustic.model import AcousticModel
from asr.augment import RecordedNoise, SimulatedRooms
from asr.augment.rooms import reverberate
from asr.augment.sounds import SoundFolder
from asr.cli.assembly import open_test_set
from asr.cli.hydra_config import compose_config
from asr.data.loading import Batch
from asr.decoding import GreedyDecoder
from asr.evaluation.metrics import compare_error_rates, word_error_rate
from asr.evaluation.scoring import decode_batches
from asr.evaluation.table import format_table
from asr.files import write_atomically
from asr.pages.drawing import COLORS, GRID, MUTED, TEXT, calm, new_figure, to_svg

MEMORY_MB = 256.0
CLEAN = "clean"
RATE, CHANGE = "{:.2f} ({:.2f} - {:.2f})", "{:+.2f} ({:+.2f} to {:+.2f})"
NOISES = {f"{snr_db} dB": (snr_db, snr_db) for snr_db in (20, 15, 10, 5, 0, -5)}
# Smallest and largest in metres, and seconds until the echo is 60 dB down.
ROOMS = {
    "small room, 0.3 s": ((2.5, 2.0, 2.2), (4.0, 3.5, 2.8), 0.3),
    "medium room, 0.6 s": ((5.0, 4.0, 2.4), (7.0, 6.0, 3.2), 0.6),
    "large room, 1.0 s": ((8.0, 7.0, 3.0), (12.0, 10.0, 4.5), 1.0),
}
# Training draws from the rooms with the numbers 0 to num_rooms - 1, which are 200.
FIRST_ROOM, NUM_ROOMS = 100_000, 50

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
Heard = dict[str, tuple[list[str], list[str]]]  # in every place: references, and a model's texts


def list_places(folder: str, sample_rate: int) -> dict[str, Change]:
    """Make what happens to a waveform in each place, in the order of the table."""
    places: dict[str, Change] = {CLEAN: lambda waveform, rng: waveform}
    common = {"sample_rate": sample_rate, "probability": 1.0}
    for name, snr_db in NOISES.items():
        places[name] = RecordedNoise(folder=folder, snr_db=snr_db, memory_mb=MEMORY_MB, **common)
    for name, (smallest_m, largest_m, rt60_s) in ROOMS.items():
        sizes = {"smallest_m": smallest_m, "largest_m": largest_m}
        rooms = SimulatedRooms(num_rooms=1, rt60_s=(rt60_s, rt60_s), **sizes, **common)
        places[name] = lambda waveform, rng, rooms=rooms: reverberate(
            waveform, rooms.response(FIRST_ROOM + int(rng.integers(NUM_ROOMS)))
        )
    return places


def hear(batch: Batch, change: Change, seed: int) -> Batch:
    """Change every utterance of a batch, each with a generator of its own."""
    waveforms = batch.waveforms.clone()
    for row, name, size in zip(waveforms, batch.ids, batch.waveform_lengths.tolist(), strict=True):
        key = np.frombuffer(hashlib.sha256(name.encode()).digest(), np.uint32)
        heard = change(row[:size].numpy(), np.random.default_rng([seed, *key.tolist()]))
        row[:size] = torch.from_numpy(heard)
    return batch._replace(waveforms=waveforms)


def check_unheard(name: str, model: AcousticModel, folder: str) -> None:
    """Refuse a model that was trained with noise of the same files.

    Raises:
        ValueError: names one of them.
    """
    waveform = (model.config.get("augment") or {}).get("waveform") or {}
    trained = (waveform.get("noise") or {}).get("folder")
    if trained and not Path(trained).is_dir():
        print(f"{name}: {trained}, its training's noise, is not here: not compared with {folder}")
    elif trained:
        known, tested = read_files(trained), read_files(folder)
        for content in tested:
            if content in known:
                raise ValueError(f"--noise must be new to {name}, which heard {tested[content]}")


def read_files(folder: str) -> dict[bytes, Path]:
    """Name the recordings of a folder by what they hold."""
    sounds = SoundFolder(folder, 16000, piece_s=10.0, memory_mb=MEMORY_MB).sounds
    return {hashlib.sha256(s.path.read_bytes()).digest(): s.path for s in sounds}


def decode(model: AcousticModel, overrides: Sequence[str], folder: str, seed: int) -> Heard:
    """Decode a test set in every place."""
    config = compose_config("decode", [*overrides, "checkpoint=unused"])
    loader, _ = open_test_set(config, config["split"], model)
    batches = list(loader.batches(0))
    for unusable in loader.bad.skipped:
        print(f"left out: {unusable.id}: {unusable.reason}")
    decoders = {"greedy": GreedyDecoder(model.tokenizer.tokens)}
    texts = {}
    for place, change in list_places(folder, model.sample_rate).items():
        heard = [hear(batch, change, seed) for batch in batches]
        pairs = zip(batches, heard, strict=True)
        same = sum(int((a.waveforms == b.waveforms).all(dim=1).sum()) for a, b in pairs)
        if same and place != CLEAN:
            print(f"{place}: {same} utterances met silence and stayed as they were")
        result = decode_batches(model, heard, decoders, progress=sys.stderr.isatty())["greedy"]
        texts[place] = result.references, result.texts
    return texts


def format_results(models: dict[str, Heard]) -> str:
    """Lay out rates, and differences to the first model: a row a place, a column a model."""
    first, *others = models.values()
    rates, changes = [["WER", *models]], [["difference", *list(models)[1:]]]
    for place, (references, texts) in first.items():
        scores = [word_error_rate(*heard[place]) for heard in models.values()]
        pairs = [compare_error_rates(references, heard[place][1], texts) for heard in others]
        rates.append([place, *(RATE.format(*_percent(s.rate, s.low, s.high)) for s in scores)])
        changes.append([place, *(CHANGE.format(*_percent(*p[:3])) for p in pairs)])
    tables = [rates, changes] if others else [rates]
    return "\n".join(format_table(rows, markdown=True) for rows in tables)


def _percent(*rates: float) -> list[float]:
    return [100 * rate for rate in rates]


def draw(models: dict[str, Heard], title: str) -> str:
    """Draw a line a model, its interval as a band, over noise and over rooms; an SVG by itself."""
    figure = new_figure(4.0)
    panels = figure.subplots(1, 2, sharey=True, width_ratios=(len(NOISES) + 1, len(ROOMS) + 1))
    groups = ("speech above noise", NOISES), ("simulated rooms", ROOMS)
    for axes, (label, group) in zip(panels, groups, strict=True):
        places = [CLEAN, *group]
        for color, (name, heard) in zip(cycle(COLORS), models.items(), strict=False):
            scores = [word_error_rate(*heard[place]) for place in places]
            low, middle, high = zip(*(_percent(s.low, s.rate, s.high) for s in scores), strict=True)
            axes.plot(places, middle, color=color, marker="o", markersize=3, label=name)
            axes.fill_between(places, low, high, color=color, alpha=0.18, linewidth=0)
        axes.set_xticks(range(len(places)), [place.replace(" room, ", "\n") for place in places])
        axes.set_ylim(bottom=0.0)
        axes.set_xlabel(label, color=MUTED)
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        calm(axes)
    panels[0].set_title(title, loc="left", color=TEXT, fontsize=10)
    panels[0].legend(frameon=False, labelcolor=TEXT, fontsize=9)
    start, _, rest = to_svg(figure, title, title).partition(">")
    style, _, _ = (files("asr.pages") / "templates/page.css").read_text().partition("* {")
    style += "svg { background: var(--card); color: var(--text); }"
    start = start.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"')
    return f"{start}><style>{style}</style>{rest}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("overrides", nargs="+", help="data=... and others of asr decode")
    parser.add_argument("--models", nargs="+", required=True, metavar="NAME=CHECKPOINT")
    parser.add_argument("--noise", required=True, help="folder of recordings that no model heard")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--title", default="WER %")
    parser.add_argument("-o", "--out", type=Path, help="the picture, .svg")
    options = parser.parse_args()
    try:
        words = options.models
        paths = dict(word.partition("=")[::2] for word in words)
        if len(paths) < len(words) or not all(paths.values()):
            raise ValueError(f"--models must be NAME=CHECKPOINT, no name twice, got {words}")
        models = {name: load_checkpoint(path) for name, path in paths.items()}
        for name, model in models.items():
            check_unheard(name, model, options.noise)
        heard = options.overrides, options.noise, options.seed
        results = {name: decode(model, *heard) for name, model in models.items()}
        print(format_results(results))
    except (ValueError, OSError) as error:
        parser.exit(2, f"noise.py: {error}\n")
    if options.out:
        write_atomically(options.out, draw(results, options.title))


if __name__ == "__main__":
    main()
