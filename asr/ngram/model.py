"""n-gram language models: an ARPA or compiled file -> ln probabilities of words in context."""

import gzip
import os
import zlib
from pathlib import Path
from typing import Literal

from asr import _native
from asr.files import write_atomically

_BINARY_MAGIC = b"ASR-LM"  # a version of two digits follows


class NGramLM:
    r"""A back-off n-gram model, order 1 to 6.

    Unknown words have the probability of <unk>, and log10 p = -100 in a model without one.
    Immutable and free to be shared by threads; pickles as its path.

    Args:
        path: ARPA file, which may be compressed by gzip and begin with text before the line
            `\data\`; or a file made by `save`, which is mapped into memory in milliseconds.
            Replace such a file, as `save` does: to cut or overwrite it in place kills the processes
            that have it mapped (SIGBUS).
        unit: what a decoder scores: "word", or "token" for a model whose words are the classes of
            the network: characters, with the separator written as U+2581, "|", "<space>" or "_",
            or pieces.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file departs from its format; the message begins with the path and, for
            ARPA, the line.
    """

    def __init__(
        self, path: str | os.PathLike[str], unit: Literal["word", "token"] = "word"
    ) -> None:
        if unit not in ("word", "token"):
            raise ValueError(f"unit must be 'word' or 'token', got {unit!r}")
        self.path = Path(path).absolute()
        self.unit = unit
        with self.path.open("rb") as file:
            start = file.read(len(_BINARY_MAGIC))
            if start == _BINARY_MAGIC:
                self.native = _native.NGramModel.from_binary(str(self.path))
                return
            file.seek(0)
            text = file.read()
        if text.startswith(b"\x1f\x8b"):
            try:
                text = gzip.decompress(text)
            except (OSError, EOFError, zlib.error) as error:
                raise ValueError(f"{path}: damaged gzip file ({error})") from error
        try:
            self.native = _native.NGramModel.from_arpa(text, str(path))
        except UnicodeDecodeError as error:
            # The reason quotes the file, which is no UTF-8 there, or is cut within a letter.
            raise ValueError(error.object.decode(errors="backslashreplace")) from error

    @property
    def order(self) -> int:
        """Words in the longest n-gram."""
        return self.native.order

    def __len__(self) -> int:
        """Words of the vocabulary, <s>, </s> and <unk> among them."""
        return self.native.num_words

    def words(self) -> list[str]:
        """List the vocabulary; <unk> comes first.

        Raises:
            ValueError: a word is not UTF-8.
        """
        try:
            return [self.native.word(index) for index in range(len(self))]
        except (RuntimeError, UnicodeDecodeError) as error:  # nanobind raises the former
            raise ValueError(f"{self.path}: a word is not UTF-8") from error

    def sample_words(self, most: int) -> list[str]:
        """List at most `most` words, evenly spread; one that is not UTF-8 is U+FFFD."""
        words = []
        for index in range(0, len(self), max(1, -(-len(self) // most))):
            try:
                words.append(self.native.word(index))
            except (RuntimeError, UnicodeDecodeError):
                words.append("\ufffd")
        return words

    def score(self, sentence: str, bos: bool = True, eos: bool = True) -> float:
        """Compute the ln probability of a sentence.

        Args:
            sentence: words separated by white space.
            bos: condition the first word on the start of the sentence.
            eos: include the probability that the sentence ends here.

        Returns:
            ln P; kenlm's log10 times ln 10.
        """
        return self.native.score_words(sentence.split(), bos, eos)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the compiled form, which loads in milliseconds on machines of this byte order."""
        write_atomically(Path(path), self.native.to_binary())

    def __reduce__(self) -> tuple[type["NGramLM"], tuple[Path, str]]:
        return type(self), (self.path, self.unit)
