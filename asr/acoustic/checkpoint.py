"""What a saved model holds, and how it is written and read.

One file, one atomic rename: a safetensors file whose tensors are the weights (`model.*`), the
feature statistics (`features.*`) and, in `last.ckpt`, what resuming needs (`optimizer.*`); its
header carries one JSON text with the resolved configuration and the tokenizer. Reading it never
executes anything: classes come from the short list below, not from names in the file.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from asr.features.log_mel import LogMel
from asr.models import DeepSpeech2
from asr.text import Tokenizer, tokenizer_from_state

FORMAT = 1
CLASSES: dict[str, type[nn.Module]] = {
    "asr.features.LogMel": LogMel,
    "asr.models.DeepSpeech2": DeepSpeech2,
}


class ModelFileError(ValueError):
    """A model file that cannot be used; the message names the file and the reason."""


@dataclass
class LoadedModel:
    """A model ready to turn waveforms into log-probabilities."""

    config: dict
    tokenizer: Tokenizer
    features: LogMel
    model: DeepSpeech2

    @property
    def sample_rate(self) -> int:
        """Hz that waveforms must have."""
        return self.features.sample_rate

    @property
    def seconds_per_frame(self) -> float:
        """Time between two frames of the output."""
        return self.features.seconds_per_frame * self.model.subsampling_factor

    def num_frames(self, num_samples: int) -> int:
        """Output frames for that many samples."""
        frames = self.features.num_frames(torch.tensor([num_samples]))
        return int(self.model.output_lengths(frames))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    def to(self, device: torch.device | str) -> "LoadedModel":
        """Move weights and feature tables."""
        self.features.to(device)
        self.model.to(device)
        return self

    @torch.inference_mode()
    def log_probs(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute log-probabilities in evaluation mode.

        Args:
            waveforms: (N, L) float32 in [-1, 1] at `sample_rate`.
            lengths: (N,) samples.

        Returns:
            log_probs (N, T, C) float32 and their lengths (N,) int64, on the CPU.
        """
        self.features.eval()
        self.model.eval()
        device = self.device
        features, feature_lengths = self.features(waveforms.to(device), lengths.to(device))
        logits, output_lengths = self.model(features, feature_lengths)
        log_probs = logits.float().log_softmax(-1).transpose(0, 1)  # (N, T, C)
        return log_probs.contiguous().cpu(), output_lengths.cpu()


def build_module(config: dict, **sizes: int) -> nn.Module:
    """Build one of the project's own classes from a `_target_` configuration.

    Raises:
        ValueError: the target is not one of `CLASSES`, or refuses its arguments.
    """
    arguments = dict(config)
    target = arguments.pop("_target_", None)
    if target not in CLASSES:
        raise ValueError(f"_target_ must be one of {sorted(CLASSES)}, got {target!r}")
    try:
        return CLASSES[target](**arguments, **sizes)
    except TypeError as error:
        raise ValueError(f"{target}: {error}") from error


def build_model(config: dict, tokenizer: Tokenizer) -> LoadedModel:
    """Build features and an untrained model from a resolved configuration."""
    features = cast(LogMel, build_module(config["features"]))
    sizes = {"num_features": features.num_features, "num_classes": len(tokenizer.tokens)}
    model = cast(DeepSpeech2, build_module(config["model"], **sizes))
    return LoadedModel(config, tokenizer, features, model)


def model_tensors(loaded: LoadedModel) -> dict[str, Tensor]:
    """Weights and feature statistics under the names they have in a file."""
    tensors = {f"model.{name}": value for name, value in loaded.model.state_dict().items()}
    tensors |= {f"features.{name}": value for name, value in loaded.features.state_dict().items()}
    return tensors


def save_checkpoint(
    path: Path,
    loaded: LoadedModel,
    extra: dict | None = None,
    state: dict[str, Tensor] | None = None,
) -> None:
    """Write a model, and what resuming needs, under a temporary name and rename it.

    Args:
        path: the file; its folder must exist.
        loaded: the model.
        extra: JSON-able facts kept beside it (epoch, scores, counters).
        state: further tensors, for instance of the optimizer.
    """
    header = {
        "format": FORMAT,
        "config": loaded.config,
        "tokenizer": loaded.tokenizer.state(),
        "extra": extra or {},
    }
    tensors = model_tensors(loaded) | (state or {})
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_atomically(path, save_safetensors(tensors, {"asr": json.dumps(header)}))


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a kill leaves either the old one or the new one whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


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


def restore(loaded: LoadedModel, tensors: dict[str, Tensor], path: Path) -> None:
    """Load weights and feature statistics out of a file's tensors."""
    for prefix, module in (("model.", loaded.model), ("features.", loaded.features)):
        part = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        try:
            module.load_state_dict(part)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ModelFileError(
                f"{path}: weights do not fit the configuration: {reason}"
            ) from error


def load_checkpoint(path: str | Path) -> LoadedModel:
    """Read a model and make it ready for evaluation.

    Raises:
        ModelFileError: as `read_checkpoint`, or the parts do not fit each other.
    """
    path = Path(path)
    header, tensors = read_checkpoint(path)
    try:
        tokenizer = tokenizer_from_state(header["tokenizer"])
        loaded = build_model(header["config"], tokenizer)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: cannot rebuild the model: {error}") from error
    restore(loaded, tensors, path)
    loaded.model.eval()
    loaded.features.eval()
    return loaded
