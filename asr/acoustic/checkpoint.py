"""What a saved model holds, and how it is written and read.

One file, one atomic rename: a safetensors file whose tensors are the weights (`model.*`), the
feature statistics (`features.*`) and, in `last.ckpt`, what resuming needs (`optimizer.*`); its
header carries one JSON text with the resolved configuration, the tokenizer and the normaliser.
Reading it never executes anything: classes come from the lists of `asr.features` and `asr.models`,
not from names in the file.

A file may be a stranger's: what its header describes is first built without memory, with no more
parts than the file has tensors, and must have the shapes of those tensors. Only then is it built.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from asr.acoustic.huggingface import read_folder, read_folder_config
from asr.acoustic.model import AcousticModel, build_front_end, build_network
from asr.files import write_atomically
from asr.resampling import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from asr.text import TextNormalizer, normalizer_from_state, tokenizer_from_state

Content = TypeVar("Content")

FORMAT = 1
# A network has hundreds; what has more is no network.
MAX_TENSORS = 10_000
# Modules without weights (activations, dropout, containers) for one tensor, at most.
MODULES_FOR_TENSOR = 10
# Silence that a model must turn into log-probabilities before it is believed.
TRIAL_S = 0.1


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
        "normalizer": model.normalizer.state() if model.normalizer is not None else None,
        "extra": extra or {},
    }
    tensors = model_tensors(model) | (state or {})
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_atomically(path, save_safetensors(tensors, {"asr": json.dumps(header)}))


def read_checkpoint(path: Path) -> tuple[dict, dict[str, Tensor]]:
    """Read header and tensors of a file of ours, or of a folder from Hugging Face.

    Raises:
        ModelFileError: the file is missing, cut short, or not one of ours; or as `read_folder`.
    """
    if path.is_dir():
        return _translate(read_folder, path)
    return _read(path, lambda file: {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118


def read_header(path: Path) -> dict:
    """Read the header without the weights, of a folder its configuration alone; raises likewise."""
    if path.is_dir():
        return {"config": _translate(read_folder_config, path)}
    return _read(path, lambda file: {})[0]


def _translate(read: Callable[[Path], Content], folder: Path) -> Content:
    try:
        return read(folder)
    except ValueError as error:
        raise ModelFileError(str(error)) from error


def _read(
    path: Path, read_tensors: Callable[[Any], dict[str, Tensor]]
) -> tuple[dict, dict[str, Tensor]]:
    if not path.is_file():
        raise ModelFileError(f"{path}: no such checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["asr"])
            tensors = read_tensors(file)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RecursionError) as error:
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

    Args:
        path: a file of ours, or a folder with a CTC model from Hugging Face (`read_folder`).

    Raises:
        ModelFileError: as `read_checkpoint`, or the parts do not fit each other.
    """
    path = Path(path)
    header, tensors = read_checkpoint(path)
    try:
        model = _rebuild(header, tensors)
        restore(model, tensors, path)
        _try_out(model)
    except ModelFileError:
        raise
    # Whatever a stranger's file provokes in a constructor, it is the file that is wrong.
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelFileError(f"{path}: cannot rebuild the model: {reason}") from error
    model.network.eval()
    model.features.eval()
    return model


def _rebuild(header: dict, tensors: Mapping[str, Tensor]) -> AcousticModel:
    """Build the model of a header, after a trial that takes neither time nor memory."""
    config, tokenizer = header["config"], tokenizer_from_state(header["tokenizer"])
    features = build_front_end(config)
    with torch.device("meta"), _at_most(min(len(tensors), MAX_TENSORS)):
        trial = build_network(config, tokenizer, features)
    _check_shapes(AcousticModel(config, tokenizer, features, trial), tensors)
    network = build_network(config, tokenizer, features)
    return AcousticModel(config, tokenizer, features, network, normalizer_of(header))


def normalizer_of(header: dict) -> TextNormalizer | None:
    """Rebuild the normaliser of a checkpoint's header; None where it has none.

    Raises:
        ValueError: what the header holds is no normaliser.
    """
    state = header.get("normalizer")
    return None if state is None else normalizer_from_state(state)


def _check_shapes(model: AcousticModel, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in model_tensors(model).items():
        if name not in tensors:
            raise ValueError(f"the configuration asks for {name}, which the file does not hold")
        if tensor.shape != tensors[name].shape:
            raise ValueError(
                f"{name} must be {tuple(tensor.shape)} by the configuration, got "
                f"{tuple(tensors[name].shape)}"
            )


def _try_out(model: AcousticModel) -> None:
    """Run a model on silence: what fails there would fail in the middle of a user's work."""
    if not MIN_SAMPLE_RATE <= model.sample_rate <= MAX_SAMPLE_RATE:
        raise ValueError(
            f"sample_rate must be {MIN_SAMPLE_RATE}..{MAX_SAMPLE_RATE}, got {model.sample_rate}"
        )
    num_samples = int(TRIAL_S * model.sample_rate)
    log_probs, lengths = model.log_probs(torch.zeros(1, num_samples), torch.tensor([num_samples]))
    expected = (1, model.num_frames(num_samples), len(model.tokenizer.tokens))
    if log_probs.shape != expected or int(lengths) != expected[1] or log_probs.isnan().any():
        raise ValueError(
            f"{TRIAL_S} s of silence must give log-probabilities {expected} without NaN, got "
            f"{tuple(log_probs.shape)}"
        )


@contextmanager
def _at_most(num_tensors: int) -> Iterator[None]:
    """Stop this thread from building modules with more parameters than that.

    Raises:
        ValueError: they are more, as soon as they are.
    """
    thread = threading.get_ident()
    left = {"parameters": num_tensors, "modules": MODULES_FOR_TENSOR * num_tensors}

    def count(kind: str) -> None:
        if threading.get_ident() == thread:
            left[kind] -= 1
            if left[kind] < 0:
                raise ValueError(
                    f"the configuration asks for more {kind} than the {num_tensors} tensors "
                    "that the file holds"
                )

    def on_parameter(module: nn.Module, name: str, value: object) -> None:
        count("parameters")

    def on_module(module: nn.Module, name: str, value: object) -> None:
        count("modules")

    hooks = (
        register_module_parameter_registration_hook(on_parameter),
        register_module_module_registration_hook(on_module),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
