"""What augmentation costs: seconds of work by change, and what of it a training step waits for.

    python benchmarks/augmentation.py --manifest train.jsonl --noise DIR [--steps 30]

First each change alone, on the manifest's first utterances, in one thread. Then training steps on
the same batches with more and more of it, and the time that the loop waits for a batch, which is
what the threads that load could not hide. An utterance that is augmented twice is asserted to be
the same to the last sample.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from asr.acoustic.model import build_model
from asr.augment import WaveformAugment
from asr.cli.assembly import build_tokenizer, make_loader
from asr.cli.environment import environment
from asr.cli.hydra_config import build, compose_config
from asr.cli.texts import settle_texts
from asr.cli.train import make_stepper
from asr.data.manifest import read_manifest
from asr.training.precision import choose_precision

SAMPLE_RATE = 16000
# Changes that are measured alone: overrides of augment=spec.
ALONE = {
    "speed": ["augment.waveform.speeds=[0.9]"],
    "tempo": ["augment.waveform.tempos=[0.9]"],
    "white noise": [
        "augment.waveform.noise_snr_db=[10,20]",
        "augment.waveform.noise_probability=1",
    ],
    "recorded noise": ["augment/noise=folder", "augment.waveform.noise.probability=1"],
    "simulated room": ["augment/room=simulated", "augment.waveform.room.probability=1"],
    "telephone line": ["augment/line=telephone", "augment.waveform.line.probability=1"],
}
TOGETHER = {
    "none": ["augment=none"],
    "full": ["augment=full"],
    "everything": ["augment=everything"],
    "everything + tempo": ["augment=everything", "augment.waveform.tempos=[0.9,1.0,1.1]"],
}
QUIET = ["augment.waveform.gain_db=0", "augment.waveform.pad_probability=0"]


def compose(manifest: Path, noise: Path, words: list[str]) -> dict:
    """A training configuration; the folder of noise goes where one is asked for."""
    words = ["data=manifest", f"data.train_manifest={manifest.resolve()}", *words]
    if {"augment/noise=folder", "augment=everything"} & set(words):
        words.append(f"augment.waveform.noise.folder={noise.resolve()}")
    return compose_config("train", words)


def measure_alone(manifest: Path, noise: Path) -> None:
    """Print the milliseconds of each change for a minute of speech, the first time and after."""
    waveforms = [u.waveform(SAMPLE_RATE) for u in read_manifest(manifest)[:40]]
    minutes = sum(map(len, waveforms)) / SAMPLE_RATE / 60
    print(f"{'change':<20}{'ms a minute, first':>20}{'and again':>12}")
    for name, words in ALONE.items():
        config = compose(manifest, noise, [*QUIET, *words])
        augment = build(config["augment"], "waveform")
        assert isinstance(augment, WaveformAugment)
        taken = []
        for _ in range(2):
            started = time.thread_time()
            heard = [augment(w, np.random.default_rng(n)) for n, w in enumerate(waveforms)]
            taken.append((time.thread_time() - started) / minutes)
        again = augment(waveforms[3], np.random.default_rng(3))
        np.testing.assert_array_equal(heard[3], again)
        print(f"{name:<20}{1000 * taken[0]:>20.1f}{1000 * taken[1]:>12.1f}")


def measure_steps(manifest: Path, noise: Path, num_steps: int) -> None:
    """Print how long steps take and wait with each set of changes."""
    print(f"{'augment':<20}{'audio h/h':>10}{'step ms':>9}{'waiting':>9}")
    for name, words in TOGETHER.items():
        config, normalizer = settle_texts(compose(manifest, noise, words))
        torch.manual_seed(1)
        model = build_model(config, build_tokenizer(config), normalizer)
        loader = make_loader(config, "train", model, build(config["augment"], "waveform"))
        stepper = make_stepper(config, model)
        stepper.precision = choose_precision("auto", model).name
        batches = loader.batches(1)
        stepper(next(batches), 0.0, 0)
        audio_s = waited = step_s = 0.0
        started = time.perf_counter()
        for number in range(num_steps):
            asked = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                break
            waited += time.perf_counter() - asked
            asked = time.perf_counter()
            stepper(batch, 1e-4, number)
            step_s += time.perf_counter() - asked
            audio_s += float(batch.waveform_lengths.sum()) / SAMPLE_RATE
        total = time.perf_counter() - started
        steps = number + (batch is not None)
        print(
            f"{name:<20}{audio_s / total:>10.0f}{1000 * step_s / steps:>9.0f}{waited / total:>9.1%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path, required=True, help="what to train on")
    parser.add_argument("--noise", type=Path, required=True, help="folder of noise")
    parser.add_argument("--steps", type=int, default=30)
    args = parser.parse_args()
    facts = environment()
    print(f"{facts['processor']}, {facts['num_threads']} threads, commit {facts['commit']}")
    measure_alone(args.manifest, args.noise)
    measure_steps(args.manifest, args.noise, args.steps)


if __name__ == "__main__":
    main()
