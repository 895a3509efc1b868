"""`init_from=FILE`: the network and the features of the model that training starts from."""

import logging
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from asr.acoustic.checkpoint import ModelFileError, load_checkpoint, read_header
from asr.acoustic.model import AcousticModel
from asr.training import distributed
from asr.training.initialisation import inherit

# What a model file says and a configuration need not repeat.
PARTS = ("features", "model")

logger = logging.getLogger(__name__)


def adopt(config: DictConfig, overrides: Sequence[str]) -> None:
    """Take the parts of the file's configuration, unless the command line chooses others.

    `model=NAME` chooses another network, of which the weights are taken that fit; `model.KEY=VALUE`
    changes one value of the file's.

    Raises:
        ModelFileError: the file cannot be read, or lacks these parts.
    """
    path = config.get("init_from")
    if path is None:
        return
    theirs = read_header(Path(path)).get("config")
    if not isinstance(theirs, dict) or any(part not in theirs for part in PARTS):
        raise ModelFileError(f"init_from={path}: says nothing of its {' and '.join(PARTS)}")
    named = [override.lstrip("+~").partition("=")[0] for override in overrides]
    for part in PARTS:
        if part in named:
            continue
        changed = [key for key in named if key.startswith(f"{part}.")]
        values = {key: OmegaConf.select(config, key) for key in changed}
        config[part] = theirs[part]
        for key, value in values.items():
            OmegaConf.update(config, key, value)


def start_from(model: AcousticModel, path: str) -> None:
    """Copy weights of a file into a new model and say which.

    Raises:
        ValueError: the file cannot be read, or nothing of it fits.
    """
    try:
        inherited = inherit(model, load_checkpoint(path).to(model.device))
    except ValueError as error:
        raise ValueError(f"init_from={path}: {error}") from error
    if distributed.is_first():
        logger.info("starting from %s", path)
        for line in inherited.lines():
            logger.info("  %s", line)
