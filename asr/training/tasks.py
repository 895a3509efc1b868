"""What training asks of a network beside its texts: labels of utterances, and other spellings.

Each task has a loss for an utterance, weighted into the objective, and a rate that tells how well
it is done. An utterance whose target is not known adds no loss, and is not counted.

Source: Caruana 1997, "Multitask learning"; letters below words: Krishna et al. 2018
(arXiv:1807.06234), "Hierarchical multitask learning for CTC".
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

import kaldialign
import torch
from torch import Tensor, nn

from asr.ctc import ctc_loss, minimum_input_length
from asr.data.loading import Batch, Speech
from asr.decoding import GreedyDecoder
from asr.models import ClassHead, ClipHead, Pooling
from asr.text import PhoneTokenizer, Tokenizer
from asr.text.characters import shorten

# What a task is judged by: the share of right labels, or the error rate of phones.
TaskMetric = Literal["accuracy", "per"]


class Tally(NamedTuple):
    """What a task scored on some utterances."""

    metric: TaskMetric
    loss_sum: float = 0.0  # nats
    num_losses: int = 0  # utterances with a loss
    num_wrong: int = 0  # labels, or insertions, deletions and substitutions
    num_units: int = 0  # labels, or tokens of references
    num_scored: int = 0  # utterances whose target is known

    def plus(self, other: "Tally") -> "Tally":
        """Add what other utterances scored."""
        return Tally(
            self.metric,
            self.loss_sum + other.loss_sum,
            self.num_losses + other.num_losses,
            self.num_wrong + other.num_wrong,
            self.num_units + other.num_units,
            self.num_scored + other.num_scored,
        )

    @property
    def loss(self) -> float | None:
        """Nats an utterance; None without one."""
        return self.loss_sum / self.num_losses if self.num_losses else None

    @property
    def value(self) -> float | None:
        """The metric, a fraction; None without anything to score."""
        if not self.num_units:
            return None
        wrong = self.num_wrong / self.num_units
        return wrong if self.metric == "per" else 1 - wrong


class Task(Protocol):
    """What one head learns.

    Attributes:
        metric: what it is judged by.
        classes: names of what it tells apart.
        weight: factor on its loss in the objective, > 0.
        layer: of the network that it reads; None for what the classes are read from.
        reverse: whether what lies below the head learns to make its loss larger.
    """

    metric: TaskMetric
    classes: list[str]
    weight: float
    layer: str | None
    reverse: bool

    def make_head(self, num_features: int) -> nn.Module:
        """Build the layers from (T, N, H) and a mask (T, N, 1) of frames to what is scored."""
        ...

    def target(self, speech: Speech) -> list[int]:
        """Return the classes of an utterance; raises ValueError with the reason for none."""
        ...

    def losses(self, output: Tensor, lengths: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Compute what each utterance adds to the loss, without the weight.

        Args:
            output: of the head, float32.
            lengths: (N,) frames T that it read, on the CPU.
            batch: the utterances.

        Returns:
            (N,) nats, 0 without a target, and (N,) which of them count, on the CPU.
        """
        ...

    def score(self, output: Tensor, lengths: Tensor, batch: Batch) -> Tally:
        """Count what the head gets right, in evaluation."""
        ...


class LabelTask:
    """One label of a whole utterance, such as its speaker: cross entropy of pooled frames.

    Args:
        field: key of the manifest that holds the label, a text or a whole number.
        weight: as `Task`.
        utterances: of the training set; their values are the labels.
        layer: as `Task`.
        pooling: how frames become one, "mean", "attention" or "max".
        reverse: as `Task` (Ganin and Lempitsky 2015, arXiv:1409.7495; for conditions of
            speech Shinohara 2016, "Adversarial multi-task learning of deep neural networks for
            robust speech recognition").

    Raises:
        ValueError: no utterance has the field, all have the same value, or it is no label.
    """

    metric: TaskMetric = "accuracy"

    def __init__(
        self,
        field: str,
        *,
        weight: float,
        utterances: Sequence[Speech],
        layer: str | None = None,
        pooling: Pooling = "mean",
        reverse: bool = False,
    ) -> None:
        _check_weight(weight)
        self.field = field
        self.weight = weight
        self.layer = layer
        self.pooling: Pooling = pooling
        self.reverse = reverse
        found = {_label(speech, field) for speech in utterances} - {None}
        if not found:
            known = sorted({key for speech in utterances for key in speech.extra})
            raise ValueError(
                f"none of {len(utterances)} training utterances has the field {shorten(field)}; "
                f"they have {shorten(', '.join(known)) if known else 'no fields'}"
            )
        if len(found) == 1:
            raise ValueError(
                f"{shorten(field)} must have at least two values in the training set, got only "
                f"{shorten(str(found.pop()))}"
            )
        self.classes = sorted(map(str, found))
        self._ids = {label: number for number, label in enumerate(self.classes)}

    def make_head(self, num_features: int) -> nn.Module:
        """Pooling and a linear layer."""
        return ClipHead(num_features, len(self.classes), self.pooling)

    def target(self, speech: Speech) -> list[int]:
        """Return the label's number.

        Raises:
            ValueError: the utterance has none, or one that training did not have.
        """
        label = _label(speech, self.field)
        if label is None:
            raise ValueError(f"has no {self.field}")
        if label not in self._ids:
            raise ValueError(f"{self.field} {shorten(label)} is not in the training set")
        return [self._ids[label]]

    def losses(self, output: Tensor, lengths: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross entropy, of logits (N, labels)."""
        targets = [_find(self, speech) for speech in batch.utterances]
        known = torch.tensor([bool(target) for target in targets])
        labels = torch.tensor([target[0] if target else 0 for target in targets])
        losses = nn.functional.cross_entropy(
            output, labels.to(output.device, non_blocking=True), reduction="none"
        )
        return torch.where(known.to(output.device, non_blocking=True), losses, 0.0), known

    def score(self, output: Tensor, lengths: Tensor, batch: Batch) -> Tally:
        """Count labels that are not the likeliest."""
        losses, known = self.losses(output, lengths, batch)
        targets = [_find(self, speech) for speech in batch.utterances]
        chosen = output.argmax(-1).tolist()
        wrong = sum(t != [c] for t, c in zip(targets, chosen, strict=True) if t)
        count = int(known.sum())
        return Tally(self.metric, float(losses.sum()), count, wrong, count, count)


class TextTask:
    """The text in other tokens, such as phones: CTC over frames.

    Args:
        tokenizer: of these tokens.
        weight: as `Task`.
        layer: as `Task`.
        frames_out: R, output frames for one that is read.
        reverse: as `Task`.
        write: brings texts into the form that `tokenizer` takes.
    """

    metric: TaskMetric = "per"

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        weight: float,
        layer: str | None = None,
        frames_out: int = 1,
        reverse: bool = False,
        write: Callable[[str], str] = str,
    ) -> None:
        _check_weight(weight)
        if frames_out < 1:
            raise ValueError(f"frames_out must be >= 1, got {frames_out}")
        self.tokenizer = tokenizer
        self.classes = tokenizer.tokens[1:]
        self.weight = weight
        self.layer = layer
        self.frames_out = frames_out
        self.reverse = reverse
        self.write = write

    @classmethod
    def from_dictionary(
        cls,
        dictionary: str,
        *,
        weight: float,
        utterances: Sequence[Speech],
        layer: str | None = None,
        frames_out: int = 1,
        reverse: bool = False,
    ) -> "TextTask":
        """Make the task of phones.

        Args:
            dictionary: file in the format of CMUdict.
            weight: as `Task`.
            utterances: of the training set.
            layer: as `Task`.
            frames_out: as `TextTask`.
            reverse: as `Task`.

        Raises:
            ValueError: the file is none, or not one of the texts can be said by it.
        """
        phones = PhoneTokenizer.from_file(dictionary)
        task = cls(phones, weight=weight, layer=layer, frames_out=frames_out, reverse=reverse)
        if utterances and not any(_find(task, speech) for speech in utterances):
            first = reason_for_none(task, utterances[0])
            raise ValueError(
                f"not one of {len(utterances)} training texts can be said; the first: {first}"
            )
        return task

    def make_head(self, num_features: int) -> nn.Module:
        """Batch norm and a linear layer for every frame."""
        return ClassHead(num_features, len(self.tokenizer.tokens), self.frames_out)

    def target(self, speech: Speech) -> list[int]:
        """Return the tokens of its text.

        Raises:
            ValueError: it has none, or they cannot be told.
        """
        target = self.tokenizer.encode(self.write(speech.text))
        if not target:
            raise ValueError("the transcript is empty")
        return target

    def losses(self, output: Tensor, lengths: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """CTC loss of logits (R T, N, C); what has too few frames for its text does not count."""
        lengths = lengths * self.frames_out
        targets = [_find(self, speech) for speech in batch.utterances]
        fits = [
            bool(target) and minimum_input_length(target) <= length
            for target, length in zip(targets, lengths.tolist(), strict=True)
        ]
        labels = [
            torch.tensor(t if fit else [], dtype=torch.int64)
            for t, fit in zip(targets, fits, strict=True)
        ]
        losses = ctc_loss(
            output,
            nn.utils.rnn.pad_sequence(labels, batch_first=True),
            lengths,
            torch.tensor([len(label) for label in labels]),
            from_logits=True,
            reduction="none",
            zero_infinity=True,
        )
        known = torch.tensor(fits)
        return torch.where(known.to(output.device, non_blocking=True), losses, 0.0), known

    def score(self, output: Tensor, lengths: Tensor, batch: Batch) -> Tally:
        """Count errors of greedy decoding."""
        losses, known = self.losses(output, lengths, batch)
        log_probs = output.log_softmax(-1).transpose(0, 1).cpu()  # (N, R T, C)
        decoded = GreedyDecoder(self.tokenizer.tokens)(log_probs, lengths * self.frames_out)
        targets = [_find(self, speech) for speech in batch.utterances]
        pairs = [
            (self.tokenizer.decode(target).split(), best[0].text.split())
            for target, best in zip(targets, decoded, strict=True)
            if target
        ]
        wrong = sum(int(kaldialign.edit_distance(*pair)["total"]) for pair in pairs)
        units = sum(len(reference) for reference, _ in pairs)
        loss_sum, num_losses = float(losses.sum()), int(known.sum())
        return Tally(self.metric, loss_sum, num_losses, wrong, units, len(pairs))


def reason_for_none(task: Task, speech: Speech) -> str | None:
    """Say why an utterance has no target; None where it has one."""
    try:
        task.target(speech)
    except ValueError as error:
        return str(error)
    return None


def _find(task: Task, speech: Speech) -> list[int]:
    """Target of an utterance, empty where there is none."""
    try:
        return task.target(speech)
    except ValueError:
        return []


def _label(speech: Speech, field: str) -> str | None:
    """Value of a field as text; None where an utterance has none.

    Raises:
        ValueError: it is no label.
    """
    value = speech.extra.get(field)
    if value is None or value == "":
        return None
    if not isinstance(value, str | int):
        raise ValueError(
            f"{shorten(field)} must be a text or a whole number, got {shorten(str(value))} "
            f"({shorten(speech.id)})"
        )
    return str(value)


def _check_weight(weight: float) -> None:
    if not 0 < weight < math.inf:
        raise ValueError(f"weight must be > 0 and finite, got {weight}")
