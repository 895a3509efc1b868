"""A model file for recognition alone: half the size, and nothing of the run that made it."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor

from asr.acoustic.checkpoint import ModelFileError, read_checkpoint
from asr.files import write_atomically
from asr.text import Tokenizer, tokenizer_from_state

# Of a configuration, what builds the model: the rest says where the run and its data were.
PARTS = ("features", "model")


def shrink_checkpoint(
    source: Path, path: Path, facts: Mapping[str, object], tokenizer: Tokenizer | None = None
) -> None:
    """Write the model of a checkpoint as a small file that is loaded like any other.

    Matrices are stored as float16, which loading turns into float32 again; statistics and biases
    stay as they are. What resuming needs is left out.

    Args:
        source: a checkpoint.
        path: the file; its folder must exist.
        facts: JSON-able, kept beside the model.
        tokenizer: in place of the checkpoint's, with the same tokens: phones of fewer words.

    Raises:
        ModelFileError: `source` cannot be read, a weight is beyond float16, or the tokens differ.
    """
    header, tensors = read_checkpoint(source)
    kept = {
        name: _halved(name, tensor, source)
        for name, tensor in tensors.items()
        if name.startswith(("model.", "features."))
    }
    config = {part: header["config"][part] for part in PARTS}
    header |= {"config": config, "extra": dict(facts)}
    if tokenizer is not None:
        if tokenizer.tokens != tokenizer_from_state(header["tokenizer"]).tokens:
            raise ModelFileError(f"{source}: has other tokens than the tokenizer for its file")
        header["tokenizer"] = tokenizer.state()
    write_atomically(path, save_safetensors(kept, {"asr": json.dumps(header)}))


def _halved(name: str, tensor: Tensor, source: Path) -> Tensor:
    if tensor.dtype != torch.float32 or tensor.dim() < 2:
        return tensor
    half = tensor.half()
    if not half.isfinite().all():
        raise ModelFileError(f"{source}: {name} has weights beyond float16's 65504")
    return half
