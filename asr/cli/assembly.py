"""What several commands put together from a configuration."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

import torch

from asr import __version__
from asr.acoustic.huggingface import FILES
from asr.acoustic.model import AcousticModel
from asr.augment import WaveformAugment
from asr.cli.hydra_config import build
from asr.data.fingerprint import fingerprint_file
from asr.data.loading import BatchLoader, Corpus, Order
from asr.data.references import NormalizedCorpus
from asr.decoding import Decoder, NGramLM
from asr.evaluation.metrics import Metric, choose_metric
from asr.recognition.lexicon import find_lexicon
from asr.text import PhoneTokenizer, TextNormalizer, Tokenizer


def choose_device(name: str) -> torch.device:
    """Resolve "auto" to a GPU where there is one; under torchrun every local rank has its own.

    Raises:
        ValueError: there is no such device, or none here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type == "cpu":
        return device
    if device.type == "mps":
        if not torch.backends.mps.is_available():
            raise ValueError("device=mps, but PyTorch sees no Apple GPU here")
        return device
    if device.type != "cuda":
        raise ValueError(f"device must be auto, cpu, cuda, cuda:N or mps, got {name!r}")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = int(os.environ.get("LOCAL_RANK", "0")) if device.index is None else device.index
    if not count:
        raise ValueError(f"device={name}, but PyTorch sees no GPU here")
    if index >= count:
        raise ValueError(
            f"device={name} asks for GPU {index}, but PyTorch sees {count} here, from 0"
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def build_tokenizer(config: dict) -> Tokenizer:
    """Build the tokenizer of a configuration whose texts are settled."""
    return cast(Tokenizer, build(config, "tokenizer"))


def make_loader(
    config: dict,
    split: str,
    model: AcousticModel,
    augment: WaveformAugment | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> BatchLoader:
    """Build the loader of a split; only training's is shuffled, augmented and has processes.

    Utterances whose text CTC cannot align with them are left out.
    """
    corpus = cast(Corpus, build(config["data"], split))
    return _load(
        config, split, model, corpus, rank, world_size, augment=augment, num_frames=model.num_frames
    )


class TestSet(NamedTuple):
    """What a decoder is judged on, and what its errors are counted in."""

    loader: BatchLoader
    metric: Metric


def open_test_set(
    config: dict, split: str, model: AcousticModel, rank: int = 0, world_size: int = 1
) -> TestSet:
    """Open a split whose texts are references: none is left out for what CTC cannot align.

    The steps that the model's training texts went through go over them too. Where the search of the
    configuration finds words among a model's phones, they stay words.

    Raises:
        ValueError: the metric counts what the texts do not hold.
    """
    corpus = cast(Corpus, build(config["data"], split))
    if model.normalizer is not None:
        corpus = NormalizedCorpus(corpus, model.normalizer)
    words = finds_words(config, model)
    says_phones = model.says_phones and not words
    metric = choose_metric(config["metric"], model.separates_words, says_phones)
    tokenizer = cast(PhoneTokenizer, model.tokenizer).as_words() if words else model.tokenizer
    loader = _load(config, split, model, corpus, rank, world_size, tokenizer=tokenizer)
    return TestSet(loader, metric)


def finds_words(config: dict, model: AcousticModel) -> bool:
    """Whether the search of a configuration finds words among the model's phones."""
    return model.says_phones and config.get("decoder", {}).get("lexicon") is not None


def _load(
    config: dict,
    split: str,
    model: AcousticModel,
    corpus: Corpus,
    rank: int,
    world_size: int,
    *,
    tokenizer: Tokenizer | None = None,
    augment: WaveformAugment | None = None,
    num_frames: Callable[[int], int] | None = None,
) -> BatchLoader:
    loading = dict(config["loading"])
    num_processes = loading.pop("num_processes", 0)
    first_epoch: Order = "sorta_grad" if loading.pop("sorta_grad", False) else "shuffled"
    return BatchLoader(
        corpus,
        tokenizer or model.tokenizer,
        sample_rate=model.sample_rate,
        seed=config.get("seed", 0),
        order=first_epoch if split == "train" else "sorted",
        augment=augment,
        num_processes=num_processes if split == "train" else 0,
        num_frames=num_frames,
        check_longest=model.check_longest,
        rank=rank,
        world_size=world_size,
        **loading,
    )


def make_decoder(
    config: dict, tokenizer: Tokenizer, normalizer: TextNormalizer | None = None
) -> Decoder:
    """Build the decoder of a configuration for a model's tokens and the form of its texts."""
    options = {key: value for key, value in config["decoder"].items() if key != "name"}
    make = cast(partial, build({"decoder": options}, "decoder"))
    return make(tokenizer.tokens, **open_files(options, tokenizer, normalizer))


def open_files(
    options: dict, tokenizer: Tokenizer | None = None, normalizer: TextNormalizer | None = None
) -> dict[str, object]:
    """Load the language model that decoder options name, and tell paths from texts.

    Words are pronounced, and hotwords go through the steps that training texts went through, as
    the model has them, where it is known.
    """
    files: dict[str, object] = {}
    if options.get("lm") is not None:
        files["lm"] = NGramLM(options["lm"])
    if options.get("lexicon") is not None:
        files["lexicon"] = find_lexicon(options["lexicon"], tokenizer)
    if options.get("grammar") is not None and _is_file(options["grammar"]):
        files["grammar"] = Path(options["grammar"])
    if normalizer is not None and isinstance(options.get("hotwords"), list):
        files["hotwords"] = [normalizer.normalize_reference(str(w)) for w in options["hotwords"]]
    return files


def fingerprint_model(checkpoint: Path) -> dict[str, str]:
    """Hash what makes log-probabilities of audio: weights, features and program."""
    if checkpoint.is_dir():
        names = [name for name in FILES if (checkpoint / name).is_file()]
        return {name: fingerprint_file(checkpoint / name) for name in names} | {"asr": __version__}
    # The checkpoint holds weights, configuration and statistics of the features.
    return {"checkpoint": fingerprint_file(checkpoint), "asr": __version__}


def fingerprint_files(options: dict) -> dict[str, str]:
    """Hash the files that decoder options name, such as a language model."""
    names = {key: options.get(key) for key in ("lm", "lexicon", "grammar")}
    # A grammar may be a text.
    return {key: fingerprint_file(name) for key, name in names.items() if name and _is_file(name)}


def check_split(config: dict, split: object) -> str:
    """Return a split's name.

    Raises:
        ValueError: the data set has no such split.
    """
    data = config["data"]
    splits = [key for key, value in data.items() if isinstance(value, dict) and "_target_" in value]
    if split not in splits:
        raise ValueError(
            f"split must be one that data={data['name']} has ({', '.join(splits)}), got {split}"
        )
    return str(split)


def check_file(config: dict, key: str) -> Path:
    """Return a configured path.

    Raises:
        ValueError: the value is no path, as a list of several or nothing is not.
    """
    if not isinstance(config[key], str) or not config[key]:
        raise ValueError(f"{key} must be one file, got {config[key]!r}")
    return Path(config[key])


def _is_file(name: str) -> bool:
    # Path.is_file would refuse a rule that is longer than a file's name may be.
    return os.path.isfile(name)


def run_of(checkpoint: str | Path) -> Path:
    """Folder of the run that made a checkpoint, where that is known, otherwise the checkpoint's.

    A folder from Hugging Face is its own.
    """
    if Path(checkpoint).is_dir():
        return Path(checkpoint)
    folder = Path(checkpoint).parent
    return folder.parent if folder.name == "ckpt" else folder
