"""The CTC loss on a GPU: its cases simulated or on a device, its machine code, and its absence."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import asr.ctc
from asr.ctc import ctc_loss
from asr.ctc import loss as loss_module
from tests import fuzz_ctc
from tests.ctc_batches import fit, random_batch

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


@pytest.fixture
def compiler(monkeypatch):
    """numba-cuda's, for a GPU of compute capability 9.0 that is not there."""
    from asr.ctc import cuda_kernels
    from benchmarks import cuda_compiler

    if not cuda_kernels.cuda.cudadrv.nvvm.is_available():
        pytest.skip("needs NVVM: pip install 'numba-cuda[cu13]'")
    cuda_compiler.install(monkeypatch.setattr)
    return cuda_compiler


# Atomic operations, which add in another order every run, and calls that were not inlined.
UNWANTED = re.compile(r"(?<![\w.])(?:atom|red|call)\.")


def test_unwanted_instructions_are_told_from_loads_of_shared_memory():
    assert UNWANTED.search("\t@%p1 red.global.add.f32 \t[%rd1], %f1;")
    assert UNWANTED.search("\tatom.shared.add.u32 \t%r1, [%rd1], 1;")
    assert UNWANTED.search("\tcall.uni (retval0), __nv_exp, (param0);")
    assert not UNWANTED.search("\tst.shared.u64 \t[%rd620], %rd799;")


@needs_numba_cuda
@pytest.mark.parametrize(
    ("warps", "pairs", "dtype"),
    [
        (1, 2, "float32"),
        pytest.param(1, 6, "float64", marks=pytest.mark.slow),
        pytest.param(2, 4, "float32", marks=pytest.mark.slow),
        pytest.param(4, 6, "float32", marks=pytest.mark.slow),
        pytest.param(8, 4, "float32", marks=pytest.mark.slow),
        pytest.param(8, 24, "float32", marks=pytest.mark.slow),
    ],
)
def test_kernels_compile_for_compute_capability_9_0(warps, pairs, dtype, compiler):
    for kernel in compiler.kernels(warps, pairs, dtype):
        ptx, resources = compiler.ptx(kernel), compiler.resources(kernel)

        assert not UNWANTED.search(ptx), kernel
        assert "shfl.sync" in ptx
        assert "ld.global" in ptx
        assert resources["REG"] * kernel.targetoptions["launch_bounds"] <= 65536
        assert warps * pairs >= 32 or resources["STACK"] == 0  # states are in registers
        if kernel.__name__ == "fit":
            assert ptx.count("bar.sync") >= (1 if warps == 1 else 3)


@needs_numba_cuda
def test_compiled_kernels_are_kept_on_disk(compiler, monkeypatch, tmp_path):
    monkeypatch.setattr("numba.cuda.core.config.CACHE_DIR", str(tmp_path))
    from asr.ctc import cuda_kernels

    make = cuda_kernels.make_prepare.__wrapped__

    first, second = make("float32"), make("float32")

    assert list(tmp_path.rglob("*prepare*.nbi"))
    assert list(tmp_path.rglob("*prepare*.nbc"))
    assert sum(first.stats.cache_misses.values()) == 1
    assert not second.stats.cache_misses
    assert sum(second.stats.cache_hits.values()) == 1


@needs_numba_cuda
def test_numba_cuda_is_found_where_no_pth_file_is_read():
    script = (
        "from asr.ctc.cuda_loss import cuda\n"
        "assert cuda.implementation == 'NVIDIA', cuda.implementation"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    subprocess.run([sys.executable, "-S", "-c", script], cwd=ROOT, env=environment, check=True)


# What the host does, on tensors whose device is said to be a GPU: whoever waits for it raises.


@pytest.fixture
def gpu(monkeypatch):
    """A mode whose tensors are a GPU's, and the launches made in it."""
    from torch._subclasses import FakeTensorMode

    from asr.ctc import cuda_loss

    launches = []
    monkeypatch.setattr(cuda_loss, "_launch", lambda *arguments: launches.append(arguments))
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)  # needs a driver
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield launches


HOST = np.array([[1, 2, 2], [3, 1, 0]]), np.array([9, 7]), np.array([3, 2])


@needs_numba_cuda
@pytest.mark.parametrize("device", ["cuda:0", "cuda:1"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_host_waits_for_nothing(gpu, device, reduction, on_gpu, dtype):
    from asr.ctc import cuda_loss

    logits = torch.zeros(9, 2, 5, device=device, dtype=dtype)
    lengths = [torch.as_tensor(v, device=device) for v in HOST] if on_gpu else HOST

    batch = cuda_loss.check_batch(logits, *lengths, 0)
    loss, grad = cuda_loss.fit_and_reduce(logits, batch, reduction, True, True, True)

    assert loss.dtype == torch.float64
    assert loss.shape == ((2,) if reduction == "none" else ())
    assert grad.dtype == torch.float32
    assert [make.__name__ for make, *_ in gpu] == [
        "make_prepare",
        "make_fit",
        "make_write_gradients",
    ]
    arguments = [a for _, _, _, _, *rest in gpu for a in rest if isinstance(a, torch.Tensor)]
    assert {a.device for a in (loss, grad, *arguments)} == {torch.device(device)}


# Without numba-cuda: PyTorch's loss, which is tried on the CPU.


@pytest.fixture
def without_numba_cuda(monkeypatch):
    """Send tensors of the CPU where those of a GPU go that has no numba-cuda; can be undone."""
    loss_module._way_of_gpu.cache_clear()
    with monkeypatch.context() as patches:
        patches.setattr(loss_module, "is_on_gpu", lambda values: True)
        patches.setitem(sys.modules, "asr.ctc.cuda_loss", None)
        patches.delattr(asr.ctc, "cuda_loss", raising=False)
        yield patches
    loss_module._way_of_gpu.cache_clear()


def test_missing_numba_cuda_is_said_once(without_numba_cuda, rng, caplog):
    arguments = random_batch(rng, 8, 2, 5, 3)

    for _ in range(2):
        ctc_loss(*arguments)

    (message,) = caplog.messages
    assert "pip install 'ctc-asr[cuda]'" in message


@pytest.mark.parametrize("kind", range(len(fuzz_ctc.KINDS)), ids=fuzz_ctc.KINDS)
def test_loss_without_numba_cuda_is_that_of_the_oracle(without_numba_cuda, monkeypatch, kind):
    monkeypatch.setattr(fuzz_ctc, "ctc_loss", lambda x, *a, **k: ctc_loss(x.double(), *a, **k))
    seeds = range(kind, 3 * len(fuzz_ctc.KINDS), len(fuzz_ctc.KINDS))

    assert [message for message in map(fuzz_ctc.check, seeds) if message] == []


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_loss_without_numba_cuda_has_the_same_meaning(without_numba_cuda, rng, reduction, dtype):
    logits, *lengths = random_batch(rng, 9, 3, 5, 3)
    logits = logits.to(dtype)

    found = fit(logits, *lengths, reduction=reduction)
    without_numba_cuda.undo()

    for theirs, ours in zip(found, fit(logits, *lengths, reduction=reduction), strict=True):
        torch.testing.assert_close(theirs, ours)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_without_numba_cuda_is_computed_in_float32(without_numba_cuda, rng, dtype):
    logits, *lengths = random_batch(rng, 9, 3, 5, 3)
    logits = logits.to(dtype)

    losses, grad = fit(logits, *lengths)

    expected = fit(logits.float(), *lengths)
    assert torch.equal(losses, expected[0])
    assert torch.equal(grad, expected[1].to(dtype))


@pytest.mark.parametrize("from_logits", [True, False])
def test_frames_and_utterances_without_numba_cuda(without_numba_cuda, from_logits):
    logits = torch.zeros(4, 6, 5)
    logits[3:, 0] = torch.nan  # beyond its frames
    logits[1, 1, 2] = torch.nan
    arguments = logits, [[1, 2]] * 5 + [[1, 1]], [3, 4, 0, 0, 4, 2], [2, 2, 2, 0, 0, 2]

    losses, grad = fit(*arguments, from_logits=from_logits)

    assert losses.isfinite().tolist() == [True, False, False, True, True, False]
    assert losses.isnan().tolist() == [False, True, False, False, False, False]
    assert losses[3] == 0
    assert grad.isfinite().all(0).all(1).tolist() == [True, False, True, True, True, False]
    assert (grad[3:, 0] == 0).all()


def test_no_frames_at_all_without_numba_cuda(without_numba_cuda):
    losses, grad = fit(torch.zeros((0, 2, 4)), [[1], [1]], [0, 0], [0, 1])

    assert losses.tolist() == [0.0, torch.inf]
    assert grad.shape == (0, 2, 4)


def test_second_derivative_without_numba_cuda_is_refused(without_numba_cuda, rng):
    logits, *lengths = random_batch(rng, 8, 2, 5, 3)
    x = logits.requires_grad_()
    (grad,) = torch.autograd.grad(ctc_loss(x, *lengths, from_logits=True), x, create_graph=True)

    with pytest.raises(RuntimeError, match="ctc_loss cannot be differentiated twice"):
        grad.sum().backward()


def test_the_loss_is_imported_without_numba_cuda():
    script = (
        "import sys; sys.modules['numba_cuda'] = None; import asr.ctc\n"
        "assert 'asr.ctc.cuda_loss' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
