"""What benchmarks/decoding.py decodes: a real model's output, or that of a generated language."""

import gzip
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asr.ngram.estimation import estimate_ngram
from asr.ngram.model import NGramLM
from asr.text.pronunciations import read_pronunciations
from asr.tuning.emissions import read_emissions


class TestSet(NamedTuple):
    """Utterances to decode, and the model of their language."""

    log_probs: np.ndarray  # (N, T, C), the blank first
    lengths: np.ndarray  # (N,)
    references: list[str]
    tokens: list[str]
    arpa: Path
    pronunciations: dict[str, list[tuple[str, ...]]] | None = None  # where tokens are phones

    def rows(self) -> list[np.ndarray]:
        """Each utterance's own frames."""
        return [x[:n] for x, n in zip(self.log_probs, self.lengths, strict=True)]


def read_test_set(
    emissions: Path, arpa: Path, num_utterances: int | None, dictionary: Path | None
) -> TestSet:
    """Read what benchmarks/emissions.py saved of a model, and how words are said as its tokens."""
    saved = read_emissions(emissions)
    if saved.blank != 0:
        raise SystemExit(f"{emissions}: blank must be 0, which some peers cannot change")
    count = slice(num_utterances)
    rows = saved.log_probs[count]
    said = None
    if dictionary is not None:
        ways, words = read_pronunciations(dictionary).all_of(), NGramLM(arpa).words()
        said = {word: ways[word] for word in words if word in ways}
    return TestSet(*pad(rows, len(saved.tokens)), saved.references[count], saved.tokens, arpa, said)


def generate_test_set(
    alphabet: str, text: Path | None, num_utterances: int, folder: Path
) -> TestSet:
    """Split the text, estimate a 3-gram on one part and speak sentences of the other."""
    lines = read_text(text, 30_000)
    random.Random(0).shuffle(lines)
    spoken = [line for line in lines if 8 <= len(line.split()) <= 20][:num_utterances]
    held_out = set(spoken)
    arpa = folder / "lm.arpa"
    estimate_ngram([line for line in lines if line not in held_out], 3, arpa)
    if alphabet == "pieces":
        tokens, encode = piece_tokens(lines, folder)
        # flashlight-text takes a repetition of a word's last piece for another word.
        noise, repeated = 4.5, 0.0
    else:
        tokens, encode = character_tokens(lines)
        noise, repeated = 1.8, 0.3
    rng = np.random.default_rng(0)
    rows = [emit(encode(text), len(tokens), noise, repeated, rng) for text in spoken]
    return TestSet(*pad(rows, len(tokens)), spoken, tokens, arpa)


def pad(rows: list[np.ndarray], num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, T, C) and the lengths (N,)."""
    lengths = np.array([len(row) for row in rows])
    log_probs = np.zeros((len(rows), lengths.max(), num_classes), np.float32)
    for place, row in zip(log_probs, rows, strict=True):
        place[: len(row)] = row
    return log_probs, lengths


def read_text(path: Path | None, num_sentences: int) -> list[str]:
    """Lines of a file, or of a generated language: Zipf words, each with favourite followers."""
    if path is not None:
        text = path.read_bytes()
        text = gzip.decompress(text) if path.suffix == ".gz" else text
        return [line for line in text.decode().splitlines() if line.strip()]
    rng = random.Random(1)
    syllables = [c + v + e for c in "bdfgklmnprstvw" for v in "aeiou" for e in ("", "n", "s", "t")]
    words = ["".join(rng.choices(syllables, k=rng.choice([1, 2, 2, 3]))) for _ in range(20_000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    followers = {w: rng.choices(words, weights, k=8) for w in words}
    sentences = []
    for _ in range(num_sentences):
        sentence = rng.choices(words, weights)
        for _ in range(rng.randint(7, 18)):
            likely = followers[sentence[-1]] if rng.random() < 0.7 else None
            sentence += [rng.choice(likely)] if likely else rng.choices(words, weights)
        sentences.append(" ".join(sentence))
    return sentences


def emit(
    ids: list[int], num_classes: int, noise: float, repeated: float, rng: np.random.Generator
) -> np.ndarray:
    """(T, C) ln probabilities: spikes between blanks, each with a rival, some for two frames."""
    rows = []
    for previous, c in zip([0, *ids], ids, strict=False):
        for _ in range(rng.integers(0, 4) + (previous == c)):
            rows.append(rng.normal(size=num_classes))
            rows[-1][0] += rng.normal(9.0, 1.5)
        row = rng.normal(size=num_classes)
        row[c] += rng.normal(7.5, 2.0)
        row[(c * 7 + rng.integers(1, 5)) % (num_classes - 1) + 1] += rng.normal(noise, 2.0)
        rows += [row] * (1 + (rng.random() < repeated))
    logits = np.array(rows)
    return (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)


def character_tokens(lines: list[str]) -> tuple[list[str], Callable[[str], list[int]]]:
    """Blank, space and letters, with the function that spells a text."""
    tokens = ["<blank>", *sorted(set("".join(lines)))]
    ids = {token: index for index, token in enumerate(tokens)}
    return tokens, lambda text: [ids[letter] for letter in text]


def piece_tokens(lines: list[str], folder: Path) -> tuple[list[str], Callable[[str], list[int]]]:
    """1024 classes of SentencePiece."""
    import sentencepiece

    prefix = str(folder / "pieces")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=prefix, vocab_size=1023, minloglevel=2,
        bos_id=-1, eos_id=-1,
    )  # fmt: skip
    processor = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")
    pieces = [processor.id_to_piece(i) for i in range(1023)]
    return ["<blank>", *pieces], lambda text: [i + 1 for i in processor.encode(text)]
