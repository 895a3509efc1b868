"""What damaged files, kills and signals do: one table of counts, as in docs/reliability.md.

    python tests/reliability.py                          minutes
    python tests/reliability.py --files 200 --kills 2    a quick look
    python tests/reliability.py --seed 7                 other cases

Every file that the project reads is damaged in many ways (bytes flipped, cut, doubled, inserted,
blanked) and read in another process. Good is: it is read, or refused by the one exception of its
kind. Training is killed and signalled at random moments and resumed each time. Ends with 1 when
anything else happened.
"""

import argparse
import collections
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

sys.path[:0] = [str(Path(__file__).parent)]

SLOW_S = 10.0
LARGE_MIB = 1024
TESTS = Path(__file__).parent


class Kind(NamedTuple):
    """A kind of file: an intact one, how it is read, and how it may be refused."""

    name: str
    intact: Path
    read: Callable[[Path], object]
    refusals: tuple[type[Exception], ...]


def read_audio(path):
    from asr.audio import read_audio

    return read_audio(path, 16000)


def read_checkpoint(path):
    from asr.acoustic.checkpoint import load_checkpoint

    return load_checkpoint(path)


def read_manifest(path):
    from asr.data.manifest import read_manifest

    return read_manifest(path)


def read_language_model(path):
    from asr.decoding import NGramLM

    lm = NGramLM(path)
    score = lm.score("ab cab zz")
    assert not np.isnan(score), "the score is NaN"
    return score


def read_emissions(path):
    from asr.tuning.emissions import read_emissions

    return read_emissions(path)


def read_vocabulary(path):
    from asr.decoding.vocabulary import read_vocabulary

    return read_vocabulary(path)


def read_grammar(path):
    from asr.decoding import BeamSearchDecoder

    return BeamSearchDecoder(["<blank>", *" abcdefghijklmnopqrstuvwxyz"], grammar=path)


def read_lexicon(path):
    from asr.decoding import BeamSearchDecoder

    return BeamSearchDecoder(["<blank>", " ", "a", "b", "c", "d"], lexicon=path)


AUDIO = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
}


def make_kinds(folder: Path) -> list[Kind]:
    """Write an intact file of every kind."""
    kinds = []
    waveform = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    for suffix, (form, subtype) in AUDIO.items():
        path = folder / f"intact.{suffix}"
        soundfile.write(path, waveform, 16000, format=form, subtype=subtype)
        kinds.append(Kind(f"audio, {suffix}", path, read_audio, (ValueError,)))
    readers = {
        "checkpoint": (write_checkpoint(folder / "model.ckpt"), read_checkpoint),
        "manifest": (write_manifest(folder / "manifest.jsonl"), read_manifest),
        "log-probabilities": (write_emissions(folder / "p.safetensors"), read_emissions),
    }
    kinds += [Kind(name, *pair, (ValueError,)) for name, pair in readers.items()]
    texts = {
        "vocabulary, JSON": ("v.json", '{"<pad>": 0, "|": 1, "a": 2, "b": 3}', read_vocabulary),
        "vocabulary, text": ("tokens.txt", "<blk> 0\n\u2581 1\na 2\nb 3\n", read_vocabulary),
        "grammar": (
            "commands.jsgf",
            "#JSGF V1.0; grammar g; public <s> = (turn | switch) [the] light (on | off);\n",
            read_grammar,
        ),
        "lexicon": ("lexicon.txt", "ab a b\ncab c a b\nbad\n", read_lexicon),
    }
    for name, (file, text, read) in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
        kinds.append(Kind(name, folder / file, read, (ValueError, OSError)))
    for name, path in write_language_models(folder).items():
        kinds.append(Kind(name, path, read_language_model, (ValueError, OSError)))
    return kinds


def write_checkpoint(path: Path) -> Path:
    import tones

    from asr.acoustic.checkpoint import save_checkpoint

    save_checkpoint(path, tones.untrained_model())
    return path


def write_manifest(path: Path) -> Path:
    from asr.data.manifest import Utterance, write_manifest

    clips = [path.parent / f"clip{n}.wav" for n in range(20)]
    write_manifest(path, [Utterance(clip, 1.5, "a b", {"speaker": "s"}) for clip in clips])
    return path


def write_emissions(path: Path) -> Path:
    from noisy_words import make_emissions

    from asr.tuning.emissions import save_emissions

    made = make_emissions(5)
    save_emissions(path, made.log_probs, made.references, made.tokens, ids=made.ids)
    return path


def write_language_models(folder: Path) -> dict[str, Path]:
    from noisy_words import write_bigram

    from asr.decoding import NGramLM

    arpa, compiled = write_bigram(folder / "lm.arpa"), folder / "lm.bin"
    NGramLM(arpa).save(compiled)
    return {"language model, ARPA": arpa, "language model, compiled": compiled}


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a file's bytes in one to eight places, in one of many ways."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        size = len(data)
        if size == 0:
            break
        # Headers are where readers trust what they read.
        at = int(rng.integers(0, min(size, 256)) if rng.random() < 0.5 else rng.integers(0, size))
        span = int(rng.integers(1, 33))
        how = rng.integers(0, 7)
        if how == 0:
            data[at] ^= 1 << int(rng.integers(0, 8))
        elif how == 1:
            data[at : at + span] = rng.bytes(span)
        elif how == 2:
            del data[at:]
        elif how == 3:
            del data[at : at + span]
        elif how == 4:
            data[at:at] = data[at : at + span]
        elif how == 5:
            data[at : at + span] = bytes([int(rng.choice([0, 255, 57, 91, 123]))]) * span
        else:
            data[at:at] = rng.choice([b"9" * 20, b"-1", b"1e300", b"nan", b"[" * 3000, b"\n", b'"'])
    return bytes(data)


def hush() -> None:
    """Send what codecs print to nowhere; runs in each process that reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def try_file(kind: Kind, seed: tuple[int, ...], folder: Path) -> str:
    """Read one damaged file; return what happened in a word."""
    path = folder / f"{os.getpid()}{kind.intact.suffix}"
    path.write_bytes(damage(kind.intact.read_bytes(), np.random.default_rng(seed)))
    started = time.monotonic()
    try:
        kind.read(path)
        outcome = "read"
    except kind.refusals as error:
        outcome = "refused" if str(error).strip() else "refused without a reason"
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"[:200]
    if time.monotonic() - started > SLOW_S:
        return "slow"
    if peak_mib() > LARGE_MIB:
        return "large"
    return outcome


def peak_mib() -> float:
    """Peak of this process's memory so far."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else 0.0


def damage_files(kinds: list[Kind], cases: int, seed: int, folder: Path) -> bool:
    """Print a row a kind; return whether all went well."""
    print("| file | damaged | read all the same | refused in one line | anything else |")
    print("|---|---:|---:|---:|---|")
    good = True
    for number, kind in enumerate(kinds):
        outcomes: collections.Counter[str] = collections.Counter()
        try:
            with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
                jobs = [
                    pool.submit(try_file, kind, (seed, number, n), folder) for n in range(cases)
                ]
                for job in as_completed(jobs):
                    outcomes[job.result()] += 1
        except BrokenProcessPool:
            outcomes["a process died"] += 1
        read, refused = outcomes.pop("read", 0), outcomes.pop("refused", 0)
        rest = "; ".join(f"{count} {what}" for what, count in outcomes.most_common(5)) or "0"
        print(f"| {kind.name} | {cases} | {read} | {refused} | {rest} |", flush=True)
        good &= not outcomes
    return good


def start_training(folder: Path, run_dir: Path, *words: str) -> subprocess.Popen:
    from tiny import overrides

    options = overrides(folder, run_dir, trainer__max_epochs=400, trainer__patience=400)
    options += ["resume=auto", "trainer.checkpoint_minutes=0.002", *words]
    return subprocess.Popen(
        [sys.executable, "-m", "asr", "train", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_training(corpus: Path, folder: Path, kills: int, rng: np.random.Generator) -> bool:
    """Kill one training over and over, by SIGKILL, SIGTERM and SIGINT in turn."""
    from asr.acoustic.checkpoint import load_checkpoint

    run_dir, last = folder / "killed", folder / "killed/ckpt/last.ckpt"
    unreadable = wrong_code = late = lost = 0
    step = -1
    for number in range(3 * kills):
        sign = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[number % 3]
        process = start_training(corpus, run_dir)
        before = last.stat().st_mtime_ns if last.exists() else 0
        while (
            process.poll() is None and (last.stat().st_mtime_ns if last.exists() else 0) == before
        ):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.5))
        started = time.monotonic()
        process.send_signal(sign)
        _, errors = process.communicate(timeout=60)
        late += time.monotonic() - started > 10
        expected = -sign if sign == signal.SIGKILL else 128 + sign
        if process.returncode != expected:
            wrong_code += 1
            print(errors[-500:], file=sys.stderr)
        try:
            load_checkpoint(last)
            _, now = read_step(last)
            lost += now < step
            step = now
        except ValueError as error:
            unreadable += 1
            print(error, file=sys.stderr)
    left = [path.name for path in run_dir.rglob("*.tmp")]
    print(f"\n{kills} each of SIGKILL, SIGTERM and SIGINT at random moments of one training:")
    print(f"unreadable checkpoints {unreadable}, steps lost at a resume {lost}, exit codes other")
    print(
        f"than 130 and 143 {wrong_code}, later than 10 s {late}, temporary files left {len(left)};"
    )
    print(f"the training stood at step {step} in the end.")
    return not (unreadable or wrong_code or late or lost or len(left) > 1)


def saved_at(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def read_step(path: Path) -> tuple[int, int]:
    """Epoch and step of a checkpoint that training wrote."""
    from asr.acoustic.checkpoint import read_checkpoint

    progress = read_checkpoint(path)[0]["extra"]["progress"]
    return progress["epoch"], progress["step"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000, help="damaged files of each kind")
    parser.add_argument("--kills", type=int, default=10, help="kills of each kind of signal")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    from tiny import make_corpus

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        good = damage_files(make_kinds(folder), args.files, args.seed, folder)
        make_corpus(folder / "corpus")
        rng = np.random.default_rng(args.seed)
        good &= kill_training(folder / "corpus", folder, args.kills, rng)
    sys.exit(not good)


if __name__ == "__main__":
    main()
