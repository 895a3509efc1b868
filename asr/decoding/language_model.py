"""n-gram language models: an ARPA file -> ln probabilities of words in context."""

import gzip
import os
from pathlib import Path

from asr import _native


class NGramLM:
    r"""A back-off n-gram model, order 1 to 6, read from an ARPA file.

    Unknown words have the probability of <unk>, and log10 p = -100 in a model without one.
    Immutable and free to be shared by threads; pickles as its path.

    Args:
        path: ARPA file, or one compressed by gzip whose name ends in .gz. Text before the line
            `\data\` is skipped.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file departs from the format; the message begins "path:line: ".
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        if self.path.suffix == ".gz":
            text = gzip.decompress(self.path.read_bytes())
        else:
            text = self.path.read_bytes()
        self._native = _native.NGramModel.from_arpa(text, str(path))

    @property
    def order(self) -> int:
        """Words in the longest n-gram."""
        return self._native.order

    def __len__(self) -> int:
        """Words of the vocabulary, <s>, </s> and <unk> among them."""
        return self._native.num_words

    def score(self, sentence: str, bos: bool = True, eos: bool = True) -> float:
        """Compute the ln probability of a sentence.

        Args:
            sentence: words separated by white space.
            bos: condition the first word on the start of the sentence.
            eos: include the probability that the sentence ends here.

        Returns:
            ln P; kenlm's log10 times ln 10.
        """
        return self._native.score_words(sentence.split(), bos, eos)

    def __reduce__(self) -> tuple[type["NGramLM"], tuple[Path]]:
        return type(self), (self.path,)
