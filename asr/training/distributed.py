"""What training needs of several processes; without torchrun each of these does nothing.

Small values travel on the CPU by gloo, gradients on the model's device: by NCCL between GPUs.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")
# A rank that dies ends the others at once: torchrun stops them, and gloo notices. This bounds the
# wait for one that hangs, or whose share of validation or of the statistics takes long.
TIMEOUT = timedelta(minutes=30)


def start(timeout: timedelta = TIMEOUT) -> tuple[int, int]:
    """Join the process group that torchrun announces; return (rank, world_size).

    Args:
        timeout: how long a rank waits for another.
    """
    world_size = announced_world_size()
    if world_size == 1:
        return 0, 1
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=timeout)
    return dist.get_rank(), world_size


def announced_world_size() -> int:
    """How many ranks torchrun starts."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def stop() -> None:
    """Leave the process group."""
    if dist.is_initialized():
        dist.destroy_process_group()


def is_first() -> bool:
    """Whether this rank writes files and speaks."""
    return not dist.is_initialized() or dist.get_rank() == 0


def world_size() -> int:
    """How many ranks there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def parallel(network: nn.Module) -> nn.Module:
    """Wrap a network so that a backward pass averages gradients over ranks.

    Every rank starts from the weights of rank 0. Statistics of layers are the layers' own affair.
    """
    if not dist.is_initialized():
        return network
    device = next(network.parameters()).device
    devices = [device] if device.type == "cuda" else None
    return DistributedDataParallel(network, device_ids=devices, broadcast_buffers=False)


@contextmanager
def exchanging(network: nn.Module, wanted: bool) -> Iterator[None]:
    """Inside, without `wanted`, a backward pass adds to this rank's gradients alone.

    The next one that is wanted averages what was added up.
    """
    if wanted or not isinstance(network, DistributedDataParallel):
        yield
        return
    with network.no_sync():
        yield


def sum_over_ranks(values: Tensor) -> Tensor:
    """Sum a tensor over ranks in place, and return it."""
    if dist.is_initialized():
        dist.all_reduce(values)
    return values


def any_rank(flag: bool) -> bool:
    """Whether a flag is set on any rank."""
    return bool(sum_over_ranks(torch.tensor(int(flag))).item())


def gather(value: object) -> list:
    """Collect a value from every rank, in the order of ranks."""
    if not dist.is_initialized():
        return [value]
    values: list = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def from_first(value: T) -> T:
    """Give every rank the value of rank 0."""
    values: list = [value]
    if dist.is_initialized():
        dist.broadcast_object_list(values, 0)
    return values[0]


def scatter(values: Sequence[T] | None) -> T:
    """Give every rank its own of the values that rank 0 has, one for each; the others have None."""
    if not dist.is_initialized():
        assert values is not None
        return values[0]
    received: list = [None]
    dist.scatter_object_list(received, None if values is None else list(values), 0)
    return received[0]


def copy_from_first(tensors: Sequence[Tensor]) -> None:
    """Overwrite tensors with those of rank 0."""
    if dist.is_initialized():
        for tensor in tensors:
            dist.broadcast(tensor, 0)
