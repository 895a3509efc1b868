"""One training step: batch -> loss -> gradient -> new weights, or a reason why not."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from asr.acoustic.model import AcousticModel
from asr.augment import SpecAugment
from asr.ctc import explain, minimum_input_length
from asr.data.loading import Batch
from asr.models import SpellingNetwork
from asr.training import distributed
from asr.training.spelling import SpellingLoss, WithCharacters

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
# Of the nothing that a rank without utterances runs through its network.
IDLE_FRAMES = 32
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class StepOutcome(NamedTuple):
    """What a step did, summed over ranks."""

    loss_sum: float  # nats, over the utterances
    num_utterances: int
    grad_norm: float
    problems: list[str]  # why the step was skipped; of this rank
    stop: bool = False  # whether any rank was asked to stop


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
        optimizer: of its parameters; a group's "factor" multiplies the learning rate, 1 without.
        augment: masks features, or None.
        loss: (logits (T, N, C), targets, input_lengths, target_lengths) -> (N,) nats.
        precision: of the network, "float32" or "bfloat16"; features and loss stay float32.
        grad_clip: largest norm of the gradient, > 0.
        frozen: modules of the network that run as in evaluation.
        intermediate_weight: of the loss over characters by the network's intermediate layer, where
            it has one, beside the loss over tokens; > 0 then.
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
        frozen: Sequence[nn.Module] = (),
        intermediate_weight: float = 0.0,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.augment = augment
        self.loss = loss
        self.precision = precision
        self.grad_clip = grad_clip
        self.frozen = frozen
        self.stopwatch = Stopwatch()
        network = cast(nn.Module, model.network)
        self.spelling = None
        if model.network.intermediate is not None:
            if not intermediate_weight > 0:
                raise ValueError(f"intermediate_weight must be > 0, got {intermediate_weight}")
            self.spelling = SpellingLoss(model.tokenizer, intermediate_weight)
            network = WithCharacters(network)
        self.network = distributed.parallel(network)

    def __call__(self, batch: Batch, lr: float, seed: int, stop: bool = False) -> StepOutcome:
        """Take one step at that learning rate; dropout and masks follow from `seed`.

        All ranks take or skip it together. A GPU is waited for once, after the gradient.

        Args:
            batch: this rank's share; it may be empty.
            lr: learning rate.
            seed: of this rank and step.
            stop: whether this rank was asked to stop, which the others learn with the outcome.
        """
        torch.manual_seed(seed)
        self.network.train()
        for module in self.frozen:
            module.eval()
        if not batch.ids and distributed.world_size() == 1:
            return StepOutcome(0.0, 0, math.nan, [], stop)
        losses, extra, logits, lengths = self._losses(batch, seed)
        with self.stopwatch.measure("backward"):
            counts = distributed.sum_over_ranks(count(losses.detach(), len(batch.ids), stop))
            # Gradients are averaged over ranks; where a loss is not finite, nobody uses them.
            scale = distributed.world_size() / counts[1].clamp_min(1.0).to(losses.dtype)
            self.optimizer.zero_grad(set_to_none=True)
            ((losses.sum() + extra.sum()) * scale).backward()
        with self.stopwatch.measure("optimizer"):
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            norm = nn.utils.clip_grad_norm_(parameters, self.grad_clip)
            *totals, norm = torch.cat([counts, norm.detach().reshape(1).to(counts)]).tolist()
            loss_sum, num_utterances, num_broken, stops = totals
            if num_broken or not num_utterances:
                problems = explain_losses(losses.detach(), logits.detach(), lengths, batch)
                return StepOutcome(0.0, 0, math.nan, problems, stops > 0)
            if not math.isfinite(norm):
                problem = f"the gradient's norm is {norm}"
                return StepOutcome(0.0, 0, norm, [problem], stops > 0)
            for group in self.optimizer.param_groups:
                group["lr"] = lr * group.get("factor", 1.0)
            self.optimizer.step()
        return StepOutcome(loss_sum, int(num_utterances), norm, [], stops > 0)

    def _losses(self, batch: Batch, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Loss of each utterance, (N,), what is added to it, and logits and lengths."""
        if not batch.ids:
            return self._idle()
        logits, frames, *characters = self._forward(batch, seed)
        network = self.model.network
        lengths = network.output_lengths(frames)
        with self.stopwatch.measure("loss"):
            logits = logits.float()
            losses = self.loss(logits, batch.targets, lengths, batch.target_lengths)
            extra = losses.new_zeros(0)
            if self.spelling is not None:
                spelt_lengths = cast(SpellingNetwork, network).character_lengths(frames)
                extra = self.spelling(characters[0].float(), spelt_lengths, batch.texts)
        return losses, extra, logits, lengths

    def _idle(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Take part in the other ranks' step without an utterance: a loss and gradients of zero."""
        device = self.model.device
        features = torch.zeros(1, IDLE_FRAMES, self.model.features.num_features, device=device)
        lengths = torch.zeros(1, dtype=torch.int64)
        logits, _, *characters = self._run_network(features, lengths.to(device))
        extra = logits.new_zeros(0) if not characters else characters[0].float() * 0.0
        return logits.float().sum()[None] * 0.0, extra, logits, lengths

    def forward(self, batch: Batch, seed: int) -> tuple[Tensor, Tensor]:
        """Compute logits (T, N, C) on the model's device and lengths (N,) on the CPU."""
        logits, frames, *_ = self._forward(batch, seed)
        return logits, self.model.network.output_lengths(frames)

    def _forward(self, batch: Batch, seed: int) -> tuple[Tensor, ...]:
        """Compute logits, frames of the features on the CPU and, if wanted, characters' logits."""
        device, front_end = self.model.device, self.model.features
        # Sizes come from lengths that stay on the CPU: reading them from a GPU would wait for it.
        frames = front_end.num_frames(batch.waveform_lengths)
        with self.stopwatch.measure("features"):
            waveforms = batch.waveforms.to(device, non_blocking=True)
            features, feature_lengths = front_end(waveforms, batch.waveform_lengths)
            if self.augment is not None:
                generator = torch.Generator().manual_seed(seed)
                features = self.augment(features, frames, generator)
        logits, _, *characters = self._run_network(features, feature_lengths)
        return logits, frames, *characters

    def _run_network(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        kind, enabled = features.device.type, self.precision == "bfloat16"
        with (
            self.stopwatch.measure("forward"),
            torch.autocast(kind, dtype=DTYPES[self.precision], enabled=enabled),
        ):
            return self.network(features, lengths)


def count(losses: Tensor, num_utterances: int, stop: bool) -> Tensor:
    """Pack what ranks tell each other: loss sum, utterances, broken ones, stops; (4,) float64.

    They stay where the losses are: only on a GPU would reading them mean waiting.
    """
    dtype = torch.float32 if losses.device.type == "mps" else torch.float64
    finite = torch.isfinite(losses)
    known = torch.tensor([num_utterances, stop], dtype=dtype).to(losses.device, non_blocking=True)
    total = torch.where(finite, losses, 0.0).sum().to(dtype)
    broken = (~finite).sum().to(dtype)
    return torch.stack([total, known[0], broken, known[1]])


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
