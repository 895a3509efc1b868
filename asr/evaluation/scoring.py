"""A test set -> hypotheses and scores.

The acoustic model runs once; every decoder then searches the same log-probabilities, so that rows
of a table differ in the decoder and in nothing else. Utterances are kept in the order of their ids:
results, bootstrap intervals included, do not depend on how batches were made.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from asr.acoustic.model import AcousticModel
from asr.data.loading import Batch
from asr.decoding import Decoder, Hypothesis
from asr.decoding.hypothesis import split_by_token
from asr.evaluation.errors import align_texts
from asr.evaluation.metrics import ErrorRate, Metric, character_error_rate, word_error_rate


class Decoded(NamedTuple):
    """What one decoder made of one utterance."""

    id: str
    reference: str
    duration_s: float
    hypotheses: list[Hypothesis]  # best first, at least one


@dataclass
class DecoderResult:
    """What one decoder made of a set, in the order of ids, and how long it took."""

    utterances: list[Decoded]
    seconds_per_frame: float
    acoustic_s: float
    decoder_s: float = 0.0

    @property
    def references(self) -> list[str]:
        """What was said."""
        return [u.reference for u in self.utterances]

    @property
    def texts(self) -> list[str]:
        """The best hypotheses."""
        return [u.hypotheses[0].text for u in self.utterances]

    @property
    def audio_s(self) -> float:
        """Seconds of audio."""
        return sum(u.duration_s for u in self.utterances)


class Score(NamedTuple):
    """One row of the table."""

    wer: ErrorRate
    cer: ErrorRate
    oracle_wer: ErrorRate  # of the best of each n-best list; equals `wer` for single hypotheses
    num_utterances: int
    audio_s: float
    real_time_factor: float  # seconds of acoustic model and decoder for a second of audio
    num_unusable: int = 0  # further utterances that could not be decoded and are in no rate

    def error_rate(self, metric: Metric) -> ErrorRate:
        """The rate of words or of characters; texts of phones have their phones as words."""
        return self.cer if metric == "cer" else self.wer


@dataclass(frozen=True)
class Padding:
    """Silence around the speech of a test set, as people record it.

    Args:
        before_s: seconds, >= 0.
        after_s: seconds, >= 0.
        noise: standard deviation of the white noise that the silence is made of; 0 for zeros.
    """

    before_s: float
    after_s: float
    noise: float

    def __post_init__(self) -> None:
        for name, value, most in (
            ("before_s", self.before_s, 60.0),
            ("after_s", self.after_s, 60.0),
            ("noise", self.noise, 1.0),
        ):
            if not 0 <= value <= most:
                raise ValueError(f"{name} must be in [0, {most:g}], got {value}")

    def __str__(self) -> str:
        before, after = f"{self.before_s:g} s", f"{self.after_s:g} s"
        if before == after:
            return f"{before} of silence on both sides"
        if not self.before_s or not self.after_s:
            return f"{before} of silence before" if self.before_s else f"{after} of silence after"
        return f"{before} of silence before and {after} after"


def pad_batches(
    batches: Iterable[Batch], padding: Padding, sample_rate: int, seed: int = 0
) -> Iterator[Batch]:
    """Put silence around every utterance; the same in every call."""
    rng = np.random.default_rng(seed)
    before, after = (round(s * sample_rate) for s in (padding.before_s, padding.after_s))
    for batch in batches:
        size = batch.waveforms.shape[1]
        shape = (len(batch.ids), before + size + after)
        waveforms = torch.from_numpy(
            (padding.noise * rng.standard_normal(shape, np.float32)).clip(-1, 1)
        )
        for row, waveform, length in zip(
            waveforms, batch.waveforms, batch.waveform_lengths.tolist(), strict=True
        ):
            row[before : before + length] = waveform[:length]
        lengths = batch.waveform_lengths + before + after
        yield batch._replace(waveforms=waveforms, waveform_lengths=lengths)


def decode_batches(
    model: AcousticModel,
    batches: Iterable[Batch],
    decoders: Mapping[str, Decoder],
    *,
    progress: bool,
    total: int | None = None,
    observe: Callable[[Batch, Tensor, Tensor], None] | None = None,
) -> dict[str, DecoderResult]:
    """Run the model once over all batches and every decoder on its log-probabilities.

    Args:
        model: the model.
        batches: what to decode; empty batches are passed over.
        decoders: by the names that tables show.
        progress: whether to draw a bar.
        total: utterances to come, for the bar's time left.
        observe: called with every batch, its log_probs (N, T, C) and lengths (N,); None for nobody.

    Returns:
        A result for every name.

    Raises:
        ValueError: there is no decoder.
    """
    if not decoders:
        raise ValueError("decoders must name at least one decoder, got none")
    results = {name: DecoderResult([], model.seconds_per_frame, 0.0) for name in decoders}
    acoustic_s = 0.0
    with tqdm(total=total, desc="decoding", unit="utt", leave=False, disable=not progress) as bar:
        for batch in batches:
            if not batch.ids:
                continue
            started = time.perf_counter()
            log_probs, lengths = model.log_probs(batch.waveforms, batch.waveform_lengths)
            acoustic_s += time.perf_counter() - started
            if observe is not None:
                observe(batch, log_probs, lengths)
            durations = (batch.waveform_lengths.double() / model.sample_rate).tolist()
            for name, decoder in decoders.items():
                started = time.perf_counter()
                hypotheses = decoder(log_probs, lengths)
                results[name].decoder_s += time.perf_counter() - started
                if not model.separates_words:
                    hypotheses = [
                        [split_by_token(hypothesis, rows.numpy()) for hypothesis in n_best]
                        for n_best, rows in zip(hypotheses, log_probs, strict=True)
                    ]
                results[name].utterances += map(
                    Decoded, batch.ids, batch.texts, durations, hypotheses
                )
            bar.update(len(batch.ids))
    for result in results.values():
        result.acoustic_s = acoustic_s
        result.utterances.sort(key=lambda u: u.id)
    return results


def merge_results(shares: Sequence[DecoderResult]) -> DecoderResult:
    """Put together what several processes decoded of a set, with the seconds of all of them."""
    return DecoderResult(
        sorted((u for share in shares for u in share.utterances), key=lambda u: u.id),
        shares[0].seconds_per_frame,
        sum(share.acoustic_s for share in shares),
        sum(share.decoder_s for share in shares),
    )


def score(result: DecoderResult, num_unusable: int = 0) -> Score:
    """Score a decoder's hypotheses; an empty set scores 0 of 0 words."""
    references, texts = result.references, result.texts
    wer = word_error_rate(references, texts)
    oracle = word_error_rate(references, [_closest(u) for u in result.utterances])
    spent_s = result.acoustic_s + result.decoder_s
    return Score(
        wer=wer,
        cer=character_error_rate(references, texts),
        oracle_wer=oracle,
        num_utterances=len(texts),
        audio_s=result.audio_s,
        real_time_factor=spent_s / result.audio_s if result.audio_s else 0.0,
        num_unusable=num_unusable,
    )


def _closest(utterance: Decoded) -> str:
    """Return the hypothesis with the fewest word errors, the first of equals."""
    texts = [hypothesis.text for hypothesis in utterance.hypotheses]
    if len(texts) == 1:
        return texts[0]
    return min(texts, key=lambda t: align_texts("", utterance.reference, t).num_errors)
