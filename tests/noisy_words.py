"""Noisy log-probabilities of word strings with a bigram model of them: a set worth tuning on."""

import math

import numpy as np

from asr.tuning.emissions import Emissions

TOKENS = ["<blank>", " ", "a", "b", "c", "d"]
WORDS = ["ab", "abc", "bad", "cab", "dab", "ad", "bcd", "acd", "cda", "dc"]
# Each word is followed by one of these, nine times in ten.
FOLLOWERS = {w: [WORDS[(i + 1) % 10], WORDS[(i + 3) % 10]] for i, w in enumerate(WORDS)}


def write_bigram(path):
    """Write the ARPA file of the strings' own distribution."""
    unigrams = [f"{math.log10(0.08):.4f} {word} {math.log10(0.1):.4f}\n" for word in WORDS]
    bigrams = [f"{math.log10(0.45):.4f} {w} {n}\n" for w, after in FOLLOWERS.items() for n in after]
    path.write_text(
        f"\\data\\\nngram 1={len(unigrams) + 3}\nngram 2={len(bigrams)}\n\n\\1-grams:\n"
        f"-99 <s> 0\n-0.7 </s>\n-3 <unk>\n{''.join(unigrams)}\n"
        f"\\2-grams:\n{''.join(bigrams)}\n\\end\\\n"
    )
    return path


def make_emissions(num_utterances=30, noise=1.7, seed=0):
    """Draw strings and their log-probabilities: a peak for each token, in noise."""
    rng = np.random.default_rng(seed)
    rows, texts = [], []
    for _ in range(num_utterances):
        words = [str(rng.choice(WORDS))]
        for _ in range(rng.integers(2, 6)):
            words.append(str(rng.choice(FOLLOWERS[words[-1]] if rng.random() < 0.9 else WORDS)))
        text = " ".join(words)
        spelled = [TOKENS.index(letter) for letter in text]
        path = [c for token in spelled for c in (token, 0)]
        logits = rng.normal(0, noise, (len(path), len(TOKENS)))
        logits[range(len(path)), path] += 4.0
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        rows.append(logits.astype(np.float32))
        texts.append(text)
    return Emissions(rows, texts, TOKENS, 0, [f"u{i}" for i in range(num_utterances)])
