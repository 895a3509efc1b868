"""Trainings that are killed, that find the disk full, and that want one folder: what is left.

A training is forked from a process that has loaded what it needs, so that many fit into minutes.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import numpy as np
from tiny import overrides

TAKEN, FULL = "is in use by process", "No space left on device"
HERE = Path(__file__).resolve()
# Bytes of the disk that fills up, and of what is left on it.
DISK_BYTES = 2**22
LEFT_BYTES = (0, 4096, 16384, 40960)


class Training:
    """A training in a process of its own.

    Args:
        corpus: folder with the manifests of `tiny.make_corpus`.
        run_dir: its folder.
        said: file that takes what it says.
        words: further overrides.
    """

    def __init__(self, corpus: Path, run_dir: Path, said: Path, *words: str) -> None:
        self.last = run_dir / "ckpt/last.ckpt"
        self._said = said
        options = overrides(corpus, run_dir, trainer__max_epochs=400, trainer__patience=400)
        options += ["resume=auto", "trainer.checkpoint_minutes=0.002", *words]
        self.before = saved_at(self.last)
        self.pid = os.fork()
        if self.pid == 0:
            code = 99
            try:
                code = _run(["train", *options], said)
            finally:
                os._exit(code)

    def send(self, sign: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, sign)

    def wait(self) -> tuple[int, str]:
        """Wait for its end; return the exit code, of a signal its negative, and what it said."""
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status), self._said.read_text()

    def wait_for_checkpoint(self) -> None:
        """Wait until it has written one, or has ended."""
        while saved_at(self.last) == self.before and not self.has_ended():
            time.sleep(0.01)

    def has_ended(self) -> bool:
        """Whether it has ended, of itself or not."""
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return ended is not None


def _run(words: list[str], said: Path) -> int:
    from asr.cli import main

    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    try:
        return main(words)
    except SystemExit as stop:
        return int(stop.code or 0)
    except Exception:
        traceback.print_exc()
        raise
    finally:
        sys.stderr.flush()


def saved_at(path: Path) -> int:
    """Nanoseconds of a file's last change; 0 where there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def load() -> None:
    """Load what a training needs, on one thread: threads do not survive a fork."""
    import torch

    torch.set_num_threads(1)
    import torch._dynamo  # half of what a start takes: PyTorch's optimizers load it

    import asr.cli.train
    import asr.ctc.loss
    import asr.training.loop  # noqa: F401


def kill_training(corpus: Path, folder: Path, kills: int, rng: np.random.Generator) -> bool:
    """Kill one training over and over, by SIGKILL, SIGTERM and SIGINT in turn."""
    unreadable = wrong_code = late = lost = ended = 0
    step = -1
    signs = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
    for number in range(kills):
        sign = signs[number % 3]
        training = Training(corpus, folder / "killed", folder / "said")
        training.wait_for_checkpoint()
        time.sleep(rng.uniform(0, 0.5))
        began_at = time.monotonic()
        training.send(sign)
        code, said = training.wait()
        late += time.monotonic() - began_at > 10
        ended += code == 0
        if code not in (0, -sign if sign == signal.SIGKILL else 128 + sign):
            wrong_code += 1
            print(said[-500:], file=sys.stderr)
        now = read_step(training.last)
        unreadable += now is None
        lost += (now or 0) < step
        step = now or step
    left = [path.name for path in (folder / "killed").rglob("*.tmp")]
    print(
        f"\n{kills} times SIGKILL, SIGTERM and SIGINT in turn, at random moments of one training:"
    )
    print(f"unreadable checkpoints {unreadable}, steps lost at a resume {lost}, exit codes other")
    print(f"than 130 and 143 {wrong_code}, later than 10 s {late}, ended before {ended},")
    print(f"temporary files left {len(left)}; the training stood at step {step} in the end.")
    return not (unreadable or wrong_code or late or lost or ended or len(left) > 1)


def read_step(path: Path) -> int | None:
    """Step of a checkpoint that can be rebuilt; None of another."""
    from asr.acoustic.checkpoint import load_checkpoint, read_checkpoint

    try:
        load_checkpoint(path)
        return read_checkpoint(path)[0]["extra"]["progress"]["step"]
    except ValueError as error:
        print(error, file=sys.stderr)
        return None


def share_folder(corpus: Path, folder: Path, times: int) -> bool:
    """Begin two trainings in one folder at once; one goes on, the other is told."""
    good = 0
    for number in range(times):
        run_dir = folder / f"shared{number}"
        both = [Training(corpus, run_dir, folder / f"said{n}") for n in range(2)]
        while (ended := sum(training.has_ended() for training in both)) < 2:
            if ended and saved_at(both[0].last) != both[0].before:
                break
            time.sleep(0.01)
        for training in both:
            training.send(signal.SIGTERM)
        codes, said = zip(*(training.wait() for training in both), strict=True)
        told = [code == 2 and TAKEN in text for code, text in zip(codes, said, strict=True)]
        good += sorted(codes) == [2, 143] and sum(told) == 1
        good -= read_step(both[0].last) is None
    print(f"\n{times} times two trainings began in one folder at once: {good} times", end=" ")
    print("one went on and the other was refused, naming the process.")
    return good == times


def fill_disk(corpus: Path, folder: Path) -> bool:
    """Train on a disk of its own that is full, where one can be mounted."""
    mounted = ["unshare", "--mount", "--map-root-user"]
    if not shutil.which("unshare") or subprocess.run([*mounted, "true"], check=False).returncode:
        print("\nFull disk: not tried, no disk can be mounted here.")
        return True
    script = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'
    disk = folder / "disk"
    disk.mkdir()
    command = [*mounted, "sh", "-c", script, "sh", str(DISK_BYTES)]
    words = [str(disk), sys.executable, str(HERE), str(corpus), str(disk)]
    return subprocess.run([*command, *words], check=False).returncode == 0


def train_on_full_disk(corpus: Path, disk: Path) -> bool:
    """Train, fill the disk but for so many bytes, go on, make room, go on."""
    named = intact = clean = resumed = 0
    for left in LEFT_BYTES:
        run_dir = disk / f"run{left}"
        said = disk.parent / "said"
        assert Training(corpus, run_dir, said, "trainer.max_epochs=1").wait()[0] == 0
        step = read_step(run_dir / "ckpt/last.ckpt")
        filler = fill(disk, left)
        code, text = Training(corpus, run_dir, said, "trainer.max_epochs=4").wait()
        last_line = text.strip().splitlines()[-1]
        named += code == 2 and FULL in last_line and str(disk) in last_line
        intact += (read_step(run_dir / "ckpt/last.ckpt") or -1) >= (step or 0)
        clean += not list(run_dir.rglob(".*tmp*")) + list(run_dir.rglob("*.tmp"))
        if not named:
            print(code, text[-500:], file=sys.stderr)
        filler.unlink()
        code, text = Training(corpus, run_dir, said, "trainer.max_epochs=4").wait()
        resumed += code == 0
        subprocess.run(["rm", "-r", str(run_dir)], check=True)
    count = len(LEFT_BYTES)
    print(
        f"\n{count} times a training went on with a disk that had 0 to 128 KiB left: {named} times"
    )
    print(f"it ended with 2 and one line that names the file, {intact} times the checkpoint before")
    print(
        f"stayed whole, {clean} times no temporary file was left, {resumed} times it went on when"
    )
    print("there was room again.", flush=True)
    return named == intact == clean == resumed == count


def fill(disk: Path, left: int) -> Path:
    """Fill a disk but for so many bytes."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        size = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - left
        file.write(bytes(max(0, size)))
    return filler


if __name__ == "__main__":
    load()
    sys.exit(not train_on_full_disk(Path(sys.argv[1]), Path(sys.argv[2])))
