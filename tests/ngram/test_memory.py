"""Large texts: memory is bounded, the result does not depend on it, and a stop leaves nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ngram_texts import draw_sentences

from asr.cli import main
from asr.ngram import text as ngram_text
from asr.ngram.estimation import NGramOptions, estimate_ngram


@pytest.mark.parametrize("options", [{}, {"prune": (0, 1)}, {"vocab_size": 60}], ids=str)
@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, 6])
def test_model_does_not_depend_on_memory(tmp_path, rng, order, options):
    lines = draw_sentences(rng, 3000, words=100)
    options = options if order > 1 else {}
    estimate_ngram(lines, order, tmp_path / "plenty.arpa", NGramOptions(**options))

    estimate_ngram(lines, order, tmp_path / "little.arpa", NGramOptions(memory=1, **options))

    assert (tmp_path / "little.arpa").read_bytes() == (tmp_path / "plenty.arpa").read_bytes()


CHILD = """
import sys
from asr.ngram.estimation import NGramOptions, build_ngram

def peak_mib():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024

before = peak_mib()
options = NGramOptions(memory=int(sys.argv[3]), prune_entropy=1e-8)
build_ngram([sys.argv[1]], 4, sys.argv[2], options)
print(peak_mib() - before)
"""


def test_peak_memory_stays_within_the_bound(tmp_path, rng):
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc")
    words = np.array([f"w{i}" for i in range(2000)])
    text = tmp_path / "text.txt"
    with text.open("w") as file:
        for _ in range(5):
            rows = words[rng.integers(0, 2000, size=(1500, 20))]
            file.writelines(" ".join(row) + "\n" for row in rows)

    def peak(memory):
        command = [sys.executable, "-c", CHILD, str(text), str(tmp_path / "lm.arpa"), str(memory)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert peak(16) < 16 < peak(1000)


def test_vocabulary_that_outgrows_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(ngram_text, "_CHUNK", 1000)
    lines = (f"w{i}" for i in range(10_000))

    with pytest.raises(
        ValueError, match=r"twice that of the 2,\d+ words read so far, 2 MiB, got 1"
    ):
        estimate_ngram(lines, 2, tmp_path / "lm.arpa", NGramOptions(memory=1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop_while_reading_leaves_nothing(tmp_path, number):
    text = tmp_path / "endless.txt"
    os.mkfifo(text)
    command = ["lm", "build", str(text), "-o", str(tmp_path / "lm.arpa")]
    child = subprocess.Popen([sys.executable, "-m", "asr", *command])
    with text.open("w") as file:  # the child has opened it by now
        file.write("a b c\n" * 100_000)
        child.send_signal(number)

        assert child.wait(timeout=60) == 128 + number
    assert [path.name for path in tmp_path.iterdir()] == ["endless.txt"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop_while_writing_leaves_the_old_file(tmp_path, monkeypatch, number):
    text, arpa = tmp_path / "text.txt", tmp_path / "lm.arpa"
    text.write_text("a b c\n")
    arpa.write_text("before")

    def stop(*_):
        yield ["half a file\n"]
        assert len(list(tmp_path.iterdir())) == 3
        signal.raise_signal(number)

    monkeypatch.setattr("asr.ngram.arpa._format", stop)
    if number == signal.SIGTERM:
        with pytest.raises(SystemExit, match="143"):
            main(["lm", "build", str(text), "-o", str(arpa)])
    else:
        assert main(["lm", "build", str(text), "-o", str(arpa)]) == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lm.arpa", "text.txt"]
    assert arpa.read_text() == "before"


LIMITED = """
import resource, sys
from asr.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.exit(main(["lm", "build", *sys.argv[2:]]))
"""


def test_full_disk_is_one_line_and_leaves_nothing(tmp_path, rng):
    text, arpa = tmp_path / "text.txt", tmp_path / "lm.arpa"
    text.write_text("\n".join(draw_sentences(rng, 300)))
    words = [str(text), "--order", "6", "-o", str(arpa)]
    assert main(["lm", "build", *words]) == 0
    size = arpa.stat().st_size
    arpa.unlink()

    for limit, message in [
        (size - 1, f"asr lm: {arpa}: cannot write (File too large)\n"),
        (100, f"asr lm: {tmp_path}: cannot write temporary files here (File too large)\n"),
    ]:
        command = [sys.executable, "-c", LIMITED, str(limit), *words]
        child = subprocess.run(command, capture_output=True, text=True)

        assert child.returncode == 2
        assert child.stderr.endswith(message)
        assert child.stderr.count("\n") == 1
        assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]
