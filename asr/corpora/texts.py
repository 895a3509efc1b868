"""Texts of a corpus: brought into an alphabet, which is taken from them where nobody named one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from asr.corpora.verification import BACKGROUND_SPLITS, Rejection
from asr.data.manifest import Utterance
from asr.text import TextError, TextNormalizer
from asr.text.alphabet import CharacterCount, count_characters, gather_alphabet

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
    rejected: dict[str, list[Rejection]]
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
        characters = _count(splits, normalizer)
        normalizer = normalizer.with_alphabet(_choose(characters, confirm))
    texts = NormalTexts({}, {}, [], normalizer, characters)
    for split, utterances in splits.items():
        texts.rejected[split] = []
        if split in BACKGROUND_SPLITS:
            texts.splits[split] = utterances
            continue
        results = [_normalize(split, utterance, texts) for utterance in utterances]
        texts.splits[split] = [item for item in results if isinstance(item, Utterance)]
        texts.rejected[split] = [item for item in results if isinstance(item, Rejection)]
    return texts


def _normalize(split: str, utterance: Utterance, texts: NormalTexts) -> Utterance | Rejection:
    normalizer = texts.normalizer
    kinds = len(normalizer.changes)
    try:
        text = normalizer(utterance.text)
    except TextError as error:
        path = utterance.audio_filepath
        return Rejection(split, utterance.id, path, error.reason, f"{path}: {error}")
    if len(normalizer.changes) > kinds and len(texts.samples) < MAX_SAMPLES:
        texts.samples.append(Sample(utterance.id, utterance.text, text))
    return replace(utterance, text=text)


def _count(
    splits: Mapping[str, list[Utterance]], normalizer: TextNormalizer
) -> list[CharacterCount]:
    return count_characters(
        normalizer(utterance.text)
        for split, utterances in splits.items()
        if split not in BACKGROUND_SPLITS
        for utterance in utterances
    )


def _choose(characters: Sequence[CharacterCount], confirm: Confirm | None) -> str:
    dropped = [c for c in characters if not c.is_written]
    if dropped and (confirm is None or not confirm(characters, dropped)):
        raise ValueError(
            "\n".join(
                [
                    f"alphabet=auto would leave out {len(dropped)} characters, with every "
                    "utterance that holds one, and nobody agreed (--yes agrees)",
                    *map(str, dropped),
                ]
            )
        )
    alphabet = gather_alphabet(characters)
    if not alphabet.strip():
        raise ValueError("alphabet=auto found no letter in the texts")
    return alphabet
