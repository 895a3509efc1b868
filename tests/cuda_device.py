"""Where cases of the CTC loss on a GPU run: on one, or simulated if NUMBA_ENABLE_CUDASIM is 1."""

import os

import pytest
import torch

from asr.ctc import cuda_kernels, cuda_loss, loss
from tests.ctc_batches import fit

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
DEVICE = "cpu" if SIMULATED else "cuda"


@pytest.fixture(autouse=True)
def kernels(monkeypatch):
    """Send tensors of the CPU to the simulated kernels; there int32 tensors count as the GPU's."""
    if not SIMULATED:
        return
    from tests import cuda_simulator

    cuda_simulator.install(cuda_kernels)
    monkeypatch.setattr(loss, "is_on_gpu", lambda values: True)
    monkeypatch.setattr(
        cuda_loss,
        "is_on_gpu",
        lambda values: isinstance(values, torch.Tensor) and values.dtype == torch.int32,
    )
    monkeypatch.setattr(cuda_loss, "_launch", launch_simulated)


def launch_simulated(make, kind, num_blocks, num_threads, *arguments):
    """Run a kernel; arrays, whose ends are known, stand for pointers."""
    make(*kind)[num_blocks, num_threads](
        *(loss.flat_memory(a) if isinstance(a, torch.Tensor) else a for a in arguments)
    )


def to_gpu(values):
    values = torch.as_tensor(values)
    return values.int() if SIMULATED else values.cuda()


def fit_cuda(logits, *lengths, **options):
    losses, grad = fit(logits.to(DEVICE), *lengths, **options)
    assert losses.device.type == grad.device.type == DEVICE
    return losses.cpu(), grad.cpu()
