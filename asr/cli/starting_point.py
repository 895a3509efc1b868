"""`init_from=PLACE`: the network and the features of the model that training starts from."""

import logging
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from asr.acoustic.checkpoint import ModelFileError, load_checkpoint, read_header
from asr.acoustic.huggingface import OPTIONS_OF_WEIGHTS
from asr.acoustic.model import AcousticModel
from asr.recognition.box import BOX
from asr.training import distributed
from asr.training.initialisation import inherit

# What a model file says and a configuration need not repeat.
PARTS = ("features", "model")
WAV2VEC2 = "asr.models.Wav2Vec2"
# Named in place of a file: the model in the box.
IN_THE_BOX = "box"

logger = logging.getLogger(__name__)


def adopt(config: DictConfig, overrides: Sequence[str]) -> None:
    """Take the parts of the file's configuration, unless the command line chooses others.

    `model=NAME` chooses another network, of which the weights are taken that fit; `model.KEY=VALUE`
    changes one value of the file's. `model=wav2vec2` has its sizes from the file all the same.

    Raises:
        ModelFileError: the file cannot be read, or lacks these parts.
    """
    path = config.get("init_from")
    if path is None:
        return
    theirs = read_header(_find(path)).get("config")
    if not isinstance(theirs, dict) or any(part not in theirs for part in PARTS):
        raise ModelFileError(f"init_from={path}: says nothing of its {' and '.join(PARTS)}")
    named = [override.lstrip("+~").partition("=")[0] for override in overrides]
    for part in PARTS:
        changed = [key for key in named if key.startswith(f"{part}.")]
        values = {key: OmegaConf.select(config, key) for key in changed}
        if part not in named:
            config[part] = theirs[part]
        elif theirs[part].get("_target_") == config[part].get("_target_") == WAV2VEC2:
            for key in OPTIONS_OF_WEIGHTS:
                config[part][key] = theirs[part][key]
        for key, value in values.items():
            OmegaConf.update(config, key, value)


def start_from(model: AcousticModel, path: str) -> None:
    """Copy weights of a file into a new model and say which.

    Raises:
        ValueError: the file cannot be read, or nothing of it fits.
    """
    try:
        inherited = inherit(model, load_checkpoint(_find(path)).to(model.device))
    except ValueError as error:
        raise ValueError(f"init_from={path}: {error}") from error
    if distributed.is_first():
        # An experiment may have named others, which give way to those of the file.
        parts = (type(part).__name__ for part in (model.network, model.features))
        logger.info("starting from %s (%s, %s)", path, *parts)
        for line in inherited.lines():
            logger.info("  %s", line)


def _find(path: str) -> Path:
    return BOX if path == IN_THE_BOX else Path(path)
