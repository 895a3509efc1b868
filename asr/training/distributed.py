"""The few collective operations that training needs; without torchrun they do nothing.

Gradients are summed by hand instead of through DistributedDataParallel: a rank whose share of a
batch is empty or broken still takes part, and every rank takes or skips a step together.
"""

import os
from collections.abc import Iterable
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

# A rank that dies must not leave the others waiting for long.
TIMEOUT = timedelta(minutes=5)


def start() -> tuple[int, int]:
    """Join the process group that torchrun announces; return (rank, world_size)."""
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        return 0, 1
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=TIMEOUT)
    return dist.get_rank(), world_size


def stop() -> None:
    """Leave the process group."""
    if dist.is_initialized():
        dist.destroy_process_group()


def is_first() -> bool:
    """Whether this rank writes files and speaks."""
    return not dist.is_initialized() or dist.get_rank() == 0


def sum_over_ranks(values: Tensor) -> Tensor:
    """Sum a tensor over ranks in place, and return it."""
    if dist.is_initialized():
        dist.all_reduce(values)
    return values


def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Sum gradients over ranks; a missing gradient counts as zero."""
    if not dist.is_initialized():
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        dist.all_reduce(parameter.grad)


def copy_from_first(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors with those of rank 0."""
    if dist.is_initialized():
        for tensor in tensors:
            dist.broadcast(tensor, 0)


def wait() -> None:
    """Wait until every rank is here."""
    if dist.is_initialized():
        dist.barrier()
