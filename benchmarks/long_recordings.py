"""Peak memory of `asr transcribe` on recordings of 10 minutes and of 3 hours.

    python benchmarks/long_recordings.py
    python benchmarks/long_recordings.py --minutes 10 60 --rates 16000 --checkpoint best.ckpt

Each recording is noise in bursts, written to a temporary folder and transcribed in a process of
its own. Without a checkpoint the network is small and untrained: what grows with the length of a
recording (samples, chunks, log-probabilities, words) does not depend on its weights.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

MAX_RATIO = 1.2


def main() -> None:
    """Measure and print a row for each recording."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, nargs="+", default=[10, 180])
    parser.add_argument("--rates", type=int, nargs="+", default=[16000, 44100])
    parser.add_argument("--checkpoint", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = args.checkpoint or save_small_model(Path(folder) / "small.ckpt")
        print(f"{'minutes':>7}  {'Hz':>6}  {'peak MB':>8}  {'to shortest':>11}")
        for rate in args.rates:
            first = 0.0
            for minutes in args.minutes:
                path = Path(folder) / "noise.wav"
                write_noise(path, 60 * minutes, rate)
                peak = transcribe(path, checkpoint)
                first = first or peak
                print(
                    f"{minutes:7d}  {rate:6d}  {peak / 1e6:8.0f}  {peak / first:11.2f}", flush=True
                )
                assert peak <= MAX_RATIO * first, "memory grows with the recording"


def write_noise(path: Path, seconds: int, rate: int) -> None:
    """Write bursts of noise, a second each, with pauses of half a second."""
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as file:
        for second in range(seconds):
            noise = 0.1 * rng.standard_normal(rate)
            noise[: rate // 2] *= second % 2
            file.write(noise)


def transcribe(path: Path, checkpoint: Path) -> int:
    """Run the command and return the most bytes that it held."""
    words = [sys.executable, "-m", "asr", "transcribe", str(path), "--checkpoint", str(checkpoint)]
    with Path(os.devnull).open("wb") as nothing:
        actions = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), 1)]
        process = os.posix_spawn(words[0], words, os.environ, file_actions=actions)
        _, status, usage = os.wait4(process, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return usage.ru_maxrss * 1024


def save_small_model(path: Path) -> Path:
    """Save a network with random weights."""
    from asr.acoustic.checkpoint import save_checkpoint
    from asr.acoustic.model import build_model
    from asr.text import CharTokenizer

    config = {
        "features": {
            "_target_": "asr.features.LogMel",
            "sample_rate": 16000,
            "n_mels": 40,
            "win_length": 400,
            "hop_length": 160,
            "n_fft": 512,
            "f_min": 20.0,
            "f_max": 7600.0,
            "normalize": "utterance",
        },
        "model": {
            "_target_": "asr.models.DeepSpeech2",
            "conv_channels": [8, 8],
            "conv_kernels": [[5, 5], [5, 5]],
            "conv_strides": [[2, 2], [2, 2]],
            "cell": "gru",
            "num_layers": 1,
            "hidden_size": 32,
            "bidirectional": True,
            "lookahead": 0,
            "norm": "batch",
            "dropout": 0.0,
        },
    }
    save_checkpoint(path, build_model(config, CharTokenizer(" abcdefghijklmnopqrstuvwxyz'")))
    return path


if __name__ == "__main__":
    main()
