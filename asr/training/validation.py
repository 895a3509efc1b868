"""Loss and error rates of a model on the dev set, by greedy decoding."""

from collections.abc import Iterable, Mapping
from functools import reduce
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from asr.acoustic.model import AcousticModel
from asr.ctc import ctc_loss
from asr.data.loading import Batch
from asr.decoding import GreedyDecoder
from asr.evaluation.metrics import (
    Metric,
    character_error_rate,
    order_metrics,
    word_error_rate,
)
from asr.training import distributed
from asr.training.heads import Heads
from asr.training.tasks import Tally


class Validation(NamedTuple):
    """Scores of one pass over the dev set."""

    loss: float  # nats an utterance
    wer: float  # of phones, where tokens are phones
    cer: float
    ids: list[str]
    references: list[str]
    hypotheses: list[str]
    tasks: Mapping[str, Tally] = MappingProxyType({})  # of auxiliary heads

    def rate(self, metric: Metric) -> float:
        """The rate that chooses."""
        return self.cer if metric == "cer" else self.wer

    def describe(self, metric: Metric) -> str:
        """The rates that are shown, the one that chooses first."""
        return ", ".join(f"{m.upper()} {100 * self.rate(m):.2f} %" for m in order_metrics(metric))


def validate(
    model: AcousticModel, batches: Iterable[Batch], heads: Heads | None = None
) -> Validation:
    """Decode batches greedily and score them; runs in evaluation mode, float32.

    Args:
        model: the model.
        batches: this rank's shares of the dev set's batches; every rank gets the same scores.
        heads: auxiliary ones, which are scored too; None for none.

    Raises:
        ValueError: no rank has a usable utterance.
    """
    decoder = GreedyDecoder(model.tokenizer.tokens)
    loss_sum = 0.0
    scored: list[tuple[str, str, str]] = []  # id, reference, hypothesis
    heads = (heads or Heads(model, {})).eval()
    tallies = {name: Tally(task.metric) for name, task in heads.tasks.items()}
    for batch in batches:
        if not batch.ids:
            continue
        with torch.no_grad(), heads.listening(model.network) as heard:
            log_probs, lengths = model.log_probs(batch.waveforms, batch.waveform_lengths)
            for name, tally in heads.score(heard, lengths, batch).items():
                tallies[name] = tallies[name].plus(tally)
        loss_sum += _loss_sum(log_probs, lengths, batch)
        texts = [best[0].text for best in decoder(log_probs, lengths)]
        scored += zip(batch.ids, batch.texts, texts, strict=True)
    shares = distributed.gather((loss_sum, scored, tallies))
    scored = [utterance for _, share, _ in shares for utterance in share]
    if not scored:
        raise ValueError("the dev set has no usable utterance")
    ids, references, hypotheses = (list(column) for column in zip(*scored, strict=True))
    wer = word_error_rate(references, hypotheses).rate
    cer = character_error_rate(references, hypotheses).rate
    loss = sum(loss_sum for loss_sum, *_ in shares) / len(ids)
    tasks = {name: reduce(Tally.plus, (share[name] for *_, share in shares)) for name in tallies}
    return Validation(loss, wer, cer, ids, references, hypotheses, tasks)


@torch.no_grad()
def _loss_sum(log_probs: Tensor, lengths: Tensor, batch: Batch) -> float:
    losses = ctc_loss(
        log_probs.transpose(0, 1),  # (T, N, C)
        batch.targets,
        lengths,
        batch.target_lengths,
        reduction="none",
    )
    return float(losses.sum())
