"""What commands know about texts: the normaliser beside manifests, in a file or in a checkpoint."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from asr.text import LabelTokenizer, TextNormalizer, read_normalizer
from asr.text.alphabet import ENGLISH
from asr.text.characters import shorten
from asr.text.normalizer import FILE_NAME, normalizer_from_state

if TYPE_CHECKING:
    from asr.data.loading import Corpus

logger = logging.getLogger(__name__)


def settle_texts(config: dict) -> tuple[dict, TextNormalizer | None]:
    """Find how the training texts were prepared, and give the tokenizer their alphabet.

    An alphabet that the configuration names counts more than the one that was found; labels too.

    Returns:
        The configuration with its alphabet or its labels, and the normaliser; None where the
        training manifests have none beside them.

    Raises:
        ValueError: manifests were prepared in different ways, or a text can be no label.
    """
    normalizer = _find_normalizer(config)
    tokenizer = config["tokenizer"]
    if "labels" in tokenizer and tokenizer["labels"] is None:
        return config | {"tokenizer": tokenizer | {"labels": _find_labels(config)}}, normalizer
    if "alphabet" not in tokenizer:  # word pieces bring their own
        return config, normalizer
    found = ENGLISH if normalizer is None else str(normalizer.alphabet)
    alphabet = found if tokenizer["alphabet"] is None else str(tokenizer["alphabet"])
    if normalizer is not None and alphabet != found:
        logger.info("alphabet: %r as configured, not the %r of %s", alphabet, found, FILE_NAME)
        normalizer = normalizer.with_alphabet(alphabet)
    return config | {"tokenizer": tokenizer | {"alphabet": alphabet}}, normalizer


def open_normalizer(path: Path) -> TextNormalizer:
    """Read the normaliser of a folder that `asr prepare` wrote, of a file, or of a checkpoint.

    Raises:
        ValueError: there is none; names the path.
    """
    if path.is_dir():
        return read_normalizer(path / FILE_NAME)
    if path.suffix == ".json":
        return read_normalizer(path)
    if not path.is_file():
        raise ValueError(
            f"{path}: must be a folder that `asr prepare` wrote, its {FILE_NAME}, or a checkpoint"
        )
    # PyTorch loads in seconds, which a file of text need not wait for.
    from asr.acoustic.checkpoint import normalizer_of, read_header

    normalizer = normalizer_of(read_header(path))
    if normalizer is None:
        raise ValueError(f"{path}: this model was trained on texts without a normaliser")
    return normalizer


def normalizer_beside(manifests: Iterable[str]) -> TextNormalizer | None:
    """Find the normaliser that texts went through; None where no manifest has one beside it.

    Raises:
        ValueError: manifests were prepared in different ways.
    """
    folders = {Path(name).parent for name in manifests}
    paths = [folder / FILE_NAME for folder in sorted(folders)]
    found = [(str(path), read_normalizer(path)) for path in paths if path.is_file()]
    if found and len(found) < len(paths):
        logger.warning("texts: only %d of %d folders have %s", len(found), len(paths), FILE_NAME)
    return _only_one(found)


def _find_normalizer(config: dict) -> TextNormalizer | None:
    """Find it beside manifests, or in the lists of shards."""
    train = config["data"]["train"]
    shards = train.get("shards") if isinstance(train, dict) else None
    if shards is None:
        return normalizer_beside(_manifests(train))
    # PyTorch loads in seconds, which commands on texts need not wait for.
    from asr.data.shards.index import read_list
    from asr.data.shards.streams import Patience

    places = [shards] if isinstance(shards, str) else [place for place in shards if place]
    states = [(place, read_list(place, Patience()).get("normalizer")) for place in places]
    return _only_one([(place, normalizer_from_state(state)) for place, state in states if state])


def _only_one(found: list[tuple[str, TextNormalizer]]) -> TextNormalizer | None:
    if not found:
        return None
    first, normalizer = found[0]
    for place, other in found[1:]:
        if other.state() != normalizer.state():
            raise ValueError(
                f"{first} and {place} differ: prepare the training sets with the same options"
            )
    logger.info("texts: %s, alphabet %r", first, normalizer.alphabet)
    return normalizer


def _find_labels(config: dict) -> list[str]:
    """Find the texts of the training set, each once."""
    # PyTorch loads in seconds, which commands on texts need not wait for.
    from asr.cli.hydra_config import build

    corpus = cast("Corpus", build(config["data"], "train"))
    texts = {utterance.text for utterance in corpus.utterances(0)} - {""}
    if config["tokenizer"].get("several"):
        texts = {label for text in texts for label in text.split()}
    if not texts:
        raise ValueError("tokenizer=labels: the training set has no text")
    labels = LabelTokenizer(sorted(texts)).labels
    logger.info("labels: %d, %s", len(labels), shorten(", ".join(labels)))
    return labels


def _manifests(part: object) -> Iterator[str]:
    """Yield the manifests that a part of a configuration names."""
    if isinstance(part, str) and part.endswith(".jsonl"):
        yield part
    if isinstance(part, dict | list):
        for value in part.values() if isinstance(part, dict) else part:
            yield from _manifests(value)
