"""Training beside a process that keeps a core busy costs little more processor time than alone.

    python tests/busy_core.py CORPUS    a folder of `asr prepare synth --size tiny`

Threads that spin while they wait burn processor time as long as the others are held up; seconds on
the clock would say more about the machine than about the program. `.ci/run` runs this file.
"""

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

# The same work, with caches that another process disturbs; spinning costs several times as much.
MOST = 1.5


@contextlib.contextmanager
def busy_core():
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def training_cpu_s(corpus, run_dir):
    """Processor seconds of `asr train` over one epoch."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = ["data=synth", f"data.root={corpus}", f"run_dir={run_dir}"]
    words += ["trainer.max_epochs=2", "trainer.precision=float32"]
    subprocess.run([sys.executable, "-m", "asr", "train", *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    corpus = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        training_cpu_s(corpus, f"{folder}/warm")
        alone = training_cpu_s(corpus, f"{folder}/alone")
        # One process for each core but one leaves every thread of training a rival.
        with contextlib.ExitStack() as stack:
            for _ in range(max(1, (os.cpu_count() or 2) - 1)):
                stack.enter_context(busy_core())
            # The rivals' own time is counted only once they are waited for, after this.
            beside = training_cpu_s(corpus, f"{folder}/beside")
    print(f"busy core: training took {beside:.1f} s of processor time, alone {alone:.1f} s")
    assert beside <= MOST * alone


if __name__ == "__main__":
    main()
