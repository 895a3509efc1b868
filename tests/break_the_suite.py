"""Break the project on purpose, one defect at a time, and see that the suite notices.

    python tests/break_the_suite.py              every defect; minutes
    python tests/break_the_suite.py beam resume  those whose name holds a word

Works in a temporary copy and never on the tree itself. Ends with 1 when the tests of an intact copy
fail, or when those of a broken one pass. CONTRIBUTING.md lists what each defect was caught by.
"""

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from defect import Defect
from defects import DEFECTS

ROOT = Path(__file__).parents[1]

# An editable install puts its finder before PYTHONPATH; without it the copy is what is imported.
SITECUSTOMIZE = """import sys
sys.meta_path[:] = [f for f in sys.meta_path if "ScikitBuildRedirecting" not in type(f).__name__]
"""
TESTS_FAILED = 1  # pytest's exit code; others mean that no verdict was reached


class Copy:
    """A copy of the tree whose `asr` is imported instead of the installed one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignore = shutil.ignore_patterns("__pycache__", "*.so")
        # Documents and all: some tests read them when they are collected.
        for name in ("asr", "conf", "docs", "native", "tests"):
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "LICENSE"):
            shutil.copy(ROOT / name, folder)
        (folder / "asr" / "conf").symlink_to(folder / "conf")
        (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
        installed = importlib.util.find_spec("asr._native")
        if installed is None or installed.origin is None:
            raise SystemExit("install the project first: scripts/setup.sh dev")
        self.native = folder / "asr" / Path(installed.origin).name
        shutil.copy(installed.origin, self.native)
        # A file changed and changed back within a second would look like its old bytecode.
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    @contextlib.contextmanager
    def broken(self, defect: Defect) -> Iterator[None]:
        """Apply a defect, and undo it."""
        path = self.folder / defect.file
        intact = path.read_text()
        native = self.native.read_bytes()
        path.write_text(replace_once(intact, defect))
        try:
            if defect.file.startswith("native/"):
                self.build_native()
            yield
        finally:
            path.write_text(intact)
            self.native.write_bytes(native)

    def build_native(self) -> None:
        """Build the copy's native part, which takes seconds after the first time."""
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        command = [*pip, "--no-build-isolation", "--wheel-dir", "dist", "."]
        environment = {k: v for k, v in self.environment.items() if k != "PYTHONPATH"}
        subprocess.run(command, cwd=self.folder, env=environment, check=True)
        (wheel,) = (self.folder / "dist").glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (name,) = [n for n in archive.namelist() if Path(n).name == self.native.name]
            self.native.write_bytes(archive.read(name))
        wheel.unlink()

    def run_tests(self, patterns: tuple[str, ...], *options: str) -> subprocess.CompletedProcess:
        """Run the test files that the patterns name."""
        files = [path for pattern in patterns for path in find_tests(self.folder, pattern)]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
        return subprocess.run(
            [*command, *map(str, files)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


def find_tests(root: Path, pattern: str) -> list[Path]:
    """List the test files of a pattern, of which there is at least one."""
    files = sorted((root / "tests").glob(pattern))
    if not files:
        raise SystemExit(f"no file matches tests/{pattern}")
    return files


def replace_once(text: str, defect: Defect) -> str:
    """Apply a defect to the text of its file."""
    if text.count(defect.old) != 1:
        raise SystemExit(f"{defect.file} must hold this once, for {defect.name!r}: {defect.old}")
    return text.replace(defect.old, defect.new)


def check_intact(copy: Copy, defects: list[Defect]) -> None:
    """A failing test proves something only if it passes without the defect."""
    patterns = tuple(dict.fromkeys(pattern for defect in defects for pattern in defect.tests))
    result = copy.run_tests(patterns)
    print(f"intact: {result.stdout.strip().splitlines()[-1]}", flush=True)
    if result.returncode != 0:
        raise SystemExit(result.stdout + result.stderr)


def first_failure(output: str) -> str:
    """Name the test that failed."""
    match = re.search(r"^FAILED tests/(\S+)", output, re.MULTILINE)
    return match[1] if match else output.strip().splitlines()[-1]


def choose(words: list[str]) -> list[Defect]:
    """Return the defects whose name holds a word; all of them without words."""
    for word in words:
        if not any(word in defect.name for defect in DEFECTS):
            raise SystemExit(f"no defect's name holds {word!r}")
    return [d for d in DEFECTS if not words or any(word in d.name for word in words)]


def main(words: list[str]) -> int:
    """Apply every chosen defect in turn."""
    defects = choose(words)
    survivors = []
    with tempfile.TemporaryDirectory(prefix="broken-asr-") as folder:
        copy = Copy(Path(folder).resolve())
        check_intact(copy, defects)
        for defect in defects:
            started = time.monotonic()
            with copy.broken(defect):
                result = copy.run_tests(defect.tests, "-x")
            caught = result.returncode == TESTS_FAILED
            verdict = f"caught by {first_failure(result.stdout)}" if caught else "NOT CAUGHT"
            print(f"{defect.name}: {verdict} ({time.monotonic() - started:.0f} s)", flush=True)
            if not caught:
                print(result.stdout[-2000:] + result.stderr[-2000:])
                survivors.append(defect.name)
    print(f"{len(defects) - len(survivors)} of {len(defects)} defects were caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
