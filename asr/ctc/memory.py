"""Tensors and their memory as flat arrays, whatever their strides."""

import numpy as np
import torch
from torch import Tensor


def empty_like(x: Tensor) -> Tensor:
    """Uninitialised tensor like x; of its strides if classes are adjacent in it."""
    dtype = np.float64 if x.dtype == torch.float64 else np.float32
    if x.is_contiguous():
        return torch.from_numpy(np.empty(x.shape, dtype))
    order = sorted(range(2), key=lambda d: -x.stride(d))
    shape = [x.shape[d] for d in order]
    return torch.from_numpy(np.empty((*shape, x.shape[2]), dtype)).permute(*order, 2)


def flat_memory(x: Tensor) -> np.ndarray:
    """All the memory between x's first and last element, as one dimension."""
    if x.is_contiguous():
        return x.view(-1).numpy()
    if x.numel() == 0:
        return np.empty(0, x.numpy().dtype)
    span = 1 + sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True))
    return x.as_strided((span,), (1,)).numpy()
