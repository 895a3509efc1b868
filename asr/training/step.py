"""One training step: batches -> loss -> gradient -> new weights, or a reason why not."""

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from asr.acoustic.model import AcousticModel
from asr.augment import SpecAugment
from asr.ctc import explain, minimum_input_length
from asr.data.loading import Batch
from asr.text import spelling
from asr.training import distributed
from asr.training.averaging import MovingAverage
from asr.training.heads import Heads, WithHeads
from asr.training.loss import OfTexts, TextLoss, TrainingLoss
from asr.training.precision import DTYPES
from asr.training.regularization import Regularization, divergence_from_uniform
from asr.training.tasks import Task, TextTask

# Of the nothing that a rank without utterances runs through its network.
IDLE_FRAMES = 32


class StepOutcome(NamedTuple):
    """What a step did, summed over ranks."""

    loss_sum: float  # nats, over the utterances; without penalties and smoothing
    num_utterances: int
    grad_norm: float
    problems: list[str]  # why the step was skipped; of this rank
    stop: bool = False  # whether any rank was asked to stop
    overflow: bool = False  # whether it was skipped for a loss scale that was too large
    idle: bool = False  # whether no rank had an utterance: none of them could be used
    # Of every further task: nats, without its weight, and the utterances that have a target.
    tasks: Mapping[str, tuple[float, int]] = MappingProxyType({})


class Moment(NamedTuple):
    """What the numbers of a step follow from."""

    lr: float
    seeds: Sequence[int]  # of dropout and masks of this rank, for each of its batches
    shared_seed: int  # of what all ranks draw alike
    number: int  # steps before it


class Share(NamedTuple):
    """What one batch gave."""

    losses: Tensor  # (N,) nats
    logits: Tensor  # (T, N, C)
    lengths: Tensor  # (N,) frames
    batch: Batch
    extra: Tensor  # (M,) nats, what the objective has beside
    task_sums: Tensor  # (2 tasks,) nats of each and the utterances that have them


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
        loss: of each utterance; one of texts becomes a TextLoss.
        precision: of the network, a name of DTYPES; features and loss stay float32.
        grad_clip: largest norm of the gradient, > 0.
        grad_clip_value: largest magnitude of one of its numbers, > 0, after that; None for any.
        frozen: modules of the network that run as in evaluation.
        intermediate_weight: of the loss over characters by the network's intermediate layer, where
            it has one, beside the loss over tokens; > 0 then.
        heads: auxiliary ones, whose parameters the optimizer has too; None for none.
        regularization: what keeps it from learning by heart; None for nothing.
    """

    def __init__(
        self,
        model: AcousticModel,
        optimizer: Optimizer,
        *,
        augment: SpecAugment | None,
        loss: TrainingLoss | OfTexts,
        precision: str,
        grad_clip: float,
        grad_clip_value: float | None = None,
        frozen: Sequence[nn.Module] = (),
        intermediate_weight: float = 0.0,
        heads: Heads | None = None,
        regularization: Regularization | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.augment = augment
        self.loss = loss if isinstance(loss, TrainingLoss) else TextLoss(loss)
        self.loss.prepare(model)
        self.precision = precision
        self.grad_clip = grad_clip
        self.grad_clip_value = grad_clip_value
        self.frozen = frozen
        self.stopwatch = Stopwatch()
        network = cast(nn.Module, model.network)
        self.regularization = regularization or Regularization.none()
        self.regularization.prepare(network)
        self.heads = heads or Heads(model, {})
        self.tasks = _letters(model, intermediate_weight) | self.heads.tasks
        learner = WithHeads(network, self.heads) if self.tasks else network
        self.average = None
        if self.regularization.average_decay:
            # Letters are part of the network: what it is called in files does not change by them.
            averaged = learner if self.heads.tasks else network
            self.average = MovingAverage(averaged, self.regularization.average_decay)
        self.network = distributed.parallel(learner)

    @property
    def precision(self) -> str:
        """Of the network; setting it anew starts with a new loss scale."""
        return self._precision

    @precision.setter
    def precision(self, name: str) -> None:
        self._precision = name
        # Gradients below 6e-8 are zero in float16: they are computed from a loss that is scaled.
        self.scaler = GradScaler(self.model.device.type, enabled=name == "float16")

    def __call__(self, batch: Batch, lr: float, seed: int, stop: bool = False) -> StepOutcome:
        """Take one step with one batch; everything that is drawn follows from `seed`."""
        return self.take([batch], Moment(lr, [seed], seed, 0), stop)

    def take(self, batches: Sequence[Batch], moment: Moment, stop: bool = False) -> StepOutcome:
        """Take one step with the mean gradient of the utterances of some batches.

        All ranks take or skip it together. A GPU is waited for once, after the gradient; and for
        the paths of an aligner.

        Args:
            batches: this rank's shares, as many on every rank; they may be empty.
            moment: what the step's numbers follow from.
            stop: whether this rank was asked to stop, which the others learn with the outcome.
        """
        self._begin_step()
        num_own = sum(len(batch.ids) for batch in batches)
        if not num_own and distributed.world_size() == 1:
            return StepOutcome(0.0, 0, math.nan, [], stop, idle=True)
        num_all = float(distributed.sum_over_ranks(torch.tensor(float(num_own))))
        with self.regularization.disturb(cast(nn.Module, self.model.network), moment.shared_seed):
            shares = self._accumulate(batches, moment.seeds, max(1.0, num_all))
        with self.stopwatch.measure("optimizer"):
            counts = distributed.sum_over_ranks(sum_shares(shares, stop))
            norm = self._clip()
            *totals, norm = torch.cat([counts, norm.detach().reshape(1).to(counts)]).tolist()
            loss_sum, num_utterances, num_broken, stops, *sums = totals
            self.scaler.update()
            if not num_utterances:
                return StepOutcome(0.0, 0, math.nan, [], stops > 0, idle=True)
            if num_broken:
                problems = [line for share in shares for line in explain_losses(*share[:4])]
                return StepOutcome(0.0, 0, math.nan, problems, stops > 0)
            if not math.isfinite(norm):
                return self._overflowed(norm, stops > 0)
            self._update(moment)
        pairs = zip(sums[::2], map(int, sums[1::2]), strict=True)
        tasks = dict(zip(self.tasks, pairs, strict=True))
        return StepOutcome(loss_sum, int(num_utterances), norm, [], stops > 0, tasks=tasks)

    def rehearse(self, batches: Sequence[Batch], moment: Moment) -> None:
        """Compute the gradient that `take` would, and change no weight."""
        self._begin_step()
        with self.regularization.disturb(cast(nn.Module, self.model.network), moment.shared_seed):
            self._accumulate(batches, moment.seeds, max(1, sum(len(b.ids) for b in batches)))

    def _begin_step(self) -> None:
        self.network.train()
        for module in self.frozen:
            module.eval()

    def _accumulate(
        self, batches: Sequence[Batch], seeds: Sequence[int], num_utterances: float
    ) -> list[Share]:
        """Add up the gradients of batches, averaged over so many utterances of all ranks."""
        shares = []
        self.optimizer.zero_grad(set_to_none=True)
        for index, (batch, seed) in enumerate(zip(batches, seeds, strict=True)):
            torch.manual_seed(seed)
            with distributed.exchanging(self.network, index == len(batches) - 1):
                share = self._share(batch, seed)
                with self.stopwatch.measure("backward"):
                    # Gradients are averaged over ranks; where a loss is not finite, nobody uses
                    # them.
                    objective = share.losses.sum() * (1 - self.regularization.label_smoothing)
                    objective = (objective + share.extra.sum()) * (
                        distributed.world_size() / num_utterances
                    )
                    self.scaler.scale(objective).backward()
            shares.append(Share._make(x.detach() if isinstance(x, Tensor) else x for x in share))
        return shares

    def _parameters(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _clip(self) -> Tensor:
        """Make the gradient that of the objective, no longer than allowed; its norm before."""
        parameters = self._parameters()
        self.scaler.unscale_(self.optimizer)
        self.regularization.penalize(parameters)
        norm = nn.utils.clip_grad_norm_(parameters, self.grad_clip)
        if self.grad_clip_value is not None:
            nn.utils.clip_grad_value_(parameters, self.grad_clip_value)
        return norm

    def _overflowed(self, norm: float, stop: bool) -> StepOutcome:
        """Skip a step whose gradient is not finite; in float16 the next one has a smaller scale."""
        # Below 1, it was not the scale.
        if self.scaler.is_enabled() and (scale := self.scaler.get_scale()) >= 1:
            problem = f"the gradient is too large for float16; the loss scale is now {scale:g}"
            return StepOutcome(0.0, 0, norm, [problem], stop, overflow=True)
        return StepOutcome(0.0, 0, norm, [f"the gradient's norm is {norm}"], stop)

    def _update(self, moment: Moment) -> None:
        """Give the weights a step."""
        self.regularization.disturb_gradient(self._parameters(), moment.number, moment.shared_seed)
        for group in self.optimizer.param_groups:
            group["lr"] = moment.lr * group.get("factor", 1.0)
        self.optimizer.step()
        if self.average is not None:
            self.average.update()

    def _share(self, batch: Batch, seed: int) -> Share:
        """Compute the loss of each utterance of a batch, and what is added to it."""
        if not batch.ids:
            return self._idle(batch)
        logits, frames, *outputs = self._forward(batch, seed)
        lengths = self.model.network.output_lengths(frames)
        with self.stopwatch.measure("loss"):
            logits = logits.float()
            losses = self.loss(logits, lengths, batch)
            extra, sums = [losses.new_zeros(0)], [losses.new_zeros(0)]
            for task, output in zip(self.tasks.values(), outputs, strict=True):
                head_lengths = self.heads.frame_lengths(lengths)
                added, known = task.losses(output.float(), head_lengths, batch)
                extra.append(task.weight * added)
                sums += [added.sum()[None], known.sum()[None].to(losses, non_blocking=True)]
            if smoothing := self.regularization.label_smoothing:
                extra.append(smoothing * divergence_from_uniform(logits, lengths))
        return Share(losses, logits, lengths, batch, torch.cat(extra), torch.cat(sums))

    def _idle(self, batch: Batch) -> Share:
        """Take part in the other ranks' step without an utterance: a loss and gradients of zero."""
        device = self.model.device
        features = torch.zeros(1, IDLE_FRAMES, self.model.features.num_features, device=device)
        lengths = torch.zeros(1, dtype=torch.int64)
        logits, _, *outputs = self._run_network(features, lengths.to(device))
        nothing = [output.float().sum()[None] * 0.0 for output in (logits, *outputs)]
        sums = nothing[0].new_zeros(2 * len(outputs))
        return Share(nothing[0], logits, lengths, batch, torch.cat(nothing), sums)

    def forward(self, batch: Batch, seed: int) -> tuple[Tensor, Tensor]:
        """Compute logits (T, N, C) on the model's device and lengths (N,) on the CPU."""
        logits, frames, *_ = self._forward(batch, seed)
        return logits, self.model.network.output_lengths(frames)

    def _forward(self, batch: Batch, seed: int) -> tuple[Tensor, ...]:
        """Compute logits, frames of the features on the CPU, and what each task is read from."""
        device, front_end = self.model.device, self.model.features
        # Sizes come from lengths that stay on the CPU: reading them from a GPU would wait for it.
        frames = front_end.num_frames(batch.waveform_lengths)
        with self.stopwatch.measure("features"):
            waveforms = batch.waveforms.to(device, non_blocking=True)
            augment = None
            if self.augment is not None:
                augment = partial(
                    self.augment,
                    lengths=frames,
                    generator=torch.Generator().manual_seed(seed),
                    num_bands=front_end.num_bands,
                )
            features, feature_lengths = front_end(waveforms, batch.waveform_lengths, augment)
        logits, _, *outputs = self._run_network(features, feature_lengths)
        return logits, frames, *outputs

    def _run_network(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        kind, enabled = features.device.type, self.precision != "float32"
        with (
            self.stopwatch.measure("forward"),
            torch.autocast(kind, dtype=DTYPES[self.precision], enabled=enabled),
        ):
            return self.network(features, lengths)


def _letters(model: AcousticModel, weight: float) -> dict[str, Task]:
    """Task of the characters by a network's intermediate layer, where it has one.

    Tokens that are whole words leave CTC at a loss where to begin; letters it finds early. What
    spells below helps what says words above.
    """
    if (head := model.network.intermediate) is None:
        return {}
    if not weight > 0:
        raise ValueError(f"intermediate_weight must be > 0, got {weight}")
    characters, write = spelling(model.tokenizer), model.tokenizer.reference
    return {"letters": TextTask(characters, weight=weight, frames_out=head.frames_out, write=write)}


def sum_shares(shares: Sequence[Share], stop: bool) -> Tensor:
    """Add up what ranks tell each other: `count`, and the sums of tasks, over batches."""
    counts = [count(share.losses, len(share.batch.ids), stop) for share in shares]
    return torch.stack(
        [torch.cat([c, s.task_sums.to(c)]) for c, s in zip(counts, shares, strict=True)]
    ).sum(0)


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
