"""numba-cuda for a GPU of compute capability 9.0 that is not there.

Kernels are compiled, linked and cached as on a device, up to loading them. `cuobjdump`, which says
what they need of it, comes with CUDA and with Triton's wheel, which torch's on Linux depends on.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from asr.ctc import cuda_kernels, loss  # before numba.cuda, which it makes numba-cuda's

# isort: split
from numba.cuda import dispatcher
from numba.cuda.codegen import CUDACodeLibrary
from numba.cuda.cudadrv import devices

DEVICE = SimpleNamespace(compute_capability=(9, 0), id=0)


def install(setattr: Callable[..., None] = setattr) -> None:
    """Let numba-cuda find the device; `setattr` may be one that is undone."""
    setattr(dispatcher, "get_current_device", lambda: DEVICE)
    setattr(devices, "get_context", lambda number=None: SimpleNamespace(device=DEVICE))
    setattr(dispatcher._Kernel, "bind", lambda kernel: kernel.library.get_cubin())


def install_launches() -> None:
    """Let the CPU's tensors be launched on, up to where the driver would begin."""
    function = SimpleNamespace(kernel=None)
    dispatcher._Kernel.launch.__globals__["launch"] = lambda *arguments: None
    loss.is_on_gpu = lambda values: True
    CUDACodeLibrary.get_cufunc = lambda library: function
    torch.cuda.device = lambda device: nullcontext()
    torch.cuda.current_stream = lambda device=None: SimpleNamespace(cuda_stream=0)


def kernels(warps: int, pairs: int, dtype: str) -> tuple[Any, ...]:
    """The three, compiled."""
    return (
        cuda_kernels.make_prepare(dtype),
        cuda_kernels.make_fit(warps, pairs, dtype),
        cuda_kernels.make_write_gradients(dtype),
    )


def library(kernel: Any) -> CUDACodeLibrary:  # noqa: ANN401
    (compiled,) = kernel.overloads.values()
    return compiled.library


def ptx(kernel: Any) -> str:  # noqa: ANN401
    """What the linker makes of it."""
    return library(kernel).get_lto_ptx()


def cuobjdump() -> str | None:
    """Path of the tool, or None."""
    spec = find_spec("triton")
    bundled = spec and Path(spec.origin).parent / "backends/nvidia/bin/cuobjdump"
    return shutil.which("cuobjdump") or (str(bundled) if bundled and bundled.exists() else None)


def resources(kernel: Any) -> dict[str, int]:  # noqa: ANN401
    """Registers a thread, bytes a thread of STACK (spilled states), bytes a block of SHARED."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(library(kernel).get_cubin().code)
        file.flush()
        command = [cuobjdump(), "-res-usage", file.name]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {name: int(value) for name, value in re.findall(r"(REG|STACK|SHARED):(\d+)", report)}
