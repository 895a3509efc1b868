"""Texts of a corpus: brought into an alphabet, which is taken from them where nobody named one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from asr.corpora.verification import BACKGROUND_SPLITS
from asr.data.manifest import Utterance
from asr.data.unusable import Unusable
from asr.text import TextError, TextNormalizer
from asr.text.alphabet import CharacterCount, count_characters, gather_alphabet
from asr.text.characters import is_digit

MAX_SAMPLES = 8

# Asked with all characters and those of them that would be dropped; says whether to go on.
Confirm = Callable[[Sequence[CharacterCount], Sequence[CharacterCount]], bool]


class Sample(NamedTuple):
    """A text before and after the steps."""

    id: str
    before: str
    after: str


class NormalTexts(NamedTuple):
    """What became of the texts of a corpus.

    Attributes:
        splits: utterances whose texts are in the alphabet.
        rejected: the others, by split.
        samples: for each kind of change the first text that was changed so.
        normalizer: with its alphabet, and what it counted.
        characters: of the texts, where the alphabet was taken from them.
    """

    splits: dict[str, list[Utterance]]
    rejected: dict[str, list[Unusable]]
    samples: list[Sample]
    normalizer: TextNormalizer
    characters: list[CharacterCount]


def normalize_splits(
    splits: Mapping[str, list[Utterance]], normalizer: TextNormalizer, confirm: Confirm | None
) -> NormalTexts:
    """Normalise the texts of all splits but those of background sounds.

    Args:
        splits: by name.
        normalizer: with an alphabet, or without one: then it is taken from the texts.
        confirm: asked before a character of the texts is left out of the alphabet; None refuses.

    Raises:
        ValueError: a character would be left out and nobody agreed, or no character is left.
    """
    characters: list[CharacterCount] = []
    if normalizer.alphabet is None:
        spoken = _texts(splits, normalizer)
        characters = count_characters(spoken)
        normalizer = normalizer.with_alphabet(_choose(spoken, characters, confirm))
    texts = NormalTexts({}, {}, [], normalizer, characters)
    for split, utterances in splits.items():
        texts.rejected[split] = []
        if split in BACKGROUND_SPLITS:
            texts.splits[split] = utterances
            continue
        results = [_normalize(split, utterance, texts) for utterance in utterances]
        texts.splits[split] = [item for item in results if isinstance(item, Utterance)]
        texts.rejected[split] = [item for item in results if isinstance(item, Unusable)]
    return texts


def _normalize(split: str, utterance: Utterance, texts: NormalTexts) -> Utterance | Unusable:
    normalizer = texts.normalizer
    kinds = len(normalizer.changes)
    try:
        text = normalizer(utterance.text)
    except TextError as error:
        path = utterance.audio_filepath
        return Unusable(utterance.id, error.reason, f"{path}: {error}", split, path)
    if len(normalizer.changes) > kinds and len(texts.samples) < MAX_SAMPLES:
        texts.samples.append(Sample(utterance.id, utterance.text.strip(), text))
    return replace(utterance, text=text)


def _texts(splits: Mapping[str, list[Utterance]], normalizer: TextNormalizer) -> list[str]:
    return [
        normalizer(utterance.text)
        for split, utterances in splits.items()
        if split not in BACKGROUND_SPLITS
        for utterance in utterances
    ]


def _choose(
    texts: Sequence[str], characters: Sequence[CharacterCount], confirm: Confirm | None
) -> str:
    dropped = [c for c in characters if not c.is_written]
    if dropped and (confirm is None or not confirm(characters, dropped)):
        first = (
            f"the alphabet of the texts would leave out {len(dropped)} characters, with every "
            "utterance that holds one, and nobody agreed: --yes agrees"
        )
        if any(is_digit(c.character) for c in dropped):
            first += "; --language LANG spells numbers"
        raise ValueError("\n".join([first, *map(str, dropped)]))
    # A letter of nothing but utterances that are left out could not be learned.
    without = frozenset(c.character for c in dropped)
    alphabet = gather_alphabet(count_characters(t for t in texts if without.isdisjoint(t)))
    if not alphabet.strip():
        raise ValueError("the texts hold no letter for an alphabet")
    return alphabet
