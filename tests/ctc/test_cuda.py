"""The CTC loss on a GPU: its cases simulated or on a device, its machine code, and its absence."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from asr.ctc import ctc_loss
from asr.ctc import loss as loss_module
from asr.ctc.loss import runs_on

ROOT = Path(__file__).parents[2]

needs_numba_cuda = pytest.mark.skipif(
    importlib.util.find_spec("numba_cuda") is None, reason="needs numba-cuda"
)
needs_simulator = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("numba_cuda", "greenlet")),
    reason="needs numba-cuda and greenlet",
)


def run_cases(marks, simulator):
    files = "tests/cuda_cases.py", "tests/cuda_tensor_cases.py"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", marks, *files],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_ENABLE_CUDASIM": simulator},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@needs_simulator
@pytest.mark.parametrize(
    "marks",
    [pytest.param("not slow", id="quick"), pytest.param("slow", id="slow", marks=pytest.mark.slow)],
)
def test_cases_in_the_simulator(marks):
    run_cases(marks, simulator="1")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cases_on_a_gpu():
    run_cases("slow or not slow", simulator="0")


# The simulator runs Python, which has no types: what a compiler would refuse shows here.


def signatures(pairs, real):
    """The kernels and the types that `cuda_loss` launches them with."""
    from numba.core.types import Array, UniTuple, boolean, float64, int32, int64

    from asr.ctc import cuda_kernels

    def array(kind, dimensions=1):
        return Array(kind, dimensions, "C")

    flat, strides, integers = array(real), UniTuple(int64, 3), array(int64)
    prepared = array(float64, 2), array(real, 3), array(int32, 3)
    links = array(int32, 2), array(int32, 2)
    occupancies = array(real, 3), array(real, 3)
    batch = (integers,) * 4
    return {
        "prepare": (
            cuda_kernels.prepare,
            (flat, strides, *batch, int64, boolean, int64, *prepared, *links),
        ),
        "fit": (
            cuda_kernels.make_fit(pairs),
            (*batch, int64, int64, int64, *prepared, boolean, array(real, 4), array(int32, 4),
             *occupancies, array(float64)),
        ),
        "write_gradients": (
            cuda_kernels.write_gradients,
            (flat, strides, integers, integers, int64, boolean, boolean, boolean, prepared[0],
             *links, *occupancies, array(float64), flat, strides),
        ),
    }  # fmt: skip


@needs_numba_cuda
@pytest.mark.parametrize(
    ("pairs", "real"),
    [
        (2, "float32"),
        pytest.param(6, "float64", marks=pytest.mark.slow),
        pytest.param(12, "float32", marks=pytest.mark.slow),
        pytest.param(64, "float32", marks=pytest.mark.slow),
    ],
)
def test_kernels_compile_for_compute_capability_9_0(pairs, real, monkeypatch, tmp_path):
    from numba import cuda, types
    from numba.cuda import dispatcher

    if not cuda.cudadrv.nvvm.is_available():
        pytest.skip("needs NVVM: pip install 'numba-cuda[cu13]'")
    device = SimpleNamespace(compute_capability=(9, 0))
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: device)

    for name, (kernel, types_) in signatures(pairs, getattr(types, real)).items():
        ptx, _ = cuda.compile_ptx(kernel.py_func, types_, cc=(9, 0), device=False)

        assert not any(word in ptx for word in ("atom.", "red.", "call.uni")), name
        assert "shfl.sync" in ptx
        if name == "fit":
            assert ptx.count("bar.sync") >= 1
            assert pairs > 12 or ".local" not in ptx  # else a lane's states are in registers
        if shutil.which("ptxas"):
            (tmp_path / "kernel.ptx").write_text(ptx)
            assembler = ["ptxas", "-arch=sm_90", "-v", "kernel.ptx", "-o", "kernel.cubin"]
            report = subprocess.run(
                assembler, cwd=tmp_path, capture_output=True, text=True, check=True
            ).stderr
            assert pairs > 6 or "0 bytes spill stores" in report, report


# Without numba-cuda.


def test_missing_numba_cuda_is_named(monkeypatch):
    monkeypatch.setattr(loss_module, "is_on_gpu", lambda values: True)
    monkeypatch.setattr(loss_module, "find_spec", lambda name: None)

    with pytest.raises(ValueError, match=r"needs numba-cuda: pip install 'asr\[cuda\]'"):
        ctc_loss(torch.zeros(4, 1, 5), [[1]], [4], [1])


@pytest.mark.parametrize("installed", [True, False])
def test_runs_on_a_gpu_with_numba_cuda_alone(installed, monkeypatch):
    monkeypatch.setattr(loss_module, "find_spec", lambda name: object() if installed else None)

    assert runs_on(torch.device("cpu"))
    assert runs_on(torch.device("cuda:1")) is installed
    assert not runs_on(torch.device("meta"))


def test_the_loss_is_imported_without_numba_cuda():
    script = (
        "import sys; sys.modules['numba_cuda'] = None; import asr.ctc\n"
        "assert 'asr.ctc.cuda_loss' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
