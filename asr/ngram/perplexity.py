"""How well a language model predicts a text."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from asr.ngram.model import NGramLM


@dataclass(frozen=True, kw_only=True)
class Perplexity:
    """Sums over a text; ln probabilities include that of every sentence's end."""

    num_sentences: int
    num_words: int
    num_unknown: int  # words that the model does not have
    log_p: float  # nats
    log_p_unknown: float  # nats, the part of the unknown words

    @property
    def with_unknown(self) -> float:
        """Perplexity per word and sentence end; an unknown word has the probability of <unk>."""
        return math.exp(-self.log_p / (self.num_words + self.num_sentences))

    @property
    def without_unknown(self) -> float:
        """The same over the known words and sentence ends; unknown words remain as context."""
        num_events = self.num_words - self.num_unknown + self.num_sentences
        return math.exp(-(self.log_p - self.log_p_unknown) / num_events)

    def __str__(self) -> str:
        """Return a few lines to print."""
        return (
            f"{self.num_words:,} words in {self.num_sentences:,} sentences,"
            f" {self.num_unknown:,} unknown\n"
            f"log10 probability {self.log_p / math.log(10):.4f}\n"
            f"perplexity {self.with_unknown:.4f}\n"
            f"perplexity without unknown words {self.without_unknown:.4f}"
        )


def measure_perplexity(lm: NGramLM, sentences: Iterable[list[str]]) -> Perplexity:
    """Score a text.

    Args:
        lm: the model.
        sentences: each as its words; those without words are skipped.

    Raises:
        ValueError: there are no words.
    """
    known = set(lm.words()) - {"<unk>"}
    num_sentences = num_words = num_unknown = 0
    log_p = log_p_unknown = 0.0
    for words in filter(None, sentences):
        num_sentences += 1
        num_words += len(words)
        log_p += lm.score(" ".join(words))
        for at, word in enumerate(words):
            if word not in known:
                num_unknown += 1
                so_far = lm.score(" ".join(words[: at + 1]), eos=False)
                log_p_unknown += so_far - lm.score(" ".join(words[:at]), eos=False)
    if not num_words:
        raise ValueError("cannot measure perplexity: the text holds no words")
    return Perplexity(
        num_sentences=num_sentences,
        num_words=num_words,
        num_unknown=num_unknown,
        log_p=log_p,
        log_p_unknown=log_p_unknown,
    )
