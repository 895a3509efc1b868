"""The classes of a model that another program trained."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence

from asr.text.characters import refuse_character, shorten
from asr.text.labels import BLANK, BLANK_TOKEN, look_up


class SymbolTokenizer:
    """One label for a character, as another program named and numbered them.

    A letter that there is in the other case alone is taken in that case.

    Args:
        symbols: what each of the classes 1..C-1 writes; "" writes nothing.

    Raises:
        ValueError: there is none, or one is there twice.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        counts = Counter(symbol for symbol in symbols if symbol)
        if not counts:
            raise ValueError("symbols must hold at least one that writes something, got none")
        symbol, count = counts.most_common(1)[0]
        if count > 1:
            raise ValueError(f"symbols must hold each once, got {symbol!r} {count} times")
        self.symbols = list(symbols)
        self.tokens = [BLANK_TOKEN, *self.symbols]
        self._ids = {token: i for i, token in enumerate(self.tokens) if i != BLANK and token}
        self._long = next((token for token in self._ids if len(token) > 1), None)

    def encode(self, text: str) -> list[int]:
        """Return the label of each character.

        Raises:
            ValueError: there is none in either case, or a symbol is more than one character.
        """
        if self._long is not None:
            raise ValueError(
                f"texts cannot be written in this model's symbols: {self._long!r} is more than one "
                "character"
            )
        try:
            return [self._ids[self._in_case(character)] for character in text]
        except KeyError as error:
            raise refuse_character(error.args[0], text) from None

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of labels 1..C-1, the blank left out by whoever collapsed the path.

        Raises:
            ValueError: a label is the blank or no label at all.
        """
        return "".join(look_up(self.tokens, ids))

    def reference(self, text: str) -> str:
        """Return the text with its letters in the case that there is."""
        return "".join(map(self._in_case, text))

    def state(self) -> dict[str, str]:
        """Return all that `tokenizer_from_state` needs."""
        return {"type": "symbols", "symbols": json.dumps(self.symbols)}

    def _in_case(self, character: str) -> str:
        if character in self._ids:
            return character
        other = character.swapcase()
        return other if other in self._ids else character


def read_strings(name: str, text: str) -> list[str]:
    """Read a list of texts out of a tokenizer's state.

    Raises:
        ValueError: it is none; names it.
    """
    values = json.loads(text)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name} must be a list of texts, got {shorten(text)}")
    return values
