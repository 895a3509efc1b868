"""`heads=...`: auxiliary heads from a configuration, and what of the data they can learn from."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

from asr.cli.hydra_config import ConfigError, build, check_types
from asr.data.loading import Speech
from asr.training.tasks import Task, reason_for_none

logger = logging.getLogger(__name__)


def build_tasks(config: dict, train: Sequence[Speech]) -> dict[str, Task]:
    """Build what the heads of a configuration learn, by name; nothing with `heads=none`.

    Args:
        config: the resolved configuration.
        train: utterances of the training set.

    Raises:
        ConfigError: a value is refused, or the training set has no such target.
    """
    options = config.get("heads") or {}
    check_types(options, "heads")
    tasks: dict[str, Task] = {}
    for name in options:
        if name == "letters":
            raise ConfigError("heads.letters: is what model.intermediate_layer is called")
        try:
            make = build(options, name, _partial_=True)
            tasks[name] = cast(partial, make)(utterances=train)
        except ValueError as error:
            raise ConfigError(f"heads.{name}: {error}") from error
    return tasks


def log_coverage(tasks: Mapping[str, Task], train: Sequence[Speech], dev: Sequence[Speech]) -> None:
    """Say how many utterances have a target for each head, and why others have none."""
    for name, task in tasks.items():
        counts = []
        for kind, utterances, what in (
            ("train", train, "add no loss to it"),
            ("dev", dev, "are not scored by it"),
        ):
            reasons = [(speech.id, reason_for_none(task, speech)) for speech in utterances]
            without = [(found, reason) for found, reason in reasons if reason is not None]
            counts.append(f"{len(reasons) - len(without)} of {len(reasons)} {kind} utterances")
            if without:
                words = (name, len(without), kind, what, *without[0])
                logger.warning("heads.%s: %d %s utterances %s; the first, %s: %s", *words)
        logger.info("heads.%s: %d classes, %s", name, len(task.classes), ", ".join(counts))
