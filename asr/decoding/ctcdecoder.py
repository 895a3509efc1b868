"""pyctcdecode's interface on our beam search: its users change one import.

    from asr.decoding import build_ctcdecoder  # was: from pyctcdecode import build_ctcdecoder

The numbers differ a little, for the better: all alignments are summed, a trailing space costs no
unknown word, and a hotword of several words is boosted as a phrase, not word by word.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from asr.decoding.beam_search import BeamSearchDecoder
from asr.decoding.hypothesis import Hypothesis
from asr.decoding.vocabulary import normalise_labels
from asr.ngram.model import NGramLM


class OutputBeam(NamedTuple):
    """A hypothesis in pyctcdecode's order; `last_lm_state` is always None."""

    text: str
    last_lm_state: None
    text_frames: list[tuple[str, tuple[int, int]]]
    logit_score: float
    lm_score: float


class CTCDecoder:
    """Made by `build_ctcdecoder`; arguments as pyctcdecode documents them.

    Takes logits or log-probabilities (T, C); `pool` is not used, batches run on native threads.
    """

    def __init__(
        self, labels: Sequence[str], lm: NGramLM | None, alpha: float, beta: float, unk: float
    ) -> None:
        self._vocabulary = normalise_labels(labels)
        self._lm = lm
        self._alpha, self._beta, self._unk_score_offset = alpha, beta, unk

    def decode(self, logits: npt.ArrayLike, *options: Any, **named: Any) -> str:  # noqa: ANN401
        """Return the best text; options as `decode_beams`."""
        return self.decode_batch(None, [logits], *options, **named)[0]

    def decode_batch(
        self,
        pool: object,
        logits_list: Sequence[npt.ArrayLike],
        beam_width: int = 100,
        beam_prune_logp: float = -10.0,
        token_min_logp: float = -5.0,
        hotwords: Iterable[str] | None = None,
        hotword_weight: float = 10.0,
    ) -> list[str]:
        """Return the best text of each utterance."""
        decoder = self._decoder(
            1, beam_width, beam_prune_logp, token_min_logp, hotwords, hotword_weight
        )
        return [hypotheses[0].text for hypotheses in self._run(decoder, logits_list)]

    def decode_beams(
        self,
        logits: npt.ArrayLike,
        beam_width: int = 100,
        beam_prune_logp: float = -10.0,
        token_min_logp: float = -5.0,
        prune_history: bool = False,
        hotwords: Iterable[str] | None = None,
        hotword_weight: float = 10.0,
    ) -> list[OutputBeam]:
        """Return the hypotheses of one utterance, best first; `prune_history` has no meaning."""
        decoder = self._decoder(
            beam_width, beam_width, beam_prune_logp, token_min_logp, hotwords, hotword_weight
        )
        return [_as_beam(h) for h in self._run(decoder, [logits])[0]]

    def decode_beams_batch(
        self,
        pool: object,
        logits_list: Sequence[npt.ArrayLike],
        *options: Any,  # noqa: ANN401
        **named: Any,  # noqa: ANN401
    ) -> list[list[OutputBeam]]:
        """Return the hypotheses of each utterance."""
        return [self.decode_beams(logits, *options, **named) for logits in logits_list]

    def reset_params(
        self,
        alpha: float | None = None,
        beta: float | None = None,
        unk_score_offset: float | None = None,
    ) -> None:
        """Change the weights that are given."""
        self._alpha = self._alpha if alpha is None else alpha
        self._beta = self._beta if beta is None else beta
        if unk_score_offset is not None:
            self._unk_score_offset = unk_score_offset

    def _decoder(
        self,
        n_best: int,
        beam_width: int,
        beam_prune_logp: float,
        token_min_logp: float,
        hotwords: Iterable[str] | None,
        hotword_weight: float,
    ) -> BeamSearchDecoder:
        return BeamSearchDecoder(
            self._vocabulary.tokens,
            self._vocabulary.blank,
            beam_width=beam_width,
            lm=self._lm,
            lm_alpha=self._alpha,
            lm_beta=self._beta,
            # There it is a log10 and weighted as the model's.
            unk_score=self._alpha * math.log(10) * self._unk_score_offset,
            hotwords=list(hotwords or []),
            hotword_weight=hotword_weight,
            n_best=n_best,
            token_min_logp=token_min_logp,
            beam_prune_logp=beam_prune_logp,
        )

    def _run(
        self, decoder: BeamSearchDecoder, logits_list: Sequence[npt.ArrayLike]
    ) -> list[list[Hypothesis]]:
        arrays = [np.asarray(logits, dtype=np.float32) for logits in logits_list]
        if not arrays:
            return []
        lengths = [len(array) for array in arrays]
        batch = np.zeros((len(arrays), max(lengths), arrays[0].shape[-1]), np.float32)  # (N, T, C)
        for row, array in zip(batch, arrays, strict=True):
            row[: len(array)] = array - np.logaddexp.reduce(array, axis=-1, keepdims=True)
        return decoder(batch, lengths)


def build_ctcdecoder(
    labels: Sequence[str],
    kenlm_model_path: str | None = None,
    unigrams: Collection[str] | None = None,
    alpha: float = 0.5,
    beta: float = 1.5,
    unk_score_offset: float = -10.0,
    lm_score_boundary: bool = True,
) -> CTCDecoder:
    """Build a decoder as pyctcdecode does.

    Args:
        labels: strings of the classes; the blank is called "", "<pad>", "[PAD]" or "_", or is one
            more class after the others.
        kenlm_model_path: ARPA file, or one that `NGramLM.save` made; not kenlm's own binary.
        unigrams: not needed: the model's vocabulary decides what is known.
        alpha: weight of the model.
        beta: nats per word.
        unk_score_offset: log10 added to the score of an unknown word.
        lm_score_boundary: must be True: sentence boundaries are scored.

    Raises:
        ValueError: `lm_score_boundary` is False, or an argument is out of its range.
    """
    if not lm_score_boundary:
        raise ValueError("lm_score_boundary must be True: sentence boundaries are always scored")
    lm = None if kenlm_model_path is None else NGramLM(kenlm_model_path)
    return CTCDecoder(labels, lm, alpha, beta, unk_score_offset)


def _as_beam(hypothesis: Hypothesis) -> OutputBeam:
    frames = [(word.word, (word.start_frame, word.end_frame)) for word in hypothesis.words]
    return OutputBeam(hypothesis.text, None, frames, hypothesis.acoustic_score, hypothesis.score)
