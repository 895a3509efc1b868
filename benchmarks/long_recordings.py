"""Long recordings: peak memory of `asr transcribe`, and errors against separate utterances.

    python benchmarks/long_recordings.py
    python benchmarks/long_recordings.py --minutes 10 60 --rates 16000 --checkpoint best.ckpt
    python benchmarks/long_recordings.py --checkpoint best.ckpt --manifest test.jsonl --lm lm.arpa
    python benchmarks/long_recordings.py --checkpoint best.ckpt --manifest dev.jsonl --noise sounds

Each recording is written to a temporary folder and transcribed in a process of its own. Without a
manifest it is noise in bursts; without a checkpoint the network is small and untrained: what grows
with the length of a recording (samples, chunks, log-probabilities, words) does not depend on its
weights. With a manifest recordings are its utterances in random order, with pauses of 0 to 2 s of
silence between them, and first all utterances, joined once or until they last --joined-minutes, are
compared with the same utterances one by one. What a joined recording loses has two causes, which
pieces that end in the middle of every pause keep apart: there no cut is wrong, but utterances begin
anywhere in an output frame, and with silence around them. `--cut energy silero` compares what finds
the pauses.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

if TYPE_CHECKING:
    from asr.recognition.transcripts import Transcript

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
    parser.add_argument("--joined-minutes", type=float, default=0, help="at least; 0 for once")
    parser.add_argument("--cut", nargs="+", default=["energy"], help="as asr transcribe")
    parser.add_argument("--noise", type=Path, help="a folder of sounds, added to what is joined")
    parser.add_argument("--snr-db", type=float, default=10.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = args.checkpoint or save_small_model(Path(folder) / "small.ckpt")
        if args.manifest:
            compare_errors(args, Path(folder) / "joined.wav", checkpoint)
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
                peak = transcribe(path, checkpoint, args.lm, args.cut[0])
                first = first or peak
                print(
                    f"{minutes:7d}  {rate:6d}  {peak / 1e6:8.0f}  {peak / first:11.2f}", flush=True
                )
                assert peak <= MAX_RATIO * first, "memory grows with the recording"


def compare_errors(args: argparse.Namespace, path: Path, checkpoint: Path) -> None:
    """Print error rates of utterances one by one and joined, greedily and with the model."""
    import asr

    texts, spans = write_joined(path, args.manifest, 60 * args.joined_minutes)
    waveform, _ = soundfile.read(path, dtype="float32")
    print(f"{len(texts)} utterances, {len(waveform) / RATE / 60:.1f} minutes when joined")
    if args.noise:
        waveform = add_noise(waveform, args.noise, args.snr_db)
    losses = []
    for lm in [None, args.lm] if args.lm else [None]:
        print("greedy:" if lm is None else f"with {lm.name}:")
        recognizer = asr.load(checkpoint, lm=lm)
        apart = [(begin, end) for begin, end, _ in spans]
        whole = pieces(spans, recognizer.model.samples_per_frame)
        rates = [
            show_rate(name, texts, recognizer.transcribe([waveform[b:e] for b, e in borders], RATE))
            for name, borders in {"one by one": apart, "cut in every pause": whole}.items()
        ]
        for cut in args.cut:
            joined = asr.load(checkpoint, lm=lm, cut=cut).transcribe(waveform, RATE)
            rate = show_rate(f"joined, cut by {cut}", texts, [joined])
            shares = [100 * (rates[1] - rates[0]), 100 * (rate - rates[1])]
            print("    lost by joining {:.2f} points, by cutting {:.2f}".format(*shares))
            losses.append(rate - rates[0])
    if not args.noise:
        assert max(losses) <= MAX_LOSS, "joined utterances have more errors than single ones"


def show_rate(name: str, texts: list[str], found: "list[Transcript]") -> float:
    """Print and return the word error rate of transcripts one after the other."""
    from asr.evaluation.metrics import word_error_rate

    rate = word_error_rate([" ".join(texts)], [" ".join(t.text for t in found)])
    print(f"  {name:22} WER {100 * rate.rate:5.2f} %  ins / del / sub {rate[1:4]}", flush=True)
    return rate.rate


def add_noise(waveform: np.ndarray, folder: Path, snr_db: float) -> np.ndarray:
    """Add the sounds of a folder, one after the other, all equally strong."""
    from asr.augment.noise import mix
    from asr.augment.sounds import SoundFolder

    sounds, rng = SoundFolder(folder, RATE, piece_s=5.0, memory_mb=64), np.random.default_rng(2)
    parts, size = [], 0
    while size < len(waveform):
        sound = sounds.draw(rng)
        if len(sound):
            parts.append(sound / np.sqrt(np.square(sound, dtype=np.float64).mean()))
            size += len(sound)
    noise = np.concatenate(parts)[: len(waveform)].astype(np.float32)
    noisy = mix(waveform, noise, snr_db, RATE)
    return noisy / max(1.0, float(np.abs(noisy).max()))


def pieces(spans: list[tuple[int, int, int]], frame_samples: int) -> list[tuple[int, int]]:
    """Borders in the middle of every pause, at the output frame that is nearest."""
    middles = [(end + after) // 2 for _, end, after in spans[:-1]]
    cuts = [(middle + frame_samples // 2) // frame_samples * frame_samples for middle in middles]
    return list(zip([0, *cuts], [*cuts, spans[-1][2]], strict=True))


def in_order(count: int) -> list[int]:
    """The order in which utterances are joined."""
    return np.random.default_rng(0).permutation(count).tolist()


def write_joined(
    path: Path, manifest: Path, least_s: float = 0.0
) -> tuple[list[str], list[tuple[int, int, int]]]:
    """Join utterances, once or until they last so long.

    Returns:
        Their texts; of each where it begins and ends and where its pause ends, in samples.
    """
    rng = np.random.default_rng(1)
    texts, spans, written = [], [], 0
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        while not written or written < least_s * RATE:
            for text, waveform in read_in_order(manifest):
                pause = np.zeros(int(rng.uniform(0, MAX_PAUSE_S) * RATE), np.float32)
                file.write(np.concatenate([waveform, pause]))
                end = written + len(waveform)
                texts.append(text)
                spans.append((written, end, end + len(pause)))
                written = spans[-1][2]
                if 0 < least_s * RATE <= written:
                    break
    return texts, spans


def read_in_order(manifest: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Texts and waveforms of a manifest."""
    from asr.data.manifest import read_manifest

    utterances = list(read_manifest(manifest))
    for i in in_order(len(utterances)):
        yield utterances[i].text, utterances[i].waveform(RATE)


def write_noise(path: Path, seconds: int, rate: int) -> None:
    """Write bursts of noise, a second each, with pauses of half a second."""
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as file:
        for second in range(seconds):
            noise = 0.1 * rng.standard_normal(rate)
            noise[: rate // 2] *= second % 2
            file.write(noise)


def transcribe(path: Path, checkpoint: Path, lm: Path | None, cut: str) -> int:
    """Run the command and return the most bytes that it held."""
    words = [sys.executable, "-m", "asr", "transcribe", str(path), "--checkpoint", str(checkpoint)]
    words += ["--cut", cut, *(["--lm", str(lm)] if lm else [])]
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
