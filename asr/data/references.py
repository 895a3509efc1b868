"""References of a test set in the form of the texts that a model was trained on."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from asr.data.loading import Corpus, Speech
from asr.data.manifest import Utterance
from asr.text import TextNormalizer

logger = logging.getLogger(__name__)


class NormalizedCorpus:
    """A corpus whose texts a normaliser has gone over; none of them is left out.

    Args:
        corpus: what is scored.
        normalizer: of the model.

    Attributes:
        num_changed: texts that it changed.
        num_outside: texts that hold characters that its alphabet does not have, afterwards.
    """

    def __init__(self, corpus: Corpus, normalizer: TextNormalizer) -> None:
        before = corpus.utterances(0)
        self._utterances = [_normalize(speech, normalizer) for speech in before]
        texts = [speech.text for speech in self._utterances]
        self.num_changed = sum(a.text != b for a, b in zip(before, texts, strict=True))
        alphabet = frozenset(normalizer.alphabet or "".join(texts))
        self.num_outside = sum(not alphabet.issuperset(text) for text in texts)
        if self.num_changed or self.num_outside:
            logger.info(
                "references: %d of %d changed by the model's normaliser, %d hold characters that"
                " its alphabet does not have",
                *(self.num_changed, len(texts), self.num_outside),
            )

    def utterances(self, epoch: int) -> Sequence[Speech]:
        """The utterances, the same in every epoch."""
        return self._utterances


def _normalize(speech: Speech, normalizer: TextNormalizer) -> Speech:
    # What is composed of prepared recordings has prepared texts.
    if not isinstance(speech, Utterance):
        return speech
    return replace(speech, text=normalizer.normalize_reference(speech.text))
