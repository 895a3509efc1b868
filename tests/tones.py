"""A language of tones and a tiny model that was trained to read it: real parts, in seconds.

A letter is a tone, a space is a silence. The model is honest: it is trained with the project's own
loss, saved and loaded as any other, and reads unseen tone texts almost without errors.
"""

import functools
import tempfile
from pathlib import Path

import numpy as np
import torch

from asr.acoustic.checkpoint import load_checkpoint, save_checkpoint
from asr.acoustic.model import AcousticModel, build_model
from asr.ctc import ctc_loss
from asr.text import CharTokenizer

SAMPLE_RATE = 8000
PITCH_HZ = {"a": 400.0, "b": 700.0, "c": 1200.0, "d": 2000.0}
TONE_S = 0.12
GAP_S = 0.06
SPACE_S = 0.24
ALPHABET = " abcd"
CONFIG = {
    "features": {
        "_target_": "asr.features.LogMel",
        "sample_rate": SAMPLE_RATE,
        "n_mels": 16,
        "win_length": 200,
        "hop_length": 80,
        "n_fft": 256,
        "f_min": 20.0,
        "f_max": 3800.0,
        "normalize": "utterance",
    },
    "model": {
        "_target_": "asr.models.DeepSpeech2",
        "conv_channels": [4, 8],
        "conv_kernels": [[5, 5], [5, 5]],
        "conv_strides": [[2, 2], [2, 2]],
        "cell": "gru",
        "num_layers": 1,
        "hidden_size": 16,
        "bidirectional": True,
        "lookahead": 0,
        "norm": "batch",
        "dropout": 0.0,
    },
}

# The one-directional form, whose features need no whole utterance.
STREAMING_CONFIG = {
    "features": CONFIG["features"] | {"normalize": "running", "running_s": 1.0},
    "model": CONFIG["model"] | {"bidirectional": False, "lookahead": 4},
}


def speak(text: str, rng: np.random.Generator) -> np.ndarray:
    """Turn a text into tones with a little noise: (L,) float32."""
    pieces = [np.zeros(int(0.1 * SAMPLE_RATE))]
    for character in text:
        if character == " ":
            pieces.append(np.zeros(int(SPACE_S * SAMPLE_RATE)))
            continue
        length = int(TONE_S * rng.uniform(0.9, 1.2) * SAMPLE_RATE)
        phase = 2 * np.pi * PITCH_HZ[character] * np.arange(length) / SAMPLE_RATE
        pieces += [0.3 * np.hanning(length) * np.sin(phase), np.zeros(int(GAP_S * SAMPLE_RATE))]
    pieces.append(np.zeros(int(0.1 * SAMPLE_RATE)))
    waveform = np.concatenate(pieces)
    return (waveform + 1e-3 * rng.standard_normal(len(waveform))).astype(np.float32)


def invent_text(rng: np.random.Generator, num_words: int) -> str:
    """Draw words of one to four letters."""
    words = ["".join(rng.choice(list("abcd"), rng.integers(1, 5))) for _ in range(num_words)]
    return " ".join(words)


def untrained_model(seed: int = 0, config: dict = CONFIG) -> AcousticModel:
    """A model of the tone language with random weights."""
    torch.manual_seed(seed)
    return build_model(config, CharTokenizer(ALPHABET))


@functools.cache
def checkpoint_path() -> Path:
    """Train the model once a session and return its checkpoint."""
    model = untrained_model()
    _train(model, num_steps=60)
    path = Path(tempfile.mkdtemp(prefix="tones-")) / "tones.ckpt"
    save_checkpoint(path, model)
    return path


@functools.cache
def streaming_checkpoint_path() -> Path:
    """As `checkpoint_path`, of a model that streams."""
    model = untrained_model(config=STREAMING_CONFIG)
    rng = np.random.default_rng(0)
    waveform = torch.from_numpy(speak(invent_text(rng, 10), rng))[None]
    model.features.fit([(waveform, torch.tensor([waveform.shape[1]]))])
    _train(model, num_steps=60, batch_size=8)
    path = Path(tempfile.mkdtemp(prefix="tones-")) / "streaming.ckpt"
    save_checkpoint(path, model)
    return path


def trained_model() -> AcousticModel:
    """A fresh copy of the trained model."""
    return load_checkpoint(checkpoint_path())


def _train(model: AcousticModel, num_steps: int, batch_size: int = 16) -> None:
    rng = np.random.default_rng(0)
    model.network.train()
    optimizer = torch.optim.AdamW(model.network.parameters(), lr=0.01)
    for _ in range(num_steps):
        texts = [invent_text(rng, rng.integers(1, 5)) for _ in range(batch_size)]
        waveforms = [torch.from_numpy(speak(text, rng)) for text in texts]
        lengths = torch.tensor([len(w) for w in waveforms])
        padded = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
        with torch.no_grad():
            features, feature_lengths = model.features(padded, lengths)
        logits, output_lengths = model.network(features, feature_lengths)
        targets = [torch.tensor(model.tokenizer.encode(text)) for text in texts]
        loss = ctc_loss(
            logits,
            torch.cat(targets),
            output_lengths,
            torch.tensor([len(t) for t in targets]),
            from_logits=True,
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.network.eval()
