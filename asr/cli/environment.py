"""What a result depends on beside its configuration: versions, commit, hardware."""

import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from asr import __version__

PACKAGES = ("torch", "torchaudio", "numba", "numpy", "sentencepiece", "hydra-core")
# The folder above `asr/`: a checkout's root, or where packages are installed.
HOME = Path(__file__).resolve().parents[2]


def environment() -> dict[str, object]:
    """Versions, commit and hardware of this process."""
    return {
        "command": sys.argv,
        "commit": commit_of(HOME),
        "python": platform.python_version(),
        "packages": {"asr": __version__} | {name: version(name) for name in PACKAGES},
        "machine": platform.machine(),
        "processor": processor_name(),
        "num_threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def commit_of(home: Path) -> str | None:
    """Commit of the checkout at `home`; None without git, or where `home` is no checkout of ours.

    An installed package may lie inside somebody's repository, whose commit says nothing of it.
    """
    top = _git(home, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != home.resolve() or not _is_ours(home):
        return None
    return _git(home, "rev-parse", "HEAD")


def processor_name() -> str:
    """The processor as the system calls it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def _is_ours(home: Path) -> bool:
    settings = home / "pyproject.toml"
    return settings.is_file() and '"asr.cli:main"' in settings.read_text("utf-8", "replace")


def _git(folder: Path, *words: str) -> str | None:
    """Ask git; None where there is no git or no answer."""
    try:
        result = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return result.stdout.strip() or None if result.returncode == 0 else None
