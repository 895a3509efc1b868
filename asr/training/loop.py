"""The training loop: epochs of steps, validation, checkpoints, and stopping.

Killed at any moment, a run resumes from its last checkpoint and ends, on a CPU, with the same
weights bit for bit as one that was never stopped: everything random is a pure function of
(seed, epoch, batch).
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Literal

import numpy as np
import torch
from safetensors.torch import save_file

from asr.data.fingerprint import fingerprint_corpus
from asr.data.loading import Batch, BatchLoader, durations_of
from asr.evaluation.metrics import Metric, check_metric, choose_metric
from asr.training import distributed, rehearsal
from asr.training.best import BestWeights
from asr.training.heads import Heads
from asr.training.monitor import Monitor
from asr.training.precision import check_precision, choose_precision
from asr.training.run_folder import RunFolder
from asr.training.schedule import Schedule
from asr.training.state import (
    Progress,
    check_resumable,
    resume_training,
    save_training,
    source_fingerprints,
)
from asr.training.step import Moment, StepOutcome, Stepper
from asr.training.stopping import StopSignal
from asr.training.validation import Validation, validate

logger = logging.getLogger(__name__)

# Speech that the statistics of features are measured on: 360,000 frames are enough for a mean.
STATISTICS_S = 3600.0
# Stands where the rank would in the key of what ranks draw alike.
ALL_RANKS = 2**32 - 1


class TrainingError(ValueError):
    """Training cannot go on; the message says why and what was kept."""


class Trainer:
    """Trains a model and keeps its best checkpoints.

    Args:
        max_epochs: epochs at most, >= 1.
        metric: what chooses the best weights: "wer", "cer", "per", or "auto" by the model's tokens.
        validate_every: steps from one validation to the next within an epoch, >= 1, or None. There
            is one at the end of every epoch.
        log_every: steps from one line of loss, gradient and speed to the next, >= 1.
        precision: of the network: "float32", "bfloat16", "float16" with a scaled loss, or "auto"
            for what the device can do.
        grad_clip: largest norm of the gradient, > 0.
        grad_clip_value: largest magnitude of one of its numbers, > 0, or None.
        accumulate: batches of a step, >= 1: the mean gradient of their utterances.
        rehearse: whether the largest batches are tried before the first epoch; "auto": on a GPU.
        patience: epochs without a better dev rate before stopping, >= 1.
        keep_best: checkpoints that are kept and averaged at the end, >= 1.
        checkpoint_minutes: time between checkpoints within an epoch, > 0.
        max_bad_steps: steps in a row that may be skipped for a loss or gradient that is not
            finite before the run stops, >= 0.
        snapshot_epochs: epochs after which the posteriors of one dev utterance are kept.
        show_samples: dev utterances printed after each validation, >= 0.
    """

    def __init__(
        self,
        *,
        max_epochs: int,
        metric: str,
        validate_every: int | None,
        log_every: int,
        precision: Literal["auto", "float32", "bfloat16", "float16"],
        grad_clip: float,
        patience: int,
        keep_best: int,
        checkpoint_minutes: float,
        max_bad_steps: int,
        snapshot_epochs: Sequence[int],
        show_samples: int,
        grad_clip_value: float | None = None,
        accumulate: int = 1,
        rehearse: rehearsal.Wanted = "auto",
    ) -> None:
        counts = {
            "max_epochs": max_epochs,
            "patience": patience,
            "keep_best": keep_best,
            "log_every": log_every,
            "accumulate": accumulate,
            "validate_every": 1 if validate_every is None else validate_every,
        }
        for name, value in counts.items():
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} must be a whole number >= 1, got {value!r}")
        check_metric(metric)
        check_precision(precision)
        for name, limit in (
            ("grad_clip", grad_clip),
            ("grad_clip_value", grad_clip_value),
            ("checkpoint_minutes", checkpoint_minutes),
        ):
            if limit is not None and not limit > 0:
                raise ValueError(f"{name} must be > 0, got {limit}")
        self.max_epochs = max_epochs
        self.metric = metric
        self.validate_every = validate_every
        self.log_every = log_every
        self.precision = precision
        self.accumulate = accumulate
        self.rehearse: rehearsal.Wanted = rehearse
        self.patience = patience
        self.keep_best = keep_best
        self.checkpoint_minutes = checkpoint_minutes
        self.max_bad_steps = max_bad_steps
        self.snapshot_epochs = set(snapshot_epochs)
        self.show_samples = show_samples

    def fit(
        self,
        stepper: Stepper,
        schedule: Schedule,
        train: BatchLoader,
        dev: BatchLoader,
        run: RunFolder,
        *,
        resume: bool,
    ) -> Validation:
        """Train until the last epoch or the end of patience.

        Args:
            stepper: takes the steps; its model is changed in place, its optimizer's `lr` is the
                peak of the schedule.
            schedule: factor on the peak rate.
            train: batches to learn from.
            dev: batches to choose by.
            run: where files go.
            resume: whether to go on from run.last where there is one.

        Returns:
            Dev scores of what ckpt/best.ckpt holds in the end.

        Raises:
            TrainingError: too many steps in a row were not finite.
            Interrupted: SIGINT or SIGTERM; the state was saved.
        """
        return _Fit(self, stepper, schedule, train, dev, run).run_to_end(resume)


class _Fit:
    """One call of `Trainer.fit`."""

    def __init__(
        self,
        options: Trainer,
        stepper: Stepper,
        schedule: Schedule,
        train: BatchLoader,
        dev: BatchLoader,
        run: RunFolder,
    ) -> None:
        self.options = options
        self.stepper = stepper
        self.model = stepper.model
        self.metric: Metric = choose_metric(
            options.metric, self.model.separates_words, self.model.says_phones
        )
        self.optimizer = stepper.optimizer
        self.schedule = schedule
        self.train = train
        self.dev = dev
        self.run = run
        self.peak_lr = stepper.optimizer.param_groups[0]["lr"]
        self.best = BestWeights(run, self.model, self.metric, options.keep_best)
        self.now = Progress()
        self.begun = 0.0
        self.processor_begun_s = 0.0
        self.stop = StopSignal()
        self.monitor = Monitor(
            run,
            metric=self.metric,
            max_epochs=options.max_epochs,
            log_every=options.log_every,
            show_samples=options.show_samples,
        )

    def run_to_end(self, resume: bool) -> Validation:
        try:
            with self.stop.watching():
                self._start(resume)
                while not self._done():
                    self._epoch()
                return self.best.finish(self.now, self._score)
        finally:
            self.run.close()

    def _start(self, resume: bool) -> None:
        corpora = {
            name: fingerprint_corpus(loader.corpus)
            for name, loader in (("train", self.train), ("dev", self.dev))
        }
        corpora |= source_fingerprints(self.train.augment, self.stepper.loss)
        found = self._resume() if resume else None
        if found is not None:
            check_resumable(found, corpora)
            self.now = found
            if distributed.is_first():
                self.run.cut_metrics(found.metrics_size, found.step)
            logger.info("resuming at epoch %d, batch %d", found.epoch + 1, found.batch)
        elif self.model.features.needs_fit:
            batches = self.stop.between(self.train.sample(STATISTICS_S))
            sizes = ((batch.waveforms, batch.waveform_lengths) for batch in batches)
            self.model.features.fit(sizes, distributed.sum_over_ranks)
        self.now.world_size, self.now.corpora = distributed.world_size(), corpora
        if found is None and self.stepper.average is not None:
            self.stepper.average.restart()
        self._settle_precision()
        if rehearsal.is_wanted(self.options.rehearse, self.model.device) and not self._done():
            rehearsal.rehearse(self.stepper, self.train, self.now.epoch)
        self.begun = time.monotonic() - self.now.seconds
        self.processor_begun_s = time.process_time() - self.now.processor_s

    def _settle_precision(self) -> None:
        name, reason = choose_precision(self.options.precision, self.model, self.now.precision)
        logger.info("precision: %s (%s)", name, reason)
        if self.now.precision not in ("", name):
            logger.warning("precision: it was %s until now", self.now.precision)
        scaler = self.now.scaler if self.now.precision == name else {}
        self.now.precision = self.stepper.precision = name
        if scaler:
            self.stepper.scaler.load_state_dict(scaler)
        if distributed.is_first():
            facts = {"precision": name, "precision_reason": reason, "metric": self.metric}
            self.run.add_facts(facts)

    def _done(self) -> bool:
        finished = self.now.epoch >= self.options.max_epochs
        return finished or self.now.epochs_without_gain >= self.options.patience

    def _epoch(self) -> None:
        if not self.now.trained:
            self._train_epoch()
        with self._judged_weights():
            loss = self._validate()
            if distributed.is_first():
                self._snapshot(self.now.epoch + 1)
        self._end_epoch(loss)

    def _judged_weights(self) -> AbstractContextManager[None]:
        """Inside, the model has the weights that are validated and kept: the average's, if any."""
        average = self.stepper.average
        return nullcontext() if average is None else average.in_place()

    def _validate(self) -> float:
        """Score the model on the dev set, and keep its weights if they are good.

        Evaluation draws nothing and changes no weight: a stop or a kill in it loses nothing.

        Returns:
            Loss, nats an utterance.
        """
        validation = self._score(self.stepper.heads)
        for line in self.dev.bad.summary():
            logger.warning("dev: %s", line)
        now = self.now
        now.gained |= self.best.keep_if_good(now, validation)
        now.validated = now.step
        if distributed.is_first():
            self._look_at_clocks()
            self.monitor.log_validation(now, validation)
        return validation.loss

    def _score(self, heads: Heads | None = None) -> Validation:
        return validate(self.model, self.stop.between(self.dev.batches(0)), heads)

    def _validate_if_due(self) -> None:
        """Validate within an epoch; asked before a step, so that a resumed run asks again."""
        every, now = self.options.validate_every, self.now
        if every and now.batch and now.step % every == 0 and now.validated != now.step:
            self._save_last()
            with self._judged_weights():
                self._validate()

    def _train_epoch(self) -> None:
        plan = self.train.plan(self.now.epoch)
        durations = durations_of(self.train.corpus.utterances(self.now.epoch))
        saved = time.monotonic()
        with self.monitor.epoch(self.now, [float(durations[batch].sum()) for batch in plan]):
            batches = self.train.batches(self.now.epoch, self.now.batch)
            for group in groups(batches, self.options.accumulate):
                self._validate_if_due()
                stop = self._step(group, len(plan))
                if stop or time.monotonic() - saved > 60 * self.options.checkpoint_minutes:
                    self._save_last()
                    saved = time.monotonic()
                if stop:
                    self.stop.leave()
        self._report_bad()
        self.now.trained = True
        self._save_last()

    def _step(self, batches: list[Batch], num_batches: int) -> bool:
        """Take one step; say whether a rank was asked to stop."""
        now = self.now
        fraction = now.epoch + (now.batch + len(batches)) / num_batches
        factor = self.schedule(fraction, self.options.max_epochs, now.dev_losses)
        now.lr = self.peak_lr * factor
        seeds = [self._seed(now.batch + n, self.train.rank) for n in range(len(batches))]
        moment = Moment(now.lr, seeds, self._seed(now.batch, ALL_RANKS), now.step)
        outcome = self.stepper.take(batches, moment, self.stop.asked)
        now.batch += len(batches)
        now.step += 1
        if outcome.num_utterances:
            now.add(outcome)
        elif not outcome.idle:
            self._skipped(batches[-1], outcome)
        self.monitor.step(now, outcome, len(batches))
        return outcome.stop

    def _seed(self, batch: int, rank: int) -> int:
        key = (self.train.seed, self.now.epoch, batch, rank)
        return int(np.random.SeedSequence(key).generate_state(1)[0])

    def _skipped(self, batch: Batch, outcome: StepOutcome) -> None:
        """Count a step that was not taken; stop when there were too many in a row."""
        for problem in outcome.problems:
            logger.warning("step %d skipped: %s", self.now.step, problem)
        self.now.skipped += 1
        self.now.skipped_in_a_row += not outcome.overflow
        if self.now.skipped_in_a_row <= self.options.max_bad_steps:
            return
        path = self.run.path / f"bad_batch_rank{self.train.rank}.safetensors"
        tensors = {name: t for name, t in batch._asdict().items() if isinstance(t, torch.Tensor)}
        path.parent.mkdir(parents=True, exist_ok=True)  # another node may have its own disk
        save_file(tensors, path, {"ids": "\n".join(batch.ids)})
        reason = "; ".join(outcome.problems) or "see the other ranks"
        raise TrainingError(
            f"{self.now.skipped_in_a_row} steps in a row had no finite loss and gradient, over "
            f"max_bad_steps={self.options.max_bad_steps}; the last batch is in {path}: {reason}"
        )

    def _end_epoch(self, loss: float) -> None:
        now, epoch = self.now, self.now.epoch
        now.dev_losses.append(loss)
        now.epochs_without_gain = 0 if now.gained else now.epochs_without_gain + 1
        now.epoch, now.batch, now.loss_sum, now.num_utterances = epoch + 1, 0, 0.0, 0
        now.tasks = {}
        now.trained = now.gained = False
        self._save_last()

    def _snapshot(self, epoch: int) -> None:
        if epoch not in self.options.snapshot_epochs:
            return
        for speech in self.dev.corpus.utterances(0):
            try:
                waveform = torch.from_numpy(speech.waveform(self.dev.sample_rate))[None]  # (1, L)
                text = self.model.tokenizer.reference(speech.text)
            except ValueError as error:
                logger.warning("snapshot: not of %s: %s", speech.id, error)
                continue
            log_probs, _ = self.model.log_probs(waveform, torch.tensor([waveform.shape[1]]))
            self.run.save_snapshot(epoch, speech, text, log_probs[0])
            return

    def _report_bad(self) -> None:
        for unusable in self.train.bad.skipped:
            logger.warning(
                "not used in epoch %d: %s: %s", self.now.epoch + 1, unusable.id, unusable.reason
            )

    def _resume(self) -> Progress | None:
        return resume_training(self.run.last, self.stepper)

    def _look_at_clocks(self) -> None:
        self.now.seconds = time.monotonic() - self.begun
        self.now.processor_s = time.process_time() - self.processor_begun_s

    def _save_last(self) -> None:
        self._look_at_clocks()
        self.now.scaler = self.stepper.scaler.state_dict()
        if distributed.is_first():
            self.now.metrics_size = self.run.metrics_size()
            save_training(self.run.last, self.stepper, self.now)
            self.best.remove_worse(self.now)


def groups(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    """Deal out batches, so many at a time; the last ones may be fewer."""
    while group := list(islice(batches, size)):
        yield group
