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
from typing import NamedTuple

ROOT = Path(__file__).parents[1]

# An editable install puts its finder before PYTHONPATH; without it the copy is what is imported.
SITECUSTOMIZE = """import sys
sys.meta_path[:] = [f for f in sys.meta_path if "ScikitBuildRedirecting" not in type(f).__name__]
"""
TESTS_FAILED = 1  # pytest's exit code; others mean that no verdict was reached


class Defect(NamedTuple):
    """One edit that must make a test fail: `old`, which its file holds once, becomes `new`."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]  # files or patterns below tests/


LOSS_TESTS = ("ctc/test_*.py",)
CUDA_TESTS = ("ctc/test_cuda.py",)
CONSTRAINT_TESTS = ("decoding/test_constraints.py", "decoding/test_rules_oracle.py")
DECODER_TESTS = ("decoding/test_oracle.py", "decoding/test_inputs.py", "decoding/test_pruning.py")
LANGUAGE_MODEL_TESTS = ("ngram/test_model.py",)
MODEL_TESTS = ("models/test_deepspeech2.py",)
RESUME_TESTS = ("training/test_training.py",)

DEFECTS = (
    Defect(
        "loss: sign of the gradient flipped",
        "asr/ctc/loss.py",
        "        return grad.to(log_probs.dtype), None",
        "        return -grad.to(log_probs.dtype), None",
        LOSS_TESTS,
    ),
    Defect(
        "loss: gradient 1 % too large",
        "asr/ctc/loss.py",
        "        return grad.to(log_probs.dtype), None",
        "        return 1.01 * grad.to(log_probs.dtype), None",
        LOSS_TESTS,
    ),
    Defect(
        "loss: no blank needed between equal labels",
        "asr/ctc/cpu_kernels.py",
        "        skip_ratio[u] = power * skip[u + shift]",
        "        skip_ratio[u] = power",
        LOSS_TESTS,
    ),
    Defect(
        "loss: mean over utterances without their lengths",
        "asr/ctc/loss.py",
        "    return 1.0 / (np.maximum(target_lengths, 1) * len(target_lengths))",
        "    return np.full(len(target_lengths), 1.0 / len(target_lengths))",
        LOSS_TESTS,
    ),
    Defect(
        "cuda: the two directions do not wait for each other",
        "asr/ctc/cuda_kernels.py",
        "            if half == 1:\n                cuda.syncthreads()",
        "            if half == 1:\n                pass",
        CUDA_TESTS,
    ),
    Defect(
        "cuda: only the first of equal labels counts",
        "asr/ctc/cuda_kernels.py",
        "                slot = links[own_links + num_classes + slot]",
        "                slot = -1",
        CUDA_TESTS,
    ),
    Defect(
        "greedy: equal tokens merge across a blank",
        "native/src/greedy.cpp",
        "        previous = token;",
        "        if (token != alphabet.blank()) previous = token;",
        DECODER_TESTS,
    ),
    Defect(
        "greedy: frames of one token are not merged",
        "native/src/greedy.cpp",
        "is_token & (token != previous)",
        "is_token",
        DECODER_TESTS,
    ),
    Defect(
        "prefix search: no blank needed between equal tokens",
        "native/src/prefix_search.cpp",
        "    const double from_label = token == last ? 0.0 : 1.0;",
        "    const double from_label = token == last ? 1.0 : 1.0;",
        DECODER_TESTS,
    ),
    Defect(
        "prefix search: a prefix may hold only one blank frame at its end",
        "native/src/prefix_search.cpp",
        "        const double before = in_blank + in_label;",
        "        const double before = in_label;",
        DECODER_TESTS,
    ),
    Defect(
        "beam search: a new prefix repeats its last token without a blank",
        "native/src/beam_search.cpp",
        "(token == slot.token ? slot.blank : slot.total) + log_token",
        "slot.total + log_token",
        DECODER_TESTS,
    ),
    Defect(
        "beam search: a prefix in the beam is entered without a blank",
        "native/src/beam_search.cpp",
        "(repeats ? parent.blank : parent.total) + log_token",
        "parent.total + log_token",
        DECODER_TESTS,
    ),
    Defect(
        "beam search: blank frames cost nothing",
        "native/src/beam_search.cpp",
        "        slot.blank = before.total + log_blank;",
        "        slot.blank = before.total;",
        DECODER_TESTS,
    ),
    Defect(
        "beam search: of equal futures the worst stays",
        "native/src/beam_search.cpp",
        "at(beam_, futures_[place]).rank() < slot.rank()",
        "at(beam_, futures_[place]).rank() > slot.rank()",
        DECODER_TESTS,
    ),
    Defect(
        "beam search: equal futures are merged in a beam with room for all",
        "native/src/beam_search.cpp",
        "if (is_full && options_.n_best == 1",
        "if (options_.n_best == 1",
        DECODER_TESTS,
    ),
    Defect(
        "beam search: no place for a whole text beside words that have begun",
        "native/src/beam_search.cpp",
        "    if (language_->is_constrained()) keep_a_whole_text();\n",
        "",
        CONSTRAINT_TESTS,
    ),
    Defect(
        "beam search: a token model scores separators that enclose no word",
        "native/src/language.cpp",
        "    if (token.body.empty()) return;\n",
        "",
        CONSTRAINT_TESTS,
    ),
    Defect(
        "decoders: logits pass for log-probabilities",
        "native/src/frames.hpp",
        "!good || largest > Float(kLargestLogProb)",
        "!good",
        DECODER_TESTS,
    ),
    Defect(
        "model: the first convolution sees what stands in the padding",
        "asr/models/deepspeech2.py",
        "        x = features.masked_fill(~mask, 0.0)[:, None]",
        "        x = features[:, None]",
        MODEL_TESTS,
    ),
    Defect(
        "model: no length mask at all inside the layers",
        "asr/features/front_end.py",
        "    return torch.arange(size, device=lengths.device) < lengths[:, None]",
        "    return torch.ones(len(lengths), size, dtype=torch.bool, device=lengths.device)",
        MODEL_TESTS,
    ),
    Defect(
        "model: the backward layer starts in the padding",
        "asr/models/blocks.py",
        "            order = reversal(lengths, len(x))[..., None]",
        "            order = reversal(torch.full_like(lengths, len(x)), len(x))[..., None]",
        MODEL_TESTS,
    ),
    Defect(
        "model: batch norm counts padding",
        "asr/models/blocks.py",
        "        count = (mask.sum() * (cells // mask.numel())).float()",
        "        count = torch.tensor(float(cells))",
        MODEL_TESTS,
    ),
    Defect(
        "resume: the optimizer is not restored",
        "asr/training/state.py",
        "    try:\n        restore_optimizer(optimizer, tensors)\n",
        "    try:\n",
        RESUME_TESTS,
    ),
    Defect(
        "resume: the epoch begins again at its first batch",
        "asr/training/state.py",
        "    return progress\n",
        "    progress.batch = 0\n    return progress\n",
        RESUME_TESTS,
    ),
    Defect(
        "corpora: a symbolic link may lead out of the folder",
        "asr/corpora/places.py",
        "    if not real.is_relative_to(_real_folder(root)):",
        "    if False:",
        ("corpora/test_hostile.py",),
    ),
    Defect(
        "data: the order of batches depends on the seed alone",
        "asr/data/loading.py",
        "    rng = np.random.default_rng((seed, epoch))",
        "    rng = np.random.default_rng((seed, 0))",
        ("data/test_loading.py",),
    ),
    Defect(
        "files: what was written never takes the place of the old file",
        "asr/files.py",
        "        os.replace(temporary, path)\n",
        "        pass\n",
        ("data/test_manifest.py",),
    ),
    Defect(
        "command line: a user's mistake ends with exit code 0",
        "asr/cli/__init__.py",
        "        print(format_error(args.command, error), file=sys.stderr)\n        return 2",
        "        return 0",
        ("cli/test_cli.py",),
    ),
    Defect(
        "resume: the weights are not restored",
        "asr/training/state.py",
        "    restore(model, tensors, path)\n",
        "",
        RESUME_TESTS,
    ),
)


class Copy:
    """A copy of the tree whose `asr` is imported instead of the installed one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignore = shutil.ignore_patterns("__pycache__", "*.so")
        for name in ("asr", "conf", "native", "tests"):
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        for name in ("pyproject.toml", "README.md", "LICENSE"):
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


def main(words: list[str]) -> int:
    """Apply every chosen defect in turn."""
    defects = [d for d in DEFECTS if not words or any(word in d.name for word in words)]
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
