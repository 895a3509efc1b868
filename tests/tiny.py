"""A corpus of tones and a network so small that training it takes a second."""

import numpy as np
import soundfile

from asr.cli.hydra_config import compose_config
from asr.cli.train import train
from asr.data.manifest import Utterance, write_manifest

ALPHABET = " abc"
TONES = {"a": 300.0, "b": 900.0, "c": 2000.0, " ": 0.0}


def render(text, rng, sample_rate=16000):
    """Say each letter as 0.16 s of its tone, in faint noise."""
    size = int(0.16 * sample_rate)
    time = np.arange(size) / sample_rate
    parts = [0.3 * np.sin(2 * np.pi * TONES[letter] * time) for letter in text]
    silence = np.zeros(size // 2)
    waveform = np.concatenate([silence, *parts, silence])
    return waveform + rng.normal(0, 0.005, len(waveform))


def make_corpus(folder, num_train=24, num_dev=6, seed=0):
    """Write train.jsonl and dev.jsonl with their audio."""
    rng = np.random.default_rng(seed)
    for split, count in (("train", num_train), ("dev", num_dev)):
        utterances = []
        for n in range(count):
            letters = rng.choice(list("abc"), rng.integers(2, 6))
            # Neighbours differ, so that CTC needs no blank between them.
            text = "".join(c for c, d in zip(letters, ["", *letters], strict=False) if c != d)
            path = folder / split / f"{split}{n}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            waveform = render(text, rng)
            soundfile.write(path, waveform, 16000)
            utterances.append(Utterance(path, len(waveform) / 16000, text, {"id": f"{split}{n}"}))
        write_manifest(folder / f"{split}.jsonl", utterances)


def overrides(folder, run_dir, **changes):
    """Words of `asr train` for this corpus; networks other than DeepSpeech2 come as they are."""
    options = {
        "data": "manifest",
        "data.train_manifest": folder / "train.jsonl",
        "data.dev_manifest": folder / "dev.jsonl",
        "tokenizer.alphabet": "' abc'",
        "features.n_mels": 20,
        "model.conv_channels": "[4,4]",
        "model.hidden_size": 8,
        "model.num_layers": 1,
        "loading.batch_seconds": 4,
        "trainer.precision": "float32",
        "trainer.show_samples": 0,
        "trainer.max_epochs": 2,
        # More than a tiny run takes: its metrics are of epochs.
        "trainer.log_every": 1000,
        "run_dir": run_dir,
    }
    if not str(changes.get("model", "ds2_lstm")).startswith("ds2_"):
        options = {key: value for key, value in options.items() if not key.startswith("model.")}
    options |= {key.replace("__", "."): value for key, value in changes.items()}
    return [f"{key}={value}" for key, value in options.items()]


def fit(folder, run_dir, **changes):
    """Train as overrides() say; return the dev scores of the best model."""
    return train(compose_config("train", overrides(folder, run_dir, **changes)))


# Front ends and networks that overrides() knows nothing of, and what goes with them.
KINDS = {
    "mfcc": {"features": "mfcc"},
    "spectrogram": {"features": "spectrogram"},
    "running": {"features.normalize": "running"},
    "neighbours": {"features.deltas": 2, "features.context": 1},
    "frame_net": {"features": "logmel24_deltas", "model": "frame_net", "model.num_layers": 2},
    "raw_conv": {"features": "raw", "model": "raw_conv", "model.filters.size": 51},
    "sincnet": {"features": "raw", "model": "sincnet", "model.filters.size": 51},
}


def overrides_of(kind, folder, run_dir, **changes):
    """Words of `asr train` for one of KINDS, as small as overrides()."""
    choices = KINDS[kind]
    words = overrides(folder, run_dir, **changes)
    if choices.get("features") in ("spectrogram", "raw"):
        words.remove("features.n_mels=20")
    if choices.get("features") == "raw":
        body = ("model.conv", "model.hidden", "model.num_layers")
        words = [w.replace("model.", "model.body.") if w.startswith(body) else w for w in words]
    elif choices.get("model") == "frame_net":
        words = [w for w in words if not w.startswith(("model.conv", "model.num_layers"))]
    return [*words, *(f"{key}={value}" for key, value in choices.items())]
