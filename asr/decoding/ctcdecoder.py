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
from asr.decoding.hypothesis import Hypothesis, Word
from asr.decoding.inputs import as_floats, log_softmax
from asr.decoding.vocabulary import normalise_labels
from asr.ngram.model import NGramLM

_MAX_DECODERS = 16  # kept by a CTCDecoder, one for each set of options
_SUM_TOLERANCE = 1e-3  # of a frame's probabilities

Frames = tuple[int, int]


class OutputBeam(NamedTuple):
    """A hypothesis in pyctcdecode's order; `last_lm_state` is always None."""

    text: str
    last_lm_state: None
    text_frames: list[tuple[str, tuple[int, int]]]
    logit_score: float
    lm_score: float


class CTCDecoder:
    """Made by `build_ctcdecoder`; arguments as pyctcdecode documents them.

    Takes logits, log-probabilities or probabilities (T, C); `pool` is not used, batches run on
    native threads.
    """

    def __init__(
        self, labels: Sequence[str], lm: NGramLM | None, alpha: float, beta: float, unk: float
    ) -> None:
        self._vocabulary = normalise_labels(labels)
        self._lm = lm
        self._alpha, self._beta, self._unk_score_offset = alpha, beta, unk
        self._decoders: dict[tuple[object, ...], BeamSearchDecoder] = {}

    def decode(self, logits: npt.ArrayLike, *options: Any, **named: Any) -> str:  # noqa: ANN401
        """Return the best text; options as `decode_batch`."""
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
        log_probs, lengths = self._as_batch(logits_list)
        return [hypotheses[0].text for hypotheses in decoder(log_probs, lengths)]

    def decode_beams(
        self,
        logits: npt.ArrayLike,
        *options: Any,  # noqa: ANN401
        **named: Any,  # noqa: ANN401
    ) -> list[OutputBeam]:
        """Return the hypotheses of one utterance, best first; options as `decode_beams_batch`."""
        return self.decode_beams_batch(None, [logits], *options, **named)[0]

    def decode_beams_batch(
        self,
        pool: object,
        logits_list: Sequence[npt.ArrayLike],
        beam_width: int = 100,
        beam_prune_logp: float = -10.0,
        token_min_logp: float = -5.0,
        prune_history: bool = False,
        hotwords: Iterable[str] | None = None,
        hotword_weight: float = 10.0,
    ) -> list[list[OutputBeam]]:
        """Return the hypotheses of each utterance, best first; `prune_history` has no meaning."""
        decoder = self._decoder(
            beam_width, beam_width, beam_prune_logp, token_min_logp, hotwords, hotword_weight
        )
        log_probs, lengths = self._as_batch(logits_list)
        return [
            _as_beams(hypotheses, rows)
            for hypotheses, rows in zip(decoder(log_probs, lengths), log_probs, strict=True)
        ]

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
        """The decoder with these options; the last ones are kept."""
        phrases = tuple(hotwords or ())
        # There the offset is a log10 and weighted as the model's.
        unk_score = self._alpha * math.log(10) * self._unk_score_offset
        weights = (self._alpha, self._beta, unk_score, hotword_weight)
        key = (n_best, beam_width, beam_prune_logp, token_min_logp, phrases, weights)
        if key not in self._decoders:
            if len(self._decoders) >= _MAX_DECODERS:
                del self._decoders[next(iter(self._decoders))]
            self._decoders[key] = BeamSearchDecoder(
                self._vocabulary.tokens,
                self._vocabulary.blank,
                beam_width=beam_width,
                lm=self._lm,
                lm_alpha=self._alpha,
                lm_beta=self._beta,
                unk_score=unk_score,
                hotwords=phrases,
                hotword_weight=hotword_weight,
                n_best=n_best,
                token_min_logp=token_min_logp,
                beam_prune_logp=beam_prune_logp,
            )
        return self._decoders[key]

    def _as_batch(
        self, logits_list: Sequence[npt.ArrayLike]
    ) -> tuple[npt.NDArray[np.floating], list[int] | None]:
        """Log-probabilities (N, T, C) and the frames of each utterance, None where all are T."""
        num_classes = len(self._vocabulary.tokens)
        arrays = [as_floats(logits) for logits in logits_list]
        for index, array in enumerate(arrays):
            if array.ndim != 2 or array.shape[1] != num_classes:
                raise ValueError(
                    f"logits must be (T, C={num_classes}), a class for every label and the blank, "
                    f"got shape {array.shape} in utterance {index}"
                )
        if len(arrays) == 1:
            return _to_log_probs(arrays[0])[np.newaxis], None  # (1, T, C)
        lengths = [len(array) for array in arrays]
        batch = np.zeros((len(arrays), max(lengths, default=0), num_classes), np.float32)
        for rows, array in zip(batch, arrays, strict=True):
            rows[: len(array)] = _to_log_probs(array)
        return batch, lengths


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
        unigrams: not needed: the model's vocabulary decides what is known. Words that are not in
            it change nothing; those of the model must all be there.
        alpha: weight of the model.
        beta: nats per word.
        unk_score_offset: log10 added to the score of an unknown word.
        lm_score_boundary: must be True: sentence boundaries are scored.

    Raises:
        ValueError: `lm_score_boundary` is False, `unigrams` leaves out words of the model, or an
            argument is out of its range.
    """
    if not lm_score_boundary:
        raise ValueError("lm_score_boundary must be True: sentence boundaries are always scored")
    lm = None if kenlm_model_path is None else NGramLM(kenlm_model_path)
    if lm is not None and unigrams is not None:
        _check_unigrams(unigrams, lm)
    return CTCDecoder(labels, lm, alpha, beta, unk_score_offset)


def _check_unigrams(unigrams: Collection[str], lm: NGramLM) -> None:
    """Refuse a list that would make words of the model unknown, which ours cannot do."""
    missing = sorted(set(lm.words()) - {"<unk>", "<UNK>", "<s>", "</s>"} - set(unigrams))
    if missing:
        raise ValueError(
            f"unigrams must hold every word of the model, but {len(missing)} of its words are not "
            f"there, such as '{missing[0]}': make a model of fewer words, or give a lexicon to "
            "BeamSearchDecoder"
        )


def _to_log_probs(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """(T, C) of any of the three kinds -> natural logarithms, as pyctcdecode tells them apart."""
    is_positive = values.size > 0 and values[0].min() >= 0 and values.min() >= 0
    if is_positive and np.abs(values.sum(axis=-1) - 1).max() < _SUM_TOLERANCE:
        with np.errstate(divide="ignore"):
            return np.log(values)
    return log_softmax(values)


def _as_beams(
    hypotheses: list[Hypothesis], log_probs: npt.NDArray[np.floating]
) -> list[OutputBeam]:
    """`log_probs`: (T, C) of the utterance."""
    best = log_probs.argmax(axis=-1).tolist()
    spans: dict[Word, Frames] = {}  # hypotheses share most of their words
    beams = []
    for hypothesis in hypotheses:
        text_frames = []
        for word in hypothesis.words:
            if word not in spans:
                spans[word] = _span_of(word, hypothesis, best)
            text_frames.append((word.word, spans[word]))
        scores = hypothesis.acoustic_score, hypothesis.score
        beams.append(OutputBeam(hypothesis.text, None, text_frames, *scores))
    return beams


def _span_of(word: Word, hypothesis: Hypothesis, best: list[int]) -> Frames:
    """Where a word begins and the frame after its end, as pyctcdecode counts.

    A token lasts from its first frame to its last, where our words tell the frames of spikes: it
    goes on around the spike as long as it is the best class.
    """
    begin, end = word.start_frame, word.end_frame
    first, last = (
        hypothesis.token_ids[hypothesis.token_frames.index(spike)] for spike in (begin, end - 1)
    )
    while begin > 0 and best[begin - 1] == first:
        begin -= 1
    while end < len(best) and best[end] == last:
        end += 1
    return begin, end
