"""Live recognition: how late text is, and what it costs, by the length of the pieces.

    python benchmarks/streaming.py [--checkpoint best.ckpt] [--audio speech.wav] [--seconds 30]
    python benchmarks/streaming.py --minutes 60 [--piece 160]     # the memory of a long stream

Without a checkpoint the network of experiment=streaming_digits with random weights, without a
recording faint noise with bursts. First, log-probabilities in pieces of each length are compared
with those of the whole. Algorithmic latency is how much sound must follow the beginning of an
output frame before the frame can be computed. A piece's latency is the time of one `push`, with
one thread its processor time, so that other work on the machine does not count.
How late words are, and what they lose: benchmarks/word_latency.py.
"""

import argparse
import itertools
import statistics
import string
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from peak_memory import status

from asr.acoustic.checkpoint import load_checkpoint
from asr.acoustic.model import AcousticModel, build_model
from asr.acoustic.streaming import AcousticStream, advance_streams, latency
from asr.audio import read_audio
from asr.cli.hydra_config import compose_config
from asr.recognition.recognizer import Recognizer
from asr.text import CharTokenizer

CHUNKS_MS = (20, 40, 80, 160, 320, 640)
STREAMS = (1, 4, 16, 64)
STEP_MS = 160
COMPARED_S = 10
Clock = Callable[[], float]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--checkpoint", type=Path)
    arguments.add_argument("--audio", type=Path)
    arguments.add_argument("--seconds", type=float, default=30.0, help="of audio for each row")
    arguments.add_argument("--minutes", type=int, help="of one stream, whose memory is printed")
    arguments.add_argument("--piece", type=int, default=STEP_MS, help="of that stream, ms")
    arguments.add_argument("--threads", type=int, default=1)
    args = arguments.parse_args()
    torch.set_num_threads(args.threads)
    model = make_model() if args.checkpoint is None else load_checkpoint(args.checkpoint)
    audio = find_audio(args.audio, args.seconds, model.sample_rate)
    if args.minutes is not None:
        print_memory(Recognizer(model), audio, args.minutes, args.piece)
        return
    compare(model, audio[: COMPARED_S * model.sample_rate])
    print_algorithmic(model)
    print(f"\n{len(audio) / model.sample_rate:.0f} s of audio, {args.threads} threads, greedy")
    clock = time.thread_time if args.threads == 1 else time.perf_counter
    print_chunks(Recognizer(model), audio, clock)
    print_batches(Recognizer(model), audio, clock)


def make_model() -> AcousticModel:
    config = compose_config("train", ["experiment=streaming_digits"])
    torch.manual_seed(1)
    return build_model(config, CharTokenizer(" " + string.ascii_lowercase))


def find_audio(path: Path | None, seconds: float, sample_rate: int) -> np.ndarray:
    """A recording again and again, or noise."""
    if path is not None:
        waveform = read_audio(path, sample_rate).waveform
        return np.resize(waveform, int(seconds * sample_rate))
    time_s = np.arange(int(seconds * sample_rate)) / sample_rate
    loud = np.where(time_s % 3 < 2, 0.1, 0.001)
    noise = np.random.default_rng(0).standard_normal(len(time_s))
    return (loud * noise).clip(-1, 1).astype(np.float32)


def pieces_of(audio: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (audio[start : start + size] for start in range(0, len(audio), size))


def compare(model: AcousticModel, audio: np.ndarray) -> None:
    rows, lengths = model.log_probs(torch.from_numpy(audio)[None], torch.tensor([len(audio)]))
    for chunk_ms in CHUNKS_MS:
        stream, parts = AcousticStream(model), []
        for piece in pieces_of(audio, chunk_ms * model.sample_rate // 1000):
            stream.push(piece)
            parts += advance_streams([stream])
        stream.finish()
        parts += advance_streams([stream])
        torch.testing.assert_close(torch.cat(parts), rows[0, : lengths[0]], atol=1e-4, rtol=0)
    print(f"log-probabilities in pieces of {CHUNKS_MS} ms equal those of the whole to 1e-4")


def print_algorithmic(model: AcousticModel) -> None:
    parts = latency(model)
    frame_ms = 1000 * model.seconds_per_frame
    print(f"\n| algorithmic latency, an output frame of {frame_ms:.0f} ms | ms |")
    print("|---|---|")
    for name, seconds in parts._asdict().items():
        print(f"| {name.removesuffix('_s')} | {1000 * seconds:.1f} |")
    print(f"| together | {1000 * parts.total_s:.1f} |")


def print_chunks(recognizer: Recognizer, audio: np.ndarray, clock: Clock) -> None:
    print("\n| piece, ms | push, median ms | push, 95th percentile ms | real-time factor |")
    print("|---|---|---|---|")
    for chunk_ms in CHUNKS_MS:
        stream, times = recognizer.stream(), []
        for piece in pieces_of(audio, chunk_ms * recognizer.sample_rate // 1000):
            started = clock()
            stream.push(piece)
            stream.partial()
            times.append(clock() - started)
        median, high = 1000 * statistics.median(times), 1000 * np.quantile(times, 0.95)
        factor = sum(times) * recognizer.sample_rate / len(audio)
        print(f"| {chunk_ms} | {median:.1f} | {high:.1f} | {factor:.3f} |")


def print_batches(recognizer: Recognizer, audio: np.ndarray, clock: Clock) -> None:
    size = STEP_MS * recognizer.sample_rate // 1000
    print(f"\n| streams, pieces of {STEP_MS} ms | a step, median ms | streams in real time |")
    print("|---|---|---|")
    for count in STREAMS:
        streams = [recognizer.stream() for _ in range(count)]
        times = []
        for piece in pieces_of(audio[: len(audio) // 2], size):
            started = clock()
            for stream in streams:
                stream.accept(piece)
            recognizer.step(streams)
            times.append(clock() - started)
        capacity = count * len(times) * STEP_MS / 1000 / sum(times)
        print(f"| {count} | {1000 * statistics.median(times):.1f} | {capacity:.0f} |")


def print_memory(recognizer: Recognizer, audio: np.ndarray, minutes: int, piece_ms: int) -> None:
    stream = recognizer.stream()
    pieces = itertools.cycle([*pieces_of(audio, piece_ms * recognizer.sample_rate // 1000)])
    print(f"| minutes of one stream, pieces of {piece_ms} ms | resident memory, MB | peak, MB |")
    print("|---|---|---|")
    for minute in range(1, minutes + 1):
        while stream.duration_s < 60 * minute:
            stream.push(next(pieces))
            stream.partial()
        if minute in (1, 10, minutes):
            resident, peak = status("VmRSS") / 1024, status("VmHWM") / 1024
            print(f"| {minute} | {resident:.1f} | {peak:.1f} |", flush=True)


if __name__ == "__main__":
    main()
