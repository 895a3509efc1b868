"""What a training says of itself while it runs: time left, and metrics by step.

A terminal has a bar; a log file, where a bar is noise, has a line in half a minute.
"""

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tqdm import tqdm

from asr.evaluation.metrics import Metric, order_metrics
from asr.recognition.transcripts import finite
from asr.training import distributed
from asr.training.run_folder import RunFolder
from asr.training.state import Progress
from asr.training.step import StepOutcome
from asr.training.validation import Validation

# Seconds between two lines of progress, and before the first.
LINE_S, FIRST_LINE_S = 30.0, 10.0

logger = logging.getLogger(__name__)
# A terminal that shows the bar leaves this one's lines out (asr/cli/__init__.py).
progress_logger = logging.getLogger(f"{__name__}.progress")


class Monitor:
    """Follows one training; on every rank but the first it is silent.

    Args:
        run: where metrics go.
        metric: what chooses the best weights.
        max_epochs: epochs at most, for the time left.
        log_every: steps from one line of metrics.jsonl to the next, >= 1.
        show_samples: utterances logged after each validation.
    """

    def __init__(
        self,
        run: RunFolder,
        *,
        metric: Metric,
        max_epochs: int,
        log_every: int,
        show_samples: int,
    ) -> None:
        self.run = run
        self.metric: Metric = metric
        self.max_epochs = max_epochs
        self.log_every = log_every
        self.show_samples = show_samples
        self.epoch_of: list[float] = []  # seconds of speech of each of the epoch's batches
        self._begun: float | None = None
        self._heard_s = 0.0  # speech since then
        self._ahead_s = 0.0  # speech until the last epoch ends
        self._line_due = 0.0
        self._row = (0.0, 0.0)  # time and speech at the last line of metrics
        self._bar: tqdm | None = None

    @contextmanager
    def epoch(self, now: Progress, batch_seconds: Sequence[float]) -> Iterator[None]:
        """Follow an epoch whose batches hold so many seconds of speech, over all ranks."""
        self.epoch_of = list(batch_seconds)
        if self._begun is None:
            self._begun = time.monotonic()
            self._line_due = self._begun + FIRST_LINE_S
            self._row = (self._begun, 0.0)
        total_s = sum(batch_seconds)
        seen_s = total_s * now.epoch + sum(self.epoch_of[: now.batch])
        self._ahead_s = total_s * self.max_epochs - seen_s
        with tqdm(
            total=total_s * self.max_epochs,
            initial=seen_s,
            desc=f"epoch {now.epoch + 1}/{self.max_epochs}",
            bar_format="{desc}: {percentage:3.0f}%|{bar}|{postfix}",
            leave=False,
            dynamic_ncols=True,
            disable=not (distributed.is_first() and sys.stderr.isatty()),
        ) as self._bar:
            yield

    def position(self, now: Progress) -> float:
        """Epochs of data seen; whole at the end of one."""
        if now.trained:
            return now.epoch + 1
        return round(now.epoch + now.batch / max(1, len(self.epoch_of)), 4)

    def step(self, now: Progress, outcome: StepOutcome, num_batches: int = 1) -> None:
        """Show a step that was taken, `now` being where training stands after its batches."""
        if not distributed.is_first():
            return
        speech_s = sum(self.epoch_of[now.batch - num_batches : now.batch])
        self._heard_s += speech_s
        self._ahead_s -= speech_s
        if now.step % self.log_every == 0:
            self._log_step(now, outcome)
        clock = time.monotonic()
        if self._bar is not None and not self._bar.disable:
            self._bar.set_postfix_str(self._describe(now, outcome), refresh=False)
            self._bar.update(speech_s)
        if clock >= self._line_due:
            self._line_due = clock + LINE_S
            position = self.position(now)
            line = self._describe(now, outcome)
            progress_logger.info("epoch %.2f of %d: %s", position, self.max_epochs, line)

    def log_validation(self, now: Progress, validation: Validation) -> None:
        """Log scores of the dev set and remember where metrics.jsonl ends."""
        train_loss = now.loss_sum / max(1, now.num_utterances)
        epoch = self.position(now)
        metrics: dict[str, float | int | None] = {
            "epoch": epoch,
            "train_loss": train_loss,
            "dev_loss": validation.loss,
            **_task_metrics(now, validation),
            **{f"dev_{name}": validation.rate(name) for name in order_metrics(self.metric)},
            "lr": now.lr,
            "skipped_steps": now.skipped,
            "seconds": round(now.seconds, 1),
            "processor_s": round(now.processor_s, 1),
        }
        self.run.log_metrics(metrics, now.step)
        logger.info(
            "epoch %s: train loss %.2f, dev loss %.2f, %s, %.0f s",
            f"{epoch:.2f}" if epoch % 1 else int(epoch),
            train_loss,
            validation.loss,
            validation.describe(self.metric),
            now.seconds,
        )
        for line in _describe_tasks(now, validation):
            logger.info("  %s", line)
        for n in range(min(self.show_samples, len(validation.ids))):
            logger.info("  reference:  %s", validation.references[n])
            logger.info("  hypothesis: %s", validation.hypotheses[n])

    def _log_step(self, now: Progress, outcome: StepOutcome) -> None:
        clock, (before, heard_s) = time.monotonic(), self._row
        self._row = (clock, self._heard_s)
        mean = _mean(now.recent_loss_sum, now.recent_utterances)
        tasks = {f"{name}_loss": _mean(*sums) for name, sums in now.recent_tasks.items()}
        now.recent_loss_sum, now.recent_utterances, now.recent_tasks = 0.0, 0, {}
        metrics = {
            "epoch": self.position(now),
            "loss": mean,
            **tasks,
            "grad_norm": finite(outcome.grad_norm, 6),
            "lr": now.lr,
            "speech_hours_per_hour": round(
                (self._heard_s - heard_s) / max(1e-9, clock - before), 1
            ),
        }
        self.run.log_metrics(metrics, now.step)

    def _describe(self, now: Progress, outcome: StepOutcome) -> str:
        spent_s = time.monotonic() - (self._begun or 0.0)
        speed = self._heard_s / max(1e-9, spent_s)
        left_s = max(0.0, self._ahead_s) / max(1e-9, speed)
        loss = outcome.loss_sum / outcome.num_utterances if outcome.num_utterances else float("nan")
        best = ""
        if now.best:
            best = f", best {self.metric.upper()} {100 * now.best[0][0]:.1f} %"
        return (
            f"loss {loss:.2f}, gradient {outcome.grad_norm:.1f}, lr {now.lr:.1e}, "
            f"{speed:.0f} h of speech an hour{best}, {format_time(left_s)} left"
        )


def _mean(total: float, count: float) -> float | None:
    return total / count if count else None


def _task_metrics(now: Progress, validation: Validation) -> dict[str, float | None]:
    """Losses of further tasks, and the rates of auxiliary heads."""
    metrics = {f"train_{name}_loss": _mean(*sums) for name, sums in now.tasks.items()}
    for name, tally in validation.tasks.items():
        metrics[f"dev_{name}_loss"] = tally.loss
        metrics[f"dev_{name}_{tally.metric}"] = tally.value
    return metrics


def _describe_tasks(now: Progress, validation: Validation) -> Iterator[str]:
    """Say the same, a line a task."""
    for name in dict.fromkeys([*now.tasks, *validation.tasks]):
        loss, count = _mean(*now.tasks.get(name, (0.0, 0))), now.tasks.get(name, (0.0, 0))[1]
        parts = [] if loss is None else [f"train loss {loss:.2f} of {count:.0f} utterances"]
        tally = validation.tasks.get(name)
        if tally is not None and tally.loss is not None:
            parts.append(f"dev loss {tally.loss:.2f}")
        if tally is not None and tally.value is not None:
            metric = tally.metric if tally.metric == "accuracy" else tally.metric.upper()
            parts.append(f"{metric} {100 * tally.value:.2f} % of {tally.num_scored} utterances")
        yield f"{name}: {', '.join(parts) or 'no utterance has a target'}"


def format_time(seconds: float) -> str:
    """Write a time as one reads it: 45 s, 12 min, 3 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
