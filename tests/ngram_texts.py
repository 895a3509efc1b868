"""Texts for the tests of n-gram models."""

LETTERS = "abcdefghijkl"


def draw_sentences(rng, size, longest=12, words=12):
    """Skewed words with memory, so that every order has counts of 1 to 4 and more."""
    spelled = [
        LETTERS[i] if i < len(LETTERS) else f"{LETTERS[i % len(LETTERS)]}{i}" for i in range(words)
    ]
    sentences = []
    for _ in range(size):
        word, sentence = 0, []
        for _ in range(rng.integers(1, longest)):
            word = int(min(rng.geometric(0.25), words // 2) + word) % words
            sentence.append(spelled[word])
        sentences.append(" ".join(sentence))
    return sentences
