"""Text to labels and back: tokenizers behind one interface.

Label 0 is the CTC blank in every vocabulary, so a tokenizer's ids start at 1 and its `tokens` hold
C strings, one for each column of `log_probs`. Words are separated by a space in a character
vocabulary and opened by U+2581 in a SentencePiece one, which is how the decoders find words; phones
(`asr.text.phones`) open with it each.

Why texts are refused rather than repaired here: a character that is dropped in silence lowers the
error rate of a model that cannot say it. The normaliser repairs, and counts what
it repaired.
"""

import base64
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol, Self

import sentencepiece

from asr.files import read_bytes
from asr.text.characters import WORD_START, name_character, refuse_character, shorten
from asr.text.labels import BLANK, BLANK_TOKEN, look_up, look_up_words
from asr.text.phones import PhoneTokenizer
from asr.text.symbols import SymbolTokenizer, read_strings

# The largest published model, of a quarter of a million pieces, has five.
MAX_MODEL_BYTES = 100 * 2**20
# Advice of SentencePiece that nobody can follow here: every character gets into the vocabulary.
_NOT_OURS = " or decrease character_coverage with --character_coverage option"


class Tokenizer(Protocol):
    """What training, decoding and checkpoints ask of a vocabulary.

    `tokens` holds C strings; `tokens[BLANK]` is "<blank>". `decode(encode(text))` is
    `reference(text)` for every text that `encode` accepts, and `tokenizer_from_state(t.state())`
    equals `t`.
    """

    @property
    def tokens(self) -> list[str]:
        """C strings, one for each column of `log_probs`."""
        ...

    def encode(self, text: str) -> list[int]:
        """Turn a text into labels 1..C-1."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """Turn labels 1..C-1 into a text."""
        ...

    def reference(self, text: str) -> str:
        """Write a text as `decode` would: what hypotheses are scored against."""
        ...

    def state(self) -> dict[str, str]:
        """Return all that `tokenizer_from_state` needs, as plain strings."""
        ...


class CharTokenizer:
    """One label per character; label i + 1 is `alphabet[i]`.

    Args:
        alphabet: the characters that can be said, each once; a space separates words.

    Raises:
        ValueError: the alphabet is empty, repeats a character, or holds U+2581 or white space other
            than the plain space.
    """

    def __init__(self, alphabet: str) -> None:
        if not alphabet:
            raise ValueError("alphabet must hold at least one character, got ''")
        for character, count in Counter(alphabet).items():
            if count > 1:
                raise ValueError(
                    f"alphabet must hold each character once, got {character!r} {count} times"
                )
            if character == WORD_START or (character.isspace() and character != " "):
                raise ValueError(f"alphabet must not hold {name_character(character)}")
        self.alphabet = alphabet
        self.tokens = [BLANK_TOKEN, *alphabet]
        self._ids = {character: i for i, character in enumerate(self.tokens) if i != BLANK}

    def encode(self, text: str) -> list[int]:
        """Return the label of each character.

        Raises:
            ValueError: a character is not in the alphabet.
        """
        try:
            return [self._ids[character] for character in text]
        except KeyError as error:
            raise refuse_character(error.args[0], text) from None

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of labels 1..C-1, the blank left out by whoever collapsed the path.

        Raises:
            ValueError: a label is the blank or no label at all.
        """
        return "".join(look_up(self.tokens, ids))

    def reference(self, text: str) -> str:
        """Return the text itself, whatever its characters."""
        return text

    def state(self) -> dict[str, str]:
        """Return all that `tokenizer_from_state` needs."""
        return {"type": "char", "alphabet": self.alphabet}


class SentencePieceTokenizer:
    """Subword labels; label i + 1 is piece i of a SentencePiece model.

    Args:
        model: the bytes of a SentencePiece model (the content of a `.model` file).

    Raises:
        ValueError: the bytes are no SentencePiece model, or the model falls back to bytes, whose
            pieces are not text.
    """

    def __init__(self, model: bytes) -> None:
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
            size = self._processor.get_piece_size()
        except RuntimeError as error:
            raise ValueError(f"not a SentencePiece model ({len(model)} bytes)") from error
        if size == 0:
            raise ValueError(f"not a SentencePiece model ({len(model)} bytes)")
        if any(self._processor.is_byte(i) for i in range(size)):
            raise ValueError("SentencePiece models with byte_fallback are not supported")
        self.model = model
        self.tokens = [BLANK_TOKEN, *(self._processor.id_to_piece(i) for i in range(size))]

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        model_type: Literal["unigram", "bpe", "char", "word"] = "unigram",
    ) -> Self:
        """Train a model on normalised texts, in memory; the same texts give the same model.

        Args:
            texts: one utterance each; every character of them gets into the vocabulary.
            vocab_size: pieces including "<unk>" and excluding the blank, so C = vocab_size + 1.
            model_type: SentencePiece's algorithm.

        Raises:
            ValueError: there is no text, or SentencePiece cannot make that many pieces of it.
        """
        sentences = [text for text in texts if text]
        if not sentences:
            raise ValueError("cannot train a SentencePiece model: there is no text")
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(sentences),
                model_writer=model,
                vocab_size=vocab_size,
                model_type=model_type,
                character_coverage=1.0,
                # What the normaliser made must come back unchanged.
                normalization_rule_name="identity",
                # The default of 4192 bytes drops longer sentences in silence; 10 is the least.
                max_sentence_length=max(10, *(len(s.encode()) + 1 for s in sentences)),
                unk_id=0,
                bos_id=-1,
                eos_id=-1,
                pad_id=-1,
                minloglevel=2,
            )
        except (RuntimeError, OSError) as error:
            reason = str(error).rpartition("] ")[2] or str(error)
            reason = reason.replace(_NOT_OURS, "")
            raise ValueError(
                f"cannot train a SentencePiece model of {vocab_size} pieces: {reason}"
            ) from error
        return cls(model.getvalue())

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a `.model` file.

        Raises:
            ValueError: the file is missing or no SentencePiece model.
        """
        try:
            return cls(read_bytes(path, MAX_MODEL_BYTES))
        except ValueError as error:
            raise ValueError(f"{path}: cannot read a SentencePiece model: {error}") from error

    def encode(self, text: str) -> list[int]:
        """Return the labels of the model's best segmentation.

        Raises:
            ValueError: a character is not in the model, or the text is not as the normaliser leaves
                it (doubled or outer spaces), so that it would not come back unchanged.
        """
        pieces = self._processor.encode(text)
        unknown = self._processor.unk_id()
        if unknown in pieces or WORD_START in text:
            raise refuse_character(self._first_unknown(text), text)
        ids = [piece + 1 for piece in pieces]
        if (back := self.decode(ids)) != text:
            raise ValueError(
                f"text is not normalised: {shorten(text)} reads back as {shorten(back)}"
            )
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of labels 1..C-1, the blank left out by whoever collapsed the path.

        Raises:
            ValueError: a label is the blank or no label at all.
        """
        return "".join(look_up(self.tokens, ids)).replace(WORD_START, " ").removeprefix(" ")

    def reference(self, text: str) -> str:
        """Return the text itself, whatever its characters."""
        return text

    def state(self) -> dict[str, str]:
        """Return all that `tokenizer_from_state` needs."""
        return {"type": "sentencepiece", "model": base64.b64encode(self.model).decode("ascii")}

    def _first_unknown(self, text: str) -> str:
        unknown = self._processor.unk_id()
        for character in text:
            if character == WORD_START or unknown in self._processor.encode(character):
                return character
        return text


class LabelTokenizer:
    """One label for a whole text, as of a clip that is one of some sounds or keywords.

    Args:
        labels: the texts that there are, each once; sorted, label i + 1 is number i.
        several: whether a text is any number of labels, with spaces between, in any order.

    Raises:
        ValueError: there is none, one is repeated or empty, or one holds white space or U+2581: it
            must be one word, so that the share of wrong words is that of wrong clips.
    """

    def __init__(self, labels: Sequence[str], *, several: bool = False) -> None:
        if not labels:
            raise ValueError("labels must name at least one label, got none")
        for label, count in Counter(labels).items():
            if count > 1:
                raise ValueError(f"labels must hold each label once, got {label!r} {count} times")
            if label.split() != [label] or WORD_START in label:
                raise ValueError(
                    f"a label must be one word, without spaces and U+2581, got {shorten(label)}: "
                    "write dog_bark"
                )
        self.labels = sorted(labels)
        self.several = several
        self.tokens = [BLANK_TOKEN, *(WORD_START + label for label in self.labels)]
        self._ids = {label: i for i, label in enumerate(self.labels, start=1)}

    def encode(self, text: str) -> list[int]:
        """Return the label that a text is, or those that it names, in ascending order.

        Raises:
            ValueError: it is none of them, or names one twice.
        """
        named = text.split() if self.several else [text]
        for label, count in Counter(named).items():
            if label not in self._ids:
                raise ValueError(
                    f"text must be {'some' if self.several else 'one'} of the {len(self.labels)} "
                    f"labels {shorten(', '.join(self.labels))}, got {shorten(label)}"
                )
            if count > 1:
                raise ValueError(f"text must name a label once, got {label!r} {count} times")
        return sorted(self._ids[label] for label in named)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of labels 1..C-1, with a space between two.

        Raises:
            ValueError: a label is the blank or no label at all.
        """
        return look_up_words(self.tokens, ids)

    def reference(self, text: str) -> str:
        """Return the text in the order of the labels: what is none of them counts as wrong."""
        return " ".join(sorted(text.split())) if self.several else text

    def state(self) -> dict[str, str]:
        """Return all that `tokenizer_from_state` needs."""
        return {"type": "tags" if self.several else "labels", "labels": json.dumps(self.labels)}


def spelling(tokenizer: Tokenizer) -> CharTokenizer:
    """Tokenizer of the characters that a tokenizer's texts can hold."""
    pieces = [t for t in tokenizer.tokens if not (t.startswith("<") and t.endswith(">"))]
    return CharTokenizer("".join(sorted(set("".join(pieces).replace(WORD_START, " ")))))


def tokenizer_from_state(state: Mapping[str, str]) -> Tokenizer:
    """Rebuild the tokenizer whose `state()` this is.

    Raises:
        ValueError: the state names no tokenizer of this project or lacks its content.
    """
    try:
        if state["type"] == "char":
            return CharTokenizer(state["alphabet"])
        if state["type"] == "phones":
            return PhoneTokenizer.from_state(state["dictionary"])
        if state["type"] == "sentencepiece":
            return SentencePieceTokenizer(base64.b64decode(state["model"], validate=True))
        if state["type"] in ("labels", "tags"):
            labels = read_strings("labels", state["labels"])
            return LabelTokenizer(labels, several=state["type"] == "tags")
        if state["type"] == "symbols":
            return SymbolTokenizer(read_strings("symbols", state["symbols"]))
    except KeyError as error:
        raise ValueError(f"tokenizer state lacks {error.args[0]!r}") from None
    raise ValueError(
        "tokenizer type must be 'char', 'labels', 'phones', 'sentencepiece', 'symbols' or 'tags', "
        f"got {state['type']!r}"
    )
