"""What a saved model holds, and how it is written and read.

One file, one atomic rename: a safetensors file whose tensors are the weights (`model.*`), the
feature statistics (`features.*`) and, in `last.ckpt`, what resuming needs (`optimizer.*`); its
header carries one JSON text with the resolved configuration and the tokenizer. Reading it never
executes anything: classes come from the lists of `asr.features` and `asr.models`, not from names
in the file.
"""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_safetensors
from torch import Tensor

from asr.acoustic.model import AcousticModel, build_model
from asr.files import write_atomically
from asr.text import tokenizer_from_state

FORMAT = 1


class ModelFileError(ValueError):
    """A model file that cannot be used; the message names the file and the reason."""


def model_tensors(model: AcousticModel) -> dict[str, Tensor]:
    """Weights and feature statistics under the names they have in a file."""
    tensors = {f"model.{name}": value for name, value in model.network.state_dict().items()}
    tensors |= {f"features.{name}": value for name, value in model.features.state_dict().items()}
    return tensors


def save_checkpoint(
    path: Path,
    model: AcousticModel,
    extra: dict | None = None,
    state: dict[str, Tensor] | None = None,
) -> None:
    """Write a model, and what resuming needs, under a temporary name and rename it.

    Args:
        path: the file; its folder must exist.
        model: the model.
        extra: JSON-able facts kept beside it (epoch, scores, counters).
        state: further tensors, for instance of the optimizer.
    """
    header = {
        "format": FORMAT,
        "config": model.config,
        "tokenizer": model.tokenizer.state(),
        "extra": extra or {},
    }
    tensors = model_tensors(model) | (state or {})
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_atomically(path, save_safetensors(tensors, {"asr": json.dumps(header)}))


def read_checkpoint(path: Path) -> tuple[dict, dict[str, Tensor]]:
    """Read header and tensors.

    Raises:
        ModelFileError: the file is missing, cut short, or not one of ours.
    """
    if not path.is_file():
        raise ModelFileError(f"{path}: no such checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["asr"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ModelFileError(
            f"{path}: not a readable checkpoint (cut short, or of another program): {error}"
        ) from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ModelFileError(f"{path}: checkpoint format must be {FORMAT}")
    return header, tensors


def restore(model: AcousticModel, tensors: dict[str, Tensor], path: Path) -> None:
    """Load weights and feature statistics out of a file's tensors."""
    for prefix, module in (("model.", model.network), ("features.", model.features)):
        part = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        try:
            module.load_state_dict(part)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ModelFileError(
                f"{path}: weights do not fit the configuration: {reason}"
            ) from error


def load_checkpoint(path: str | Path) -> AcousticModel:
    """Read a model and make it ready for evaluation.

    Raises:
        ModelFileError: as `read_checkpoint`, or the parts do not fit each other.
    """
    path = Path(path)
    header, tensors = read_checkpoint(path)
    try:
        tokenizer = tokenizer_from_state(header["tokenizer"])
        model = build_model(header["config"], tokenizer)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: cannot rebuild the model: {error}") from error
    restore(model, tensors, path)
    model.network.eval()
    model.features.eval()
    return model
