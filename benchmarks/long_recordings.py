"""Long recordings: peak memory of `asr transcribe`, and errors against separate utterances.

    python benchmarks/long_recordings.py
    python benchmarks/long_recordings.py --minutes 10 60 --rates 16000 --checkpoint best.ckpt
    python benchmarks/long_recordings.py --checkpoint best.ckpt --manifest test.jsonl --lm lm.arpa

Each recording is written to a temporary folder and transcribed in a process of its own. Without a
manifest it is noise in bursts; without a checkpoint the network is small and untrained: what grows
with the length of a recording (samples, chunks, log-probabilities, words) does not depend on its
weights. With a manifest recordings are its utterances in random order, with pauses of 0 to 2 s of
silence between them, and first all utterances, joined once, are compared with the same utterances
one by one.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

MAX_RATIO = 1.2
MAX_LOSS = 0.003
MAX_PAUSE_S = 2.0
RATE = 16000


def main() -> None:
    """Measure and print a row for each recording."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, nargs="*", default=[10, 180])
    parser.add_argument("--rates", type=int, nargs="+", default=[16000, 44100])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--lm", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = args.checkpoint or save_small_model(Path(folder) / "small.ckpt")
        if args.manifest:
            compare_errors(Path(folder) / "joined.wav", checkpoint, args.manifest, args.lm)
        if args.minutes:
            print(f"{'minutes':>7}  {'Hz':>6}  {'peak MB':>8}  {'to shortest':>11}")
        for rate in [RATE] if args.manifest else args.rates:
            first = 0.0
            for minutes in args.minutes:
                path = Path(folder) / "long.wav"
                if args.manifest:
                    write_joined(path, args.manifest, 60 * minutes)
                else:
                    write_noise(path, 60 * minutes, rate)
                peak = transcribe(path, checkpoint, args.lm)
                first = first or peak
                print(
                    f"{minutes:7d}  {rate:6d}  {peak / 1e6:8.0f}  {peak / first:11.2f}", flush=True
                )
                assert peak <= MAX_RATIO * first, "memory grows with the recording"


def compare_errors(path: Path, checkpoint: Path, manifest: Path, lm: Path | None) -> None:
    """Print error rates of all utterances one by one, and joined, greedily and with the model."""
    import asr
    from asr.data.manifest import read_manifest
    from asr.evaluation.metrics import word_error_rate

    utterances = list(read_manifest(manifest))
    seconds = write_joined(path, manifest)
    print(f"{len(utterances)} utterances, {seconds / 60:.1f} minutes when joined")
    losses = []
    for model in [None, lm] if lm else [None]:
        recognizer = asr.load(checkpoint, lm=model)
        order = in_order(len(utterances))
        texts = [utterances[i].text for i in order]
        apart = [
            t.text for t in recognizer.transcribe([utterances[i].audio_filepath for i in order])
        ]
        joined = recognizer.transcribe(path).text
        rates = [
            word_error_rate(texts, apart),
            word_error_rate([" ".join(texts)], [joined]),
            word_error_rate([" ".join(apart)], [joined]),
        ]
        print(f"{'greedy' if model is None else 'with ' + model.name}:")
        for name, rate in zip(
            ("one by one", "joined", "joined against one by one"), rates, strict=True
        ):
            print(f"  {name:26} WER {100 * rate.rate:5.2f} %  ins / del / sub {rate[1:4]}")
        losses.append(rates[1].rate - rates[0].rate)
    assert max(losses) <= MAX_LOSS, "joined utterances have more errors than single ones"


def in_order(count: int) -> list[int]:
    """The order in which utterances are joined."""
    return np.random.default_rng(0).permutation(count).tolist()


def write_joined(path: Path, manifest: Path, least_s: float = 0.0) -> float:
    """Join utterances, once or until they last so long; return seconds."""
    rng = np.random.default_rng(1)
    written = 0
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        while not written or written < least_s * RATE:
            for waveform in read_in_order(manifest):
                pause = np.zeros(int(rng.uniform(0, MAX_PAUSE_S) * RATE), np.float32)
                file.write(np.concatenate([waveform, pause]))
                written += len(waveform) + len(pause)
                if 0 < least_s * RATE <= written:
                    break
    return written / RATE


def read_in_order(manifest: Path) -> Iterator[np.ndarray]:
    """Waveforms of a manifest."""
    from asr.data.manifest import read_manifest

    utterances = list(read_manifest(manifest))
    for i in in_order(len(utterances)):
        yield utterances[i].waveform(RATE)


def write_noise(path: Path, seconds: int, rate: int) -> None:
    """Write bursts of noise, a second each, with pauses of half a second."""
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as file:
        for second in range(seconds):
            noise = 0.1 * rng.standard_normal(rate)
            noise[: rate // 2] *= second % 2
            file.write(noise)


def transcribe(path: Path, checkpoint: Path, lm: Path | None) -> int:
    """Run the command and return the most bytes that it held."""
    words = [sys.executable, "-m", "asr", "transcribe", str(path), "--checkpoint", str(checkpoint)]
    words += ["--lm", str(lm)] if lm else []
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
