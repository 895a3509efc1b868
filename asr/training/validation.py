"""Loss and error rates of a model on the dev set, by greedy decoding."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from asr.acoustic.model import AcousticModel
from asr.ctc import ctc_loss
from asr.data.loading import Batch
from asr.decoding import GreedyDecoder
from asr.evaluation.metrics import character_error_rate, word_error_rate


class Validation(NamedTuple):
    """Scores of one pass over the dev set."""

    loss: float  # nats an utterance
    wer: float
    cer: float
    ids: list[str]
    references: list[str]
    hypotheses: list[str]


def validate(model: AcousticModel, batches: Iterable[Batch]) -> Validation:
    """Decode every batch greedily and score it; runs in evaluation mode, float32."""
    decoder = GreedyDecoder(model.tokenizer.tokens)
    loss_sum = 0.0
    ids: list[str] = []
    references: list[str] = []
    hypotheses: list[str] = []
    for batch in batches:
        if not batch.ids:
            continue
        log_probs, lengths = model.log_probs(batch.waveforms, batch.waveform_lengths)
        loss_sum += _loss_sum(log_probs, lengths, batch)
        ids += batch.ids
        references += batch.texts
        hypotheses += [best[0].text for best in decoder(log_probs, lengths)]
    if not ids:
        raise ValueError("the dev set has no usable utterance")
    wer = word_error_rate(references, hypotheses).rate
    cer = character_error_rate(references, hypotheses).rate
    return Validation(loss_sum / len(ids), wer, cer, ids, references, hypotheses)


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
