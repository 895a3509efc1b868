"""How late the words of live speech are, by the length of the pieces, and what they cost.

    python benchmarks/word_latency.py --checkpoint best.ckpt --fsdd-root data/fsdd [--strings 100]
    python benchmarks/word_latency.py --checkpoint best.ckpt --beam

The test strings of conf/data/fsdd_connected.yaml, each a stream of its own that goes on for two
seconds with the string's faint noise. Where a word ends is known to the sample: its clip's edge.
The clock is a virtual one. A piece arrives when its last sample was spoken; `push` and `partial`
begin then, or when those before are done, and take what they took of this thread's processor time,
so that other work on the machine does not count.

A word appears with the first `partial()` from which on it stands whole in its place, and is certain
when it is in `stable_text`. Words that are misheard in the end are in the error rate alone; the
last of each string stand apart, for a network may hold them back until the sound ends.
Streams of the table are one utterance each (endpoints=None), whose text is to be the file's; what
it becomes where silence ends utterances, and the network begins anew, is in the line above.
"""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from alignment_accuracy import known_boundaries
from streaming import pieces_of

from asr.acoustic.checkpoint import load_checkpoint
from asr.acoustic.streaming import latency
from asr.cli.environment import environment
from asr.cli.hydra_config import build, compose_config
from asr.corpora.connected_digits import ComposedUtterance
from asr.decoding import BeamSearchDecoder
from asr.evaluation.metrics import ErrorRate, align, word_error_rate
from asr.recognition.endpoints import DEFAULT_ENDPOINTS, Endpoints
from asr.recognition.recognizer import Recognizer

CHUNKS_MS = (40, 80, 160, 320, 640)
AFTER_S = 2.0
HEADER = (
    "piece, ms",
    "algorithmic, ms",
    "a word appears, median ms",
    "95th percentile",
    "it is certain, median ms",
    "the last word appears, median ms",
    "push, median ms",
    "95th percentile",
    "real-time factor",
    "WER %",
    "95 % interval",
    "texts other than the file's",
)


class Spoken(NamedTuple):
    """A string as it is streamed."""

    text: str
    waveform: np.ndarray  # (L,)
    ends_s: np.ndarray  # (words,) where each word's clip ends


class State(NamedTuple):
    """What a stream says at a time."""

    time_s: float
    words: list[str]
    num_certain: int


class Run(NamedTuple):
    """A string that went through a stream."""

    states: list[State]
    pushes_s: list[float]
    text: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--fsdd-root", type=Path, default=Path("data/fsdd"))
    parser.add_argument("--strings", type=int, default=400, help="of the test set, from its first")
    parser.add_argument("--beam", action="store_true", help="beam search instead of greedy")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_checkpoint(args.checkpoint)
    recognizer = Recognizer(model, BeamSearchDecoder(model.tokenizer.tokens) if args.beam else None)
    words = ["data=fsdd_connected", f"data.root={args.fsdd_root.resolve()}"]
    corpus = build(compose_config("train", words)["data"], "test")
    strings = [speak(u, model.sample_rate) for u in corpus.utterances(0)[: args.strings]]
    facts = environment()
    audio_s = sum(len(s.waveform) for s in strings) / model.sample_rate
    print(f"commit {facts['commit']}, {facts['processor']}, load {os.getloadavg()[0]:.1f}")
    print(f"{len(strings)} strings, {audio_s:.0f} s, {'beam' if args.beam else 'greedy'}, 1 thread")
    whole = describe_whole(recognizer, strings)
    print_with_endpoints(recognizer, strings)
    print(f"\n| {' | '.join(HEADER)} |\n|{'---:|' * len(HEADER)}")
    for chunk_ms in CHUNKS_MS:
        runs = [stream(recognizer, string.waveform, chunk_ms) for string in strings]
        ahead_ms = 1000 * latency(model).total_s + chunk_ms
        print(format_row(chunk_ms, ahead_ms, strings, runs, whole), flush=True)


def speak(utterance: ComposedUtterance, sample_rate: int) -> Spoken:
    noise = np.random.default_rng(utterance.noise_seed)
    after = noise.normal(0.0, utterance.noise_level, int(AFTER_S * sample_rate))
    waveform = np.concatenate([utterance.waveform(sample_rate), after]).astype(np.float32)
    return Spoken(utterance.text, waveform, known_boundaries(utterance)[:, 1])


def describe_whole(recognizer: Recognizer, strings: Sequence[Spoken]) -> list[str]:
    """Print the error rate of whole files, and when their words are emitted; return the texts."""
    found = [recognizer.transcribe(s.waveform, recognizer.sample_rate) for s in strings]
    rate = word_error_rate([s.text for s in strings], [t.text for t in found])
    print(f"whole files: {format_rate(rate)}")
    frame_s = recognizer.model.seconds_per_frame
    spikes = [
        (1000 * (transcript.words[heard].end_s - frame_s - end_s), end_s == string.ends_s[-1])
        for string, transcript in zip(strings, found, strict=True)
        for said, heard in hits(string.text, transcript.text)
        for end_s in [string.ends_s[said]]
    ]
    print("the frame of a word's last letter begins after the word's end by, ms, 5 / 50 / 95 % of")
    for name, is_last in (("words that another follows", False), ("last words", True)):
        late = [value for value, last in spikes if last == is_last]
        if not late:
            raise SystemExit(f"none of the {name} is heard as it was said: nothing to time")
        print(f"{name}: {' / '.join(f'{v:.0f}' for v in np.quantile(late, [0.05, 0.5, 0.95]))}")
    return [transcript.text for transcript in found]


def print_with_endpoints(recognizer: Recognizer, strings: Sequence[Spoken]) -> None:
    heard = [
        stream(recognizer, string.waveform, CHUNKS_MS[-1], DEFAULT_ENDPOINTS).text
        for string in strings
    ]
    rate = word_error_rate([s.text for s in strings], heard)
    print(f"utterances that silence ends: {format_rate(rate)}")


def format_rate(rate: ErrorRate) -> str:
    counts = f"{rate.insertions} / {rate.deletions} / {rate.substitutions}"
    low, high = f"{100 * rate.low:.2f}", f"{100 * rate.high:.2f}"
    return f"WER {100 * rate.rate:.2f} % ({low} - {high}), ins / del / sub {counts}"


def stream(
    recognizer: Recognizer,
    waveform: np.ndarray,
    chunk_ms: int,
    endpoints: Endpoints | None = None,
) -> Run:
    live = recognizer.stream(endpoints=endpoints)
    ended: list[str] = []
    states, pushes_s, arrived, free_s = [], [], 0, 0.0
    for piece in pieces_of(waveform, chunk_ms * recognizer.sample_rate // 1000):
        arrived += len(piece)
        started = time.thread_time()
        segments, known = live.push(piece), live.partial()
        pushes_s.append(time.thread_time() - started)
        free_s = max(arrived / recognizer.sample_rate, free_s) + pushes_s[-1]
        ended += [word for segment in segments for word in segment.text.split()]
        certain = len(ended) + len(known.stable_text.split())
        states.append(State(free_s, [*ended, *known.text.split()], certain))
    ended += [word for segment in live.finish() for word in segment.text.split()]
    return Run(states, pushes_s, " ".join(ended))


def hits(said: str, heard: str) -> list[tuple[int, int]]:
    """Places of words that were heard as they were said, in both texts."""
    found, i, j = [], 0, 0
    for ours, theirs in align(said.split(), heard.split()):
        if ours == theirs:
            found.append((i, j))
        i, j = i + (ours is not None), j + (theirs is not None)
    return found


def delays(string: Spoken, run: Run) -> list[tuple[float, float, bool]]:
    """Seconds from a word's end until it appears, and until it is certain; whether it is last."""
    found = []
    for said, heard in hits(string.text, run.text):
        word, end_s = run.text.split()[heard], string.ends_s[said]
        there = last_rise(run.states, [s.words[heard : heard + 1] == [word] for s in run.states])
        certain = last_rise(run.states, [s.num_certain > heard for s in run.states])
        found.append((there - end_s, certain - end_s, end_s == string.ends_s[-1]))
    return found


def last_rise(states: Sequence[State], flags: Sequence[bool]) -> float:
    """Time of the first state from which on all flags are set; infinite where the last is not."""
    unset = [place for place, flag in enumerate(flags) if not flag]
    first = unset[-1] + 1 if unset else 0
    return states[first].time_s if first < len(states) else np.inf


def format_row(
    chunk_ms: int,
    ahead_ms: float,
    strings: Sequence[Spoken],
    runs: Sequence[Run],
    whole: Sequence[str],
) -> str:
    late = [delay for s, run in zip(strings, runs, strict=True) for delay in delays(s, run)]
    appears, certain, is_last = np.array(late).T * [[1000], [1000], [1]]
    inner = is_last == 0
    last = np.median(appears[~inner])
    pushes = 1000 * np.concatenate([run.pushes_s for run in runs])
    audio_ms = sum(chunk_ms * len(run.pushes_s) for run in runs)
    rate = word_error_rate([s.text for s in strings], [run.text for run in runs])
    cells = [
        f"{chunk_ms}",
        f"{ahead_ms:.0f}",
        *(f"{value:.0f}" for value in np.quantile(appears[inner], [0.5, 0.95], method="higher")),
        f"{np.median(certain[inner]):.0f}",
        f"{last:.0f}" if np.isfinite(last) else "with finish()",
        *(f"{value:.1f}" for value in np.quantile(pushes, [0.5, 0.95])),
        f"{pushes.sum() / audio_ms:.3f}",
        f"{100 * rate.rate:.2f}",
        f"{100 * rate.low:.2f} - {100 * rate.high:.2f}",
        f"{sum(run.text != text for run, text in zip(runs, whole, strict=True))}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
