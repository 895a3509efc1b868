"""How much memory a call needs, for the other benchmarks."""

import ctypes
import math
from collections.abc import Callable
from pathlib import Path


def peak_memory(run: Callable[[], object]) -> float:
    """Return the MiB by which `run` raises the peak of resident memory; NaN where Linux is not.

    What the allocator kept from earlier calls is given back first, or it would hide the need.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = status("VmRSS")
        run()
        return max(0, status("VmHWM") - before) / 1024
    except (OSError, AttributeError):
        return math.nan


def status(key: str) -> int:
    """Read a size of this process, KiB, such as VmRSS; Linux alone has it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(key)))
