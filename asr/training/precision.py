"""The number format of the network: chosen by what the device can do, not by a stopwatch.

The same kind of machine makes the same choice, so that a run can be repeated on it.
"""

import os
import platform
from copy import deepcopy
from typing import NamedTuple, cast

import torch
from torch import nn

from asr.acoustic.model import AcousticModel
from asr.training import distributed

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
PRECISIONS = ("auto", *DTYPES)
# Values of ONEDNN_MAX_CPU_ISA that leave no bfloat16 dot products; others do not restrict them.
# Source: oneDNN's documentation, "CPU Dispatcher Control".
WITHOUT_BF16 = frozenset(
    ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")
)
# Frames of the trial; a few more than any stack of strides removes.
TRIAL_FRAMES = 64


class Precision(NamedTuple):
    """A number format, and why it was chosen."""

    name: str  # of DTYPES
    reason: str


def check_precision(wanted: str) -> None:
    """Refuse what is no precision.

    Raises:
        ValueError: names those that there are.
    """
    if wanted not in PRECISIONS:
        names = f"{', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}"
        raise ValueError(f"precision must be {names}, got {wanted!r}")


def choose_precision(wanted: str, model: AcousticModel, kept: str = "") -> Precision:
    """Settle the number format for training a model where it is; the same on every rank.

    Args:
        wanted: a name of DTYPES, or "auto" for bfloat16 where the device multiplies it natively
            and a trial step succeeds, else float32.
        model: on its device; it is not changed.
        kept: of a run that is resumed: "auto" stays with it where it runs at all.

    Raises:
        ValueError: `wanted` is none of these, or a format is asked for and does not run here.
    """
    check_precision(wanted)
    if wanted == "float32":
        return Precision("float32", "as configured")
    if wanted == "auto" and kept == "float32":
        return Precision("float32", "as the run was begun")
    choosing = wanted == "auto" and not kept
    name = "bfloat16" if choosing else kept if wanted == "auto" else wanted
    reason = missing_bfloat16(model.device) if choosing else None
    reason = reason or failure_of(model, name)
    if distributed.any_rank(reason is not None):
        reason = reason or f"another rank cannot compute in {name}"
        if wanted != "auto":
            raise ValueError(f"precision={wanted} does not run here: {reason}")
        return Precision("float32", reason)
    if choosing:
        return Precision(name, f"the {_kind(model.device)} multiplies bfloat16 natively")
    return Precision(name, "as the run was begun" if wanted == "auto" else "as configured")


def missing_bfloat16(device: torch.device) -> str | None:
    """Say why a device has no native bfloat16, from what it says of itself; None where it has."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return None if native else "this GPU has no bfloat16 units"
    if device.type != "cpu" or platform.machine().lower() not in ("x86_64", "amd64"):
        return f"bfloat16 is offered on GPUs of CUDA and on x86 CPUs, and this is {_kind(device)}"
    if not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return "this CPU has no bfloat16 dot products (AVX512_BF16 or AMX)"
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "")).upper()
    if limit in WITHOUT_BF16:
        return f"ONEDNN_MAX_CPU_ISA={limit} forbids bfloat16 dot products"
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return "this build of PyTorch has no bfloat16 kernels for this CPU"
    return None


def failure_of(model: AcousticModel, name: str) -> str | None:
    """Try one step of a copy of the network in a format; say what went wrong, or None."""
    device = model.device
    # In evaluation mode no layer draws numbers or asks other ranks; cuDNN's recurrent layers
    # have a gradient in training mode alone.
    network = cast(nn.Module, deepcopy(model.network)).eval()
    for module in network.modules():
        if isinstance(module, nn.RNNBase):
            module.train()
    features = torch.zeros(2, TRIAL_FRAMES, model.features.num_features, device=device)
    lengths = torch.tensor([TRIAL_FRAMES, TRIAL_FRAMES - 9], device=device)
    try:
        with torch.autocast(device.type, dtype=DTYPES[name]):
            logits, _ = network(features, lengths)
        logits.float().square().sum().backward()
    except (RuntimeError, NotImplementedError) as error:
        return f"a trial step in {name} failed: {str(error).splitlines()[0]}"
    return None


def _kind(device: torch.device) -> str:
    return "CPU" if device.type == "cpu" else f"GPU ({device.type})"
