"""References of a test set in the form of the texts that a model was trained on."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from asr.data.loading import Corpus, Speech
from asr.data.manifest import Utterance
from asr.text import TextNormalizer

SomeSpeech = TypeVar("SomeSpeech", bound=Speech)

logger = logging.getLogger(__name__)


class NormalizedCorpus:
    """A corpus whose texts a normaliser has gone over; none of them is left out.

    Args:
        corpus: what is scored.
        normalizer: of the model.
    """

    def __init__(self, corpus: Corpus, normalizer: TextNormalizer) -> None:
        self._utterances = normalize_texts(corpus.utterances(0), normalizer, "references")

    def utterances(self, epoch: int) -> Sequence[Speech]:
        """The utterances, the same in every epoch."""
        return self._utterances


def normalize_texts(
    utterances: Sequence[SomeSpeech], normalizer: TextNormalizer, kind: str
) -> list[SomeSpeech]:
    """Bring texts into the form of a model's own, and say how many of this kind that changes.

    What its alphabet does not have stays, and is counted.
    """
    after = [_normalize(speech, normalizer) for speech in utterances]
    texts = [speech.text for speech in after]
    num_changed = sum(a.text != b for a, b in zip(utterances, texts, strict=True))
    alphabet = frozenset(normalizer.alphabet or "".join(texts))
    num_outside = sum(not alphabet.issuperset(text) for text in texts)
    if num_changed or num_outside:
        logger.info(
            "%s: %d of %d changed by the model's normaliser, %d hold characters that its alphabet"
            " does not have",
            *(kind, num_changed, len(texts), num_outside),
        )
    return after


def _normalize(speech: SomeSpeech, normalizer: TextNormalizer) -> SomeSpeech:
    # What is composed of prepared recordings has prepared texts.
    if not isinstance(speech, Utterance):
        return speech
    return replace(speech, text=normalizer.normalize_reference(speech.text))
