"""Slow and obviously right: CTC decoding by enumeration of every alignment, back-off n-grams."""

import itertools
import math
from collections import defaultdict
from typing import NamedTuple

LN10 = math.log(10.0)


class Reading(NamedTuple):
    labelling: tuple[int, ...]
    score: float
    acoustic_score: float
    lm_score: float


def collapse(path, blank):
    """Merge repeats, then drop blanks."""
    merged = [label for label, _ in itertools.groupby(path)]
    return tuple(label for label in merged if label != blank)


def labelling_probabilities(log_probs, blank):
    """Sum exp of every path's log-probability over the paths of each labelling."""
    num_frames, num_classes = log_probs.shape
    masses = defaultdict(list)
    for path in itertools.product(range(num_classes), repeat=num_frames):
        log_p = math.fsum(log_probs[t, c] for t, c in enumerate(path))
        masses[collapse(path, blank)].append(math.exp(log_p))
    return {labelling: math.fsum(parts) for labelling, parts in masses.items()}


def words_of(labelling, tokens):
    """Words of a labelling: spaces separate them, U+2581 begins them."""
    return "".join(tokens[c] for c in labelling).replace("\u2581", " ").split()


def scored_tokens(written):
    """What a model of tokens reads: a space between two words, a bare U+2581 before a word."""
    units = []
    for i, (token, after) in enumerate(itertools.zip_longest(written, written[1:], fillvalue="")):
        if token == " " and (after in (" ", "") or not "".join(written[:i]).strip()):
            continue
        if token == "\u2581" and (after == "" or after.startswith("\u2581")):
            continue
        units.append(token.replace(" ", "\u2581"))
    return units


class TextRules(NamedTuple):
    """What a text is worth and whether it is allowed, by definition.

    lexicon: spelling -> word. grammar: a predicate of the list of words. lm_unit: see NGramLM.
    """

    lm: "BackoffModel | None" = None
    lm_alpha: float = 0.0
    lm_beta: float = 0.0
    unk_score: float = 0.0
    lm_unit: str = "word"
    lexicon: dict | None = None
    hotwords: tuple = ()
    hotword_weight: float = 0.0
    grammar: object = None

    def allow(self, spellings):
        """Whether lexicon and grammar allow the words, which are given as spelled."""
        if self.lexicon is not None and any(s not in self.lexicon for s in spellings):
            return False
        return self.grammar is None or self.grammar(spellings)

    def words(self, spellings):
        return [self.lexicon[s] for s in spellings] if self.lexicon is not None else spellings

    def lm_units(self, labelling, tokens):
        """What the language model reads."""
        if self.lm_unit == "word":
            return self.words(words_of(labelling, tokens))
        return scored_tokens([tokens[c] for c in labelling])

    def hotword_bonus(self, spellings):
        """Weight times words of the phrase, for each place where a phrase stands."""
        phrases = [phrase.split() for phrase in self.hotwords]
        return self.hotword_weight * sum(
            len(phrase)
            for phrase in phrases
            for start in range(len(spellings))
            if spellings[start : start + len(phrase)] == phrase
        )


FREE_TEXT = TextRules()


def readings(log_probs, tokens, blank=0, rules=FREE_TEXT):
    """All allowed labellings of positive probability, best fused score first."""
    results = []
    for labelling, probability in labelling_probabilities(log_probs, blank).items():
        spellings = words_of(labelling, tokens)
        if probability == 0.0 or not rules.allow(spellings):
            continue
        acoustic_score = math.log(probability)
        fused = rules.hotword_bonus(spellings)
        lm_score = 0.0
        if rules.lm:
            units = rules.lm_units(labelling, tokens)
            lm_score = rules.lm.sentence(units)
            fused += rules.lm_alpha * lm_score + rules.lm_beta * len(units)
            if rules.lm_unit == "word":
                fused += rules.unk_score * sum((u,) not in rules.lm.ngrams for u in units)
        results.append(Reading(labelling, acoustic_score + fused, acoustic_score, lm_score))
    return sorted(results, key=lambda reading: -reading.score)


def distinct_texts(all_readings, tokens, n_best, rules=FREE_TEXT):
    """The first reading of each text, as far as `n_best` of them."""
    kept = {}
    for reading in all_readings:
        words = rules.words(words_of(reading.labelling, tokens))
        kept.setdefault(" ".join(words), reading)
    return list(kept.items())[:n_best]


class BackoffModel:
    """n-grams by their definition: {(w1, ..., wn): (log10 p, log10 back-off)}."""

    def __init__(self, ngrams):
        self.ngrams = ngrams
        self.order = max(len(ngram) for ngram in ngrams)

    def word(self, history, word):
        """ln p(word | history), by the definition of back-off."""
        if (word,) not in self.ngrams:
            word = "<unk>"
        history = tuple(w if (w,) in self.ngrams else "<unk>" for w in history)
        history = history[max(0, len(history) - self.order + 1) :]
        if (*history, word) in self.ngrams:
            return self.ngrams[(*history, word)][0] * LN10
        if not history:
            return -100.0 * LN10
        backoff = self.ngrams.get(history, (0.0, 0.0))[1]
        return backoff * LN10 + self.word(history[1:], word)

    def sentence(self, words, bos=True, eos=True):
        """Sum of the words' ln probabilities, each given all before it."""
        history = ["<s>"] if bos else []
        total = 0.0
        for word in [*words, "</s>"] if eos else words:
            total += self.word(tuple(history), word)
            history.append(word)
        return total

    def arpa(self):
        """The model as an ARPA file."""
        lines = ["\\data\\"]
        by_order = [
            [ngram for ngram in self.ngrams if len(ngram) == order]
            for order in range(1, self.order + 1)
        ]
        lines += [f"ngram {order}={len(group)}" for order, group in enumerate(by_order, 1)]
        for order, group in enumerate(by_order, 1):
            lines += ["", f"\\{order}-grams:"]
            for ngram in group:
                log_prob, backoff = self.ngrams[ngram]
                tail = f"\t{backoff!r}" if order < self.order else ""
                lines.append(f"{log_prob!r}\t{' '.join(ngram)}{tail}")
        return "\n".join([*lines, "", "\\end\\", ""])


def random_model(rng, vocabulary, order, keep_suffixes=False):
    """A back-off model with random n-grams: every context of one is one, suffixes need not be."""
    words = ["<s>", "</s>", "<unk>", *vocabulary]
    ngrams = {}
    level = [()]
    for length in range(1, order + 1):
        share = 1.0 if length == 1 else 0.4
        extended = [
            (*context, word)
            for context in level
            for word in words
            if "</s>" not in context
            and (word != "<s>" or not context)
            and (not keep_suffixes or len(context) == 0 or (*context[1:], word) in ngrams)
            and rng.random() < share
        ]
        for ngram in extended:
            log_prob = -99.0 if ngram == ("<s>",) else -float(rng.uniform(0.05, 2.0))
            ngrams[ngram] = (round(log_prob, 4), round(float(rng.uniform(-1.0, 0.3)), 4))
        level = extended
    return BackoffModel(ngrams)
