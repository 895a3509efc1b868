"""The mean of several checkpoints' weights, often better than each.

Source: Izmailov et al. 2018 (arXiv:1803.05407); checkpoint averaging as in ESPnet's recipes.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from asr.acoustic.checkpoint import read_checkpoint


def average_tensors(paths: Sequence[Path]) -> dict[str, Tensor]:
    """Average the tensors of checkpoint files in float64; integers come from the first."""
    if not paths:
        raise ValueError("averaging needs at least one checkpoint, got none")
    total: dict[str, Tensor] = {}
    kinds: dict[str, torch.dtype] = {}
    for path in paths:
        _, tensors = read_checkpoint(path)
        for name, value in tensors.items():
            if name not in total:
                kinds[name] = value.dtype
                total[name] = value.double() if value.is_floating_point() else value
            elif value.is_floating_point():
                total[name] = total[name] + value.double()
    return {
        name: (value / len(paths)).to(kinds[name]) if value.is_floating_point() else value
        for name, value in total.items()
    }
