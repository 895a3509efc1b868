"""Modified Kneser-Ney, pruning and ARPA scoring from their definitions: the oracle of n-grams.

Source: Chen and Goodman 1998, section 4.1.6; Heafield et al. 2013, section 3; Stolcke 1998.
"""

import math
from collections import Counter
from functools import cached_property


def discounts(adjusted):
    """Return (D1, D2, D3+) of adjusted counts, or lmplz's fallback where they are undefined."""
    t = Counter(adjusted)
    try:
        y = t[1] / (t[1] + 2 * t[2])
        found = (1 - 2 * y * t[2] / t[1], 2 - 3 * y * t[3] / t[2], 3 - 4 * y * t[4] / t[3])
    except ZeroDivisionError:
        return 0.5, 1.0, 1.5
    if any(not 0 <= d <= j for j, d in enumerate(found, start=1)):
        return 0.5, 1.0, 1.5
    return found


class KneserNey:
    """Interpolated modified Kneser-Ney over lists of words; n-grams are tuples.

    `prune[n - 1]` is the largest count of an n-gram that is dropped.
    """

    def __init__(self, sentences, order, prune=None):
        self.order = order
        self.prune = prune or [0] * order
        self.words = {w for s in sentences for w in s} | {"</s>", "<unk>"}
        self.counts = Counter()
        for sentence in sentences:
            marked = ("<s>", *sentence, "</s>")
            for n in range(1, order + 1):
                self.counts.update(marked[i : i + n] for i in range(len(marked) - n + 1))
        del self.counts[("<s>",)]

    @cached_property
    def adjusted(self):
        """Adjusted counts of all seen n-grams: {n-gram: number}."""
        before = {}
        for gram in self.counts:
            if len(gram) > 1:
                before.setdefault(gram[1:], set()).add(gram[0])
        return {
            gram: count if len(gram) == self.order or gram[0] == "<s>" else len(before[gram])
            for gram, count in self.counts.items()
        }

    @cached_property
    def discounts(self):
        """Three discounts for each order."""
        return [
            discounts([a for gram, a in self.adjusted.items() if len(gram) == n])
            for n in range(1, self.order + 1)
        ]

    @cached_property
    def followers(self):
        """Seen continuations of each context: {context: {word: adjusted count}}."""
        found = {}
        for gram, count in self.adjusted.items():
            found.setdefault(gram[:-1], {})[gram[-1]] = count
        return found

    def probability(self, word, context):
        """Return p(word | context); context is a tuple of at most order - 1 words."""
        if context is None:
            return 1 / len(self.words)
        shorter = context[1:] if context else None
        after = self.followers.get(context)
        if after is None:
            return self.probability(word, shorter)
        total = sum(after.values())
        own, left = 0, 0
        for follower, count in after.items():
            kept = not context or self.counts[(*context, follower)] > self.prune[len(context)]
            discount = self.discounts[len(context)][min(count, 3) - 1] if kept else count
            left += discount
            if follower == word:
                own = count - discount
        return own / total + left / total * self.probability(word, shorter)


class EntropyPruned:
    """A KneserNey model without the n-grams whose loss changes perplexity by less than a threshold.

    The loss of an n-gram is the relative entropy of its context's distribution before and after,
    summed over the whole vocabulary, times the relative frequency of the context.
    """

    def __init__(self, model, threshold):
        self.model = model
        self.words = sorted(model.words)
        self.explicit = {
            gram
            for gram, count in model.counts.items()
            if len(gram) > 1 and count > model.prune[len(gram) - 1]
        }
        self.retained = set(self.explicit)
        for n in range(model.order, 1, -1):
            needed = {gram[:-1] for gram in self.retained if len(gram) == n + 1}
            needed |= {gram[1:] for gram in self.retained if len(gram) == n + 1}
            for gram in [gram for gram in self.explicit if len(gram) == n]:
                if gram not in needed and math.expm1(self.loss(gram)) < threshold:
                    self.retained.discard(gram)

    def history_probability(self, context):
        """Return how often a context stands before a word or an end, among all of these."""
        times = sum(c for gram, c in self.model.counts.items() if gram[:-1] == context)
        return times / sum(c for gram, c in self.model.counts.items() if len(gram) == 1)

    def backoff(self, context, grams):
        """Return the weight that makes the context sum to one when `grams` are what follows it."""
        followers = [gram[-1] for gram in grams if gram[:-1] == context]
        mass = 1 - sum(self.model.probability(w, context) for w in followers)
        below = 1 - sum(self.model.probability(w, context[1:]) for w in followers)
        return mass / below if followers else 1.0

    def loss(self, gram):
        """Return the relative entropy, in nats, that the model pays for one n-gram."""
        context = gram[:-1]
        followers = {g for g in self.explicit if g[:-1] == context} - {gram}
        weight = self.backoff(context, followers)
        total = 0
        for word in self.words:
            before = self.model.probability(word, context)
            after = before
            if (*context, word) not in followers:
                after = weight * self.model.probability(word, context[1:])
            if before > 0:  # a discount may be 0, and leave nothing to words that did not follow
                total += before * math.log(before / after)
        return self.history_probability(context) * total

    def probability(self, word, context):
        """Return p(word | context) of the pruned model."""
        if not context or (*context, word) in self.retained:
            return self.model.probability(word, context)
        weight = self.backoff(context, self.retained)
        return weight * self.probability(word, context[1:])


class Arpa:
    """An ARPA file, read and scored by the format's definition."""

    def __init__(self, path):
        self.grams = {}
        self.declared = {}
        section = 0
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("ngram "):
                n, count = line.removeprefix("ngram ").split("=")
                self.declared[int(n)] = int(count)
            elif line.startswith("\\") and line.endswith("-grams:"):
                section = int(line[1:-7])
            elif section and line and not line.startswith("\\"):
                log_p, gram, *backoff = line.split("\t")
                words = tuple(gram.split(" "))
                assert len(words) == section
                assert words not in self.grams
                self.grams[words] = float(log_p), float(*backoff or ["0"])
        self.order = section

    def log10(self, word, context):
        """Return log10 p(word | context), backing off as long as needed."""
        context = context[max(0, len(context) - self.order + 1) :]
        if (word,) not in self.grams:
            word = "<unk>"
        if (*context, word) in self.grams:
            return self.grams[(*context, word)][0]
        return self.grams.get(context, (0, 0))[1] + self.log10(word, context[1:])

    def score(self, sentence):
        """Return log10 p(sentence </s> | <s>)."""
        known = [w if (w,) in self.grams else "<unk>" for w in sentence.split()]
        marked = ("<s>", *known, "</s>")
        return sum(self.log10(marked[i], marked[:i]) for i in range(1, len(marked)))
