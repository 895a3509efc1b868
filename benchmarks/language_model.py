"""Time and peak memory of `asr lm build`, and of loading and scoring, beside KenLM.

    python benchmarks/language_model.py --text books.txt.gz --megabytes 100 --orders 3 5
    python benchmarks/language_model.py --text books.txt.gz --kenlm-bin kenlm/build/bin

The text is drawn from --text: it goes on with the text, or, three times in ten, with another place
where the last word stands, so that its words are those of the text and its longer n-grams are new.
Every figure comes from a process of its own, one thread, in interleaved rounds: processor time
(the least; that of loading too), wall time (the least), peak resident memory (the most).
--kenlm-bin is a folder with `lmplz` and `build_binary`, which `pip install kenlm` lacks; the module
`kenlm` is used for loading and scoring. The models of both are held to the same scores, and those
built in little and in plenty of memory to the same bytes.
"""

import argparse
import filecmp
import gzip
import itertools
import json
import multiprocessing
import os
import platform
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

SAME_SENTENCE = 1e-4  # log10; a line of an ARPA file is rounded at the seventh decimal

# Scores divided by `unit` are log10.
LOAD_KENLM = "from kenlm import Model; unit = 1"
LOAD_OURS = "from asr.decoding import NGramLM as Model; from math import log; unit = log(10)"
LOAD = """
import json, sys, time
{imports}

def memory(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(name))

before = memory("VmRSS")
start = time.process_time()
model = Model(sys.argv[1])
model.score("the")
load_s = time.process_time() - start
model, peak = memory("VmRSS") - before, memory("VmHWM") - before
sentences = open(sys.argv[2]).read().splitlines()
start = time.process_time()
scores = [model.score(sentence) for sentence in sentences]
seconds = time.process_time() - start
words = sum(len(sentence.split()) + 1 for sentence in sentences)
print(json.dumps([load_s, model, peak, words / seconds, [s / unit for s in scores]]))
"""


class Build(NamedTuple):
    """What one run of a builder took."""

    cpu_s: float
    wall_s: float
    peak_mib: float


class Load(NamedTuple):
    """What one load took, and how fast the model scored."""

    load_s: float
    resident_mib: float
    peak_mib: float
    words_per_s: float
    scores: list[float]


def draw_text(source: Path, path: Path, num_bytes: int) -> None:
    """Write `num_bytes` of text that resembles the source."""
    rng = random.Random(0)
    read = gzip.open if source.suffix == ".gz" else open
    with read(source, "rt", encoding="utf-8") as file:
        words = [word for line in file for word in (*line.split(), "\n")]
    places: dict[str, list[int]] = {}
    for at, word in enumerate(words):
        places.setdefault(word, []).append(at)
    written, at, sentence = 0, 0, []
    with path.open("w", encoding="utf-8") as file:
        while written < num_bytes:
            word = words[at]
            if word != "\n":
                sentence.append(word)
            elif sentence:
                written += file.write(" ".join(sentence) + "\n")
                sentence = []
            here = at if rng.random() < 0.7 else rng.choice(places[word])
            at = (here + 1) % len(words)


def run(command: list[str | Path]) -> Build:
    """Run a command with one thread and measure it alone."""
    start = os.times().elapsed
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(command, stdout=log, stderr=log)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            log.seek(0)
            sys.exit(f"{command[0]} failed: {log.read().decode()}")
    wall_s = os.times().elapsed - start
    return Build(usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss / 1024)


def time_builds(arguments: argparse.Namespace, text: Path, order: int, folder: Path) -> Path:
    """Print a table of the builders; return our model."""
    commands: dict[str, list[str | Path]] = {}
    for memory in arguments.memory:
        out = folder / f"{memory}.arpa"
        words = ["lm", "build", text, "--order", str(order), "--memory", str(memory), "-o", out]
        commands[f"asr lm build --memory {memory}"] = [sys.executable, "-m", "asr", *words]
    if arguments.kenlm_bin is not None:
        words = ["-o", str(order), "-S", f"{arguments.memory[0]}M", "-T", folder, "--text", text]
        program = arguments.kenlm_bin / "lmplz"
        commands[f"lmplz -S {arguments.memory[0]}M"] = [
            program, *words, "--arpa", folder / "lmplz.arpa"
        ]  # fmt: skip
    runs: dict[str, list[Build]] = {name: [] for name in commands}
    for _ in range(arguments.repeats):
        for name, command in commands.items():
            runs[name].append(run(command))
    ours = [folder / f"{memory}.arpa" for memory in arguments.memory]
    assert all(filecmp.cmp(a, b, shallow=False) for a, b in itertools.pairwise(ours))
    print(f"\norder {order}: {ours[0].stat().st_size / 1e6:.0f} MB of ARPA")
    print(f"{'':32}{'processor s':>12}{'wall s':>10}{'peak MiB':>10}")
    for name, builds in runs.items():
        cpu_s, wall_s = min(b.cpu_s for b in builds), min(b.wall_s for b in builds)
        print(f"{name:32}{cpu_s:12.1f}{wall_s:10.1f}{max(b.peak_mib for b in builds):10.0f}")
    for path in ours[1:]:
        path.unlink()
    return ours[0]


def load(imports: str, model: Path, sentences: Path) -> Load:
    """Load a model in a process of its own."""
    program = LOAD.format(imports=imports)
    command = [sys.executable, "-c", program, model, sentences]
    child = subprocess.run(command, capture_output=True, text=True, check=True)
    return Load(*json.loads(child.stdout))


def time_loads(arguments: argparse.Namespace, arpa: Path, sentences: Path) -> None:
    """Print a table of the readers."""
    compiled = arpa.with_suffix(".bin")
    run([sys.executable, "-m", "asr", "lm", "compile", arpa, "-o", compiled])
    readers = {
        "kenlm, ARPA": (LOAD_KENLM, arpa),
        "asr, ARPA": (LOAD_OURS, arpa),
        "asr, compiled": (LOAD_OURS, compiled),
    }
    if arguments.kenlm_bin is not None:
        theirs = arpa.with_suffix(".kenlm")
        run([arguments.kenlm_bin / "build_binary", arpa, theirs])
        readers["kenlm, compiled (probing)"] = (LOAD_KENLM, theirs)
        readers["kenlm, ARPA by lmplz"] = (LOAD_KENLM, arpa.with_name("lmplz.arpa"))
    loads: dict[str, list[Load]] = {name: [] for name in readers}
    for _ in range(arguments.repeats):
        for name, (imports, path) in readers.items():
            loads[name].append(load(imports, path, sentences))
            check_same(loads["kenlm, ARPA"][0], loads[name][-1])
    titles = f"{'load ms':>10}{'resident MiB':>14}{'peak MiB':>10}{'words/s':>12}{'file MB':>9}"
    print(f"\n{'':28}{titles}")
    for name, found in loads.items():
        best = min(found, key=lambda one: one.load_s)
        print(
            f"{name:28}{best.load_s * 1e3:10.1f}{best.resident_mib:14.0f}{best.peak_mib:10.0f}"
            f"{max(one.words_per_s for one in found):12,.0f}"
            f"{readers[name][1].stat().st_size / 1e6:9.0f}"
        )


def check_same(expected: Load, found: Load) -> None:
    """Hold the scores of one reader, in log10, to those of another."""
    pairs = zip(expected.scores, found.scores, strict=True)
    assert max(abs(a - b) for a, b in pairs) < SAME_SENTENCE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--text", type=Path, required=True, help="sentences, plain or .gz")
    parser.add_argument("--megabytes", type=float, default=100)
    parser.add_argument("--orders", type=int, nargs="+", default=[3])
    parser.add_argument("--memory", type=int, nargs="+", default=[1024, 128], metavar="MIB")
    parser.add_argument("--kenlm-bin", type=Path, help="folder of lmplz and build_binary")
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text, sentences = folder / "text.txt", folder / "sentences.txt"
        # In a process of its own: a child's peak memory begins with what its parent holds.
        words = (arguments.text, text, int(arguments.megabytes * 1e6))
        drawing = multiprocessing.Process(target=draw_text, args=words)
        drawing.start()
        drawing.join()
        with text.open() as file:
            sentences.write_text("".join(itertools.islice(file, 20_000)))
        for order in arguments.orders:
            time_loads(arguments, time_builds(arguments, text, order, folder), sentences)


if __name__ == "__main__":
    main()
