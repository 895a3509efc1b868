"""Whether this machine computes recurrent layers in bfloat16; many CPUs do not."""

import pytest
import torch
from torch import nn


def runs_bfloat16():
    """Try it: what a CPU says of itself does not count, as ONEDNN_MAX_CPU_ISA may forbid it."""
    layer = nn.LSTM(8, 8)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            layer(torch.zeros(4, 2, 8))[0].float().sum().backward()
    except RuntimeError:
        return False
    return True


needs_bfloat16 = pytest.mark.skipif(
    not runs_bfloat16(), reason="needs a CPU that computes recurrent layers in bfloat16"
)
