"""The best weights of a run: which are kept, and the mean that may be better than each."""

import logging
from collections.abc import Callable
from pathlib import Path

from asr.acoustic.checkpoint import restore, save_checkpoint
from asr.acoustic.model import AcousticModel
from asr.evaluation.metrics import Metric
from asr.training import distributed
from asr.training.averaging import average_tensors
from asr.training.run_folder import RunFolder
from asr.training.state import Progress, copy_model_from_first
from asr.training.validation import Validation

logger = logging.getLogger(__name__)


class BestWeights:
    """Keeps a run's best checkpoints; only the first rank writes.

    Args:
        run: where files go.
        model: whose weights.
        metric: what chooses.
        keep: how many, >= 1.
    """

    def __init__(self, run: RunFolder, model: AcousticModel, metric: Metric, keep: int) -> None:
        self.run = run
        self.model = model
        self.metric: Metric = metric
        self.keep = keep

    def keep_if_good(self, now: Progress, validation: Validation) -> bool:
        """Keep the model's weights if they are among the best; say whether they are the best."""
        best = now.best
        entry = (validation.rate(self.metric), validation.loss, _name(now))
        first = not best or entry[:2] < best[0][:2]
        best.append(entry)
        best.sort()
        if entry in best[: self.keep]:
            self._save(self._path_of(entry[2]), {"dev": entry})
        del best[self.keep :]
        if first:
            self._save(self.run.best, {"dev": entry})
        return first

    def remove_worse(self, now: Progress) -> None:
        """Remove weights that are no longer among the best; last.ckpt names only what stays."""
        kept = {self._path_of(name) for _, _, name in now.best}
        for path in self.run.checkpoints.glob("epoch_*.ckpt"):
            if path not in kept:
                path.unlink()

    def finish(self, now: Progress, validate: Callable[[], Validation]) -> Validation:
        """Average the best checkpoints; the mean becomes best.ckpt where it is no worse.

        Args:
            now: where training stands.
            validate: scores the model as it is.

        Returns:
            Scores of what best.ckpt holds, and the model with it.
        """
        names = [name for _, _, name in now.best]
        rate, loss, best = now.best[0]
        validation = self._validate_mean(names, validate)
        mean = validation.rate(self.metric)
        better = (mean, validation.loss) <= (rate, loss)
        logger.info(
            "mean of %d checkpoints: %s %.2f %%; best (%s): %.2f %%; best.ckpt is the %s",
            *(len(names), self.metric.upper(), 100 * mean, best, 100 * rate),
            "mean" if better else "best",
        )
        facts = {"dev": (mean, validation.loss)}
        if better:
            self._save(self.run.best, facts)
        self._save(self.run.averaged, facts)
        return validation if better else self._validate_mean(names[:1], validate)

    def _validate_mean(self, names: list[str], validate: Callable[[], Validation]) -> Validation:
        """Load the mean of some checkpoints' weights, and score it."""
        if distributed.is_first():
            paths = [self._path_of(name) for name in names]
            restore(self.model, average_tensors(paths), paths[0])
        copy_model_from_first(self.model)
        return validate()

    def _save(self, path: Path, facts: dict) -> None:
        if distributed.is_first():
            save_checkpoint(path, self.model, facts)

    def _path_of(self, name: str) -> Path:
        return self.run.checkpoints / f"{name}.ckpt"


def _name(now: Progress) -> str:
    """Name of the checkpoint of now; within an epoch with its step."""
    return f"epoch_{now.epoch + 1:03d}" + ("" if now.trained else f"_step_{now.step}")
