"""One training step: batch -> loss -> gradient -> new weights, or a reason why not."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from asr.acoustic.model import AcousticModel
from asr.augment.augment import SpecAugment
from asr.ctc import explain, minimum_input_length
from asr.ctc.loss import runs_on
from asr.data.loading import Batch
from asr.training import distributed

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class StepOutcome(NamedTuple):
    """What a step did, summed over ranks."""

    loss_sum: float  # nats, over the utterances
    num_utterances: int
    grad_norm: float
    problems: list[str]  # why the step was skipped; of this rank


class Stopwatch:
    """Adds up the seconds of named stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start


class Stepper:
    """Takes training steps.

    Args:
        model: the model that learns.
        optimizer: of its parameters.
        augment: masks features, or None.
        loss: (logits (T, N, C), targets, input_lengths, target_lengths) -> (N,) nats.
        precision: of the network, "float32" or "bfloat16"; features and loss stay float32.
        grad_clip: largest norm of the gradient, > 0.
    """

    def __init__(
        self,
        model: AcousticModel,
        optimizer: Optimizer,
        *,
        augment: SpecAugment | None,
        loss: Loss,
        precision: str,
        grad_clip: float,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.augment = augment
        self.loss = loss
        self.precision = precision
        self.grad_clip = grad_clip
        self.stopwatch = Stopwatch()

    def __call__(self, batch: Batch, lr: float, seed: int) -> StepOutcome:
        """Take one step at that learning rate; dropout and masks follow from `seed`."""
        torch.manual_seed(seed)
        self.model.network.train()
        losses, problems = self._losses(batch, seed)
        counts = torch.tensor([float(losses.detach().sum()), len(losses), bool(problems)])
        counts = distributed.sum_over_ranks(counts.double())
        loss_sum, num_utterances, num_broken = counts.tolist()
        if num_broken or not num_utterances:
            return StepOutcome(0.0, 0, float("nan"), problems)
        with self.stopwatch.measure("backward"):
            self.optimizer.zero_grad(set_to_none=True)
            if len(losses):
                (losses.sum() / num_utterances).backward()
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            distributed.sum_gradients(parameters)
        with self.stopwatch.measure("optimizer"):
            norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.grad_clip))
            if not torch.isfinite(torch.tensor(norm)):
                return StepOutcome(0.0, 0, norm, [f"the gradient's norm is {norm}"])
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            self.optimizer.step()
        return StepOutcome(loss_sum, int(num_utterances), norm, [])

    def _losses(self, batch: Batch, seed: int) -> tuple[Tensor, list[str]]:
        """Loss of each utterance, (N,), and what is wrong with those that are not finite."""
        if not batch.ids:
            return torch.zeros(0), []
        logits, lengths = self.forward(batch, seed)
        with self.stopwatch.measure("loss"):
            device = logits.device if runs_on(logits.device) else torch.device("cpu")
            logits, lengths = logits.float().to(device), lengths.to(device)
            losses = self.loss(logits, batch.targets, lengths, batch.target_lengths)
        return losses, explain_losses(losses.detach(), logits.detach(), lengths, batch)

    def forward(self, batch: Batch, seed: int) -> tuple[Tensor, Tensor]:
        """Compute logits (T, N, C) and lengths (N,)."""
        device = self.model.device
        with self.stopwatch.measure("features"):
            waveforms, lengths = batch.waveforms.to(device), batch.waveform_lengths.to(device)
            features, lengths = self.model.features(waveforms, lengths)
            if self.augment is not None:
                generator = torch.Generator().manual_seed(seed)
                features = self.augment(features, lengths, generator)
        enabled = self.precision == "bfloat16"
        with (
            self.stopwatch.measure("forward"),
            torch.autocast(device.type, dtype=DTYPES[self.precision], enabled=enabled),
        ):
            return self.model.network(features, lengths)


def explain_losses(losses: Tensor, logits: Tensor, lengths: Tensor, batch: Batch) -> list[str]:
    """Say for every utterance whose loss is not finite what is wrong with it.

    Args:
        losses: (N,) nats.
        logits: (T, N, C).
        lengths: (N,) frames.
        batch: where they come from.

    Returns:
        One line an utterance: its name, T, S, repeats, and the reason.
    """
    broken = torch.nonzero(~torch.isfinite(losses)).flatten().tolist()
    if not broken:
        return []
    reasons = dict(explain(logits, batch.targets, lengths, batch.target_lengths))
    lines = []
    for n in broken:
        size = int(batch.target_lengths[n])
        repeats = minimum_input_length(batch.targets[n, :size].tolist()) - size
        lines.append(
            f"{batch.ids[n]}: loss {float(losses[n])}, T={int(lengths[n])}, S={size}, "
            f"repeats={repeats}: {reasons.get(n, 'its text has no probability')}"
        )
    return lines
