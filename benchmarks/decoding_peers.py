"""Other people's CTC decoders, as many as can be imported, for benchmarks/decoding.py."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from decoding_test_sets import TestSet

from asr.decoding import NGramLM

FAST_CTC_CUTS = (1e-3, 1e-2)


class Weights(NamedTuple):
    """Of the language model, the same for every decoder."""

    alpha: float  # of natural logarithms
    beta: float


class Contestant(NamedTuple):
    """A decoder with one setting of its options; `decode` gives a text an utterance chosen.

    `on_two` does with two threads of its own; `twin` names our options for the same search.
    """

    group: str
    name: str
    options: str
    decode: Callable[[slice], list[str]]
    on_two: Callable[[slice], list[str]] | None = None
    twin: str = ""


def fast_ctc_contestants(test: TestSet, weights: Weights) -> Iterator[Contestant]:
    """fast-ctc-decode has no language model; its cut-off must stay below 1 / C."""
    import fast_ctc_decode

    # Its alphabet is one character a class.
    alphabet = [chr(0x4E00 + c) for c in range(len(test.tokens))]
    probs = [np.exp(row) for row in test.rows()]

    def write(text: str) -> str:
        pieces = "".join(test.tokens[ord(c) - 0x4E00] for c in text)
        return " ".join(pieces.replace("\u2581", " ").split())

    yield Contestant("greedy", "fast-ctc-decode", "", lambda chosen: [
        write(fast_ctc_decode.viterbi_search(p, alphabet)[0]) for p in probs[chosen]
    ])  # fmt: skip
    for width in (10, 100):
        for cut in FAST_CTC_CUTS:
            if cut >= 1 / len(alphabet):
                continue

            def decode(chosen: slice, width: int = width, cut: float = cut) -> list[str]:
                return [
                    write(fast_ctc_decode.beam_search(p, alphabet, width, cut)[0])
                    for p in probs[chosen]
                ]

            twin = f"{width} {math.log(cut):.1f} -5 skip"
            yield Contestant("no LM", "fast-ctc-decode", f"{width} {cut}", decode, twin=twin)


def flashlight_contestants(test: TestSet, weights: Weights) -> Iterator[Contestant]:
    """flashlight-text with lexicon and word model, "|" as the separator that ends spelled words."""
    from flashlight.lib.text import decoder as fl
    from flashlight.lib.text.dictionary import Dictionary, create_word_dict

    tokens, lexicon = spell_for_flashlight(test)
    lexicon["<unk>"] = []
    token_dict, word_dict = Dictionary(tokens), create_word_dict(lexicon)
    lm = fl.KenLM(str(test.arpa), word_dict)
    silence = token_dict.get_index("|")
    trie = fl.Trie(token_dict.index_size(), silence)
    start = lm.start(False)
    for word, spellings in lexicon.items():
        word_id = word_dict.get_index(word)
        _, score = lm.score(start, word_id)
        for spelling in spellings:
            trie.insert([token_dict.get_index(t) for t in spelling], word_id, score)
    trie.smear(fl.SmearingMode.MAX)
    rows = [np.ascontiguousarray(padded_row(row, len(tokens), silence)) for row in test.rows()]

    settings = [(10, 25.0), (10, 14.0), (8, 12.0), (5, 12.0)]
    if len(tokens) < 100:  # else its defaults manage one utterance a second
        settings.insert(0, (len(tokens), 50.0))
    for width in (10, 20, 100):
        for num_tokens, threshold in settings:
            options = fl.LexiconDecoderOptions(
                beam_size=width, beam_size_token=num_tokens, beam_threshold=threshold,
                lm_weight=weights.alpha * math.log(10),  # its model's scores have base 10
                word_score=weights.beta, unk_score=-float("inf"), sil_score=0.0, log_add=True,
                criterion_type=fl.CriterionType.CTC,
            )  # fmt: skip
            search = fl.LexiconDecoder(
                options, trie, lm, silence, 0, word_dict.get_index("<unk>"), [], False
            )

            def decode(chosen: slice, search: object = search) -> list[str]:
                texts = []
                for row in rows[chosen]:
                    results = search.decode(row.ctypes.data, *row.shape)
                    ids = results[0].words if results else []
                    texts.append(" ".join(word_dict.get_entry(i) for i in ids if i >= 0).strip())
                return texts

            yield Contestant("LM", "flashlight-text", f"{width} {num_tokens} {threshold:g}", decode)


def spell_for_flashlight(test: TestSet) -> tuple[list[str], dict[str, list[Sequence[str]]]]:
    """Tokens as it takes them, and each word's spellings or pronunciations."""
    tokens = [token.replace(" ", "|") for token in test.tokens]
    if "|" not in tokens:
        tokens.append("|")
    if test.pronunciations is not None:
        return [token.removeprefix("\u2581") for token in tokens], dict(test.pronunciations)
    is_pieces = any(token.startswith("\u2581") for token in test.tokens)
    spell = piece_speller(test.tokens) if is_pieces else lambda word: [*word, "|"]
    words = [w for w in NGramLM(test.arpa).words() if not w.startswith("<")]
    return tokens, {w: [spelling] for w in words if (spelling := spell(w))}


def padded_row(row: np.ndarray, num_classes: int, separator: int) -> np.ndarray:
    """Append a frame that is surely a separator, without which the last word would be dropped.

    A model of pieces has no separator: its class is impossible everywhere else.
    """
    extra = num_classes - row.shape[1]
    padded = np.pad(row, ((0, 1), (0, extra)), constant_values=-1e4)
    padded[-1] = -1e4
    padded[-1, separator] = 0.0
    return padded


def piece_speller(tokens: list[str]) -> Callable[[str], list[str]]:
    """Fewest-pieces spelling of a word, by dynamic programming."""
    pieces = set(tokens)

    def spell(word: str) -> list[str]:
        text = "\u2581" + word
        best: list[list[str] | None] = [[]] + [None] * len(text)
        for end in range(1, len(text) + 1):
            for begin in range(max(0, end - 16), end):
                head = best[begin]
                if head is None or text[begin:end] not in pieces:
                    continue
                if best[end] is None or len(head) + 1 < len(best[end]):
                    best[end] = [*head, text[begin:end]]
        return best[-1] or []

    return spell


def pyctcdecode_contestants(test: TestSet, weights: Weights) -> Iterator[Contestant]:
    """Run pyctcdecode at its defaults, wider, and without a model."""
    import pyctcdecode

    labels = ["", *test.tokens[1:]]
    words = [w for w in NGramLM(test.arpa).words() if not w.startswith("<")]
    with_lm = pyctcdecode.build_ctcdecoder(
        labels, str(test.arpa), words, weights.alpha, weights.beta
    )
    without = pyctcdecode.build_ctcdecoder(labels)
    rows = test.rows()
    # Width 100 with wide limits manages one utterance a second, and so do all with many classes.
    settings = [(10, -10.0, -5.0), (10, -14.0, -9.0), (100, -10.0, -5.0)]
    if len(test.tokens) > 100:
        settings = settings[:1]
    for group, decoder in (("no LM", without), ("LM", with_lm)):
        for limits in settings:

            def decode(chosen: slice, decoder=decoder, limits=limits) -> list[str]:  # noqa: ANN001
                return [decoder.decode(row, *limits) for row in rows[chosen]]

            twin = f"{limits[0]} -5 -8" if limits[2] == -5 else f"{limits[0]} -9 -14"
            yield Contestant(
                group, "pyctcdecode", "{0} {2} {1}".format(*limits), decode,
                twin=twin if group == "no LM" else "",
            )  # fmt: skip


def peers(test: TestSet, weights: Weights) -> list[Contestant]:
    """Contestants of every peer that can be imported."""
    contestants = []
    finders = [flashlight_contestants]
    if test.pronunciations is None:  # the others know no lexicon, or spell its words
        finders += [fast_ctc_contestants, pyctcdecode_contestants]
    for find in finders:
        try:
            contestants += find(test, weights)
        except ImportError as error:
            print(f"without {find.__name__.removesuffix('_contestants')}: {error}")
    return contestants
