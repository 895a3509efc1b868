"""The decoders of a server: its own, and those that requests ask for."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from asr.decoding import BeamSearchDecoder, Decoder, GreedyDecoder
from asr.text import TextNormalizer

# Nats for a word of a hotword, where the server was told nothing.
HOTWORD_WEIGHT = 3.0
# Decoders with hotwords that are kept.
_KEPT = 16
_OF_LM = ("lm", "lm_alpha", "lm_beta", "unk_score")


class Choice(NamedTuple):
    """What a request may choose.

    Attributes:
        lm: whether the server's language model takes part.
        hotwords: words and phrases to listen for, beside the server's.
        n_best: readings.
    """

    lm: bool = False
    hotwords: tuple[str, ...] = ()
    n_best: int = 1


class Decoders:
    """Makes decoders for one model; not for several threads at a time.

    Args:
        tokens: of the model.
        options: of `BeamSearchDecoder`, with the language model loaded; none but a weight of
            hotwords: greedy search, where no request asks for more.
        normalizer: of the model's training texts, which hotwords go through.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        options: Mapping[str, Any],
        normalizer: TextNormalizer | None = None,
    ) -> None:
        self._tokens = list(tokens)
        self._options = dict(options)
        self._hotword_weight = self._options.pop("hotword_weight", HOTWORD_WEIGHT)
        if self._options.get("hotwords"):
            self._options["hotword_weight"] = self._hotword_weight
        self._normalizer = normalizer
        self._made: OrderedDict[Choice, Decoder] = OrderedDict()

    @property
    def has_lm(self) -> bool:
        """Whether there is a language model to choose."""
        return self._options.get("lm") is not None

    def choose(self, choice: Choice) -> Decoder:
        """Return the decoder of a choice; the same one for the same choice, while it is kept.

        Raises:
            ValueError: hotwords cannot be spelled with the model's tokens.
        """
        if choice in self._made:
            self._made.move_to_end(choice)
            return self._made[choice]
        decoder = self._make(choice)
        self._made[choice] = decoder
        if len(self._made) > _KEPT:
            self._made.popitem(last=False)
        return decoder

    def _make(self, choice: Choice) -> Decoder:
        if not self._options and choice.n_best == 1 and not choice.hotwords:
            return GreedyDecoder(self._tokens)
        options = dict(self._options)
        if not choice.lm:
            options = {key: value for key, value in options.items() if key not in _OF_LM}
        if choice.hotwords:
            options["hotwords"] = [*options.get("hotwords", ()), *map(self._spell, choice.hotwords)]
            options["hotword_weight"] = self._hotword_weight
        options["n_best"] = max(options.get("n_best", 1), choice.n_best)
        return BeamSearchDecoder(self._tokens, **options)

    def _spell(self, phrase: str) -> str:
        if self._normalizer is None:
            return phrase
        return self._normalizer.normalize_reference(phrase)
