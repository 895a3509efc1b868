"""What several commands put together from a configuration."""

import os
from functools import partial
from pathlib import Path
from typing import cast

import torch

from asr.acoustic.model import AcousticModel
from asr.augment import WaveformAugment
from asr.cli.hydra_config import build
from asr.data.loading import BatchLoader, Corpus, Order
from asr.decoding import NGramLM
from asr.recognition.recognizer import Decoder


def choose_device(name: str) -> torch.device:
    """Resolve "auto" to a GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise ValueError(f"device must be auto, cpu or cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device=cuda, but PyTorch sees no GPU here")
    return torch.device(name)


def make_loader(
    config: dict,
    split: str,
    model: AcousticModel,
    augment: WaveformAugment | None = None,
    rank: int = 0,
    world_size: int = 1,
    *,
    aligned: bool = True,
) -> BatchLoader:
    """Build the loader of a split; only training's is shuffled and augmented.

    With `aligned`, utterances whose text CTC cannot align with them are left out.
    """
    loading = dict(config["loading"])
    first_epoch: Order = "sorta_grad" if loading.pop("sorta_grad", False) else "shuffled"
    return BatchLoader(
        cast(Corpus, build(config["data"], split)),
        model.tokenizer,
        sample_rate=model.sample_rate,
        seed=config.get("seed", 0),
        order=first_epoch if split == "train" else "sorted",
        augment=augment,
        num_frames=model.num_frames if aligned else None,
        rank=rank,
        world_size=world_size,
        **loading,
    )


def make_decoder(config: dict, tokens: list[str]) -> Decoder:
    """Build the decoder of a configuration for a model's tokens."""
    options = {key: value for key, value in config["decoder"].items() if key != "name"}
    make = cast(partial, build({"decoder": options}, "decoder"))
    return make(tokens, **open_files(options))


def open_files(options: dict) -> dict[str, object]:
    """Load the language model that decoder options name, and tell paths from texts."""
    files: dict[str, object] = {}
    if options.get("lm") is not None:
        files["lm"] = NGramLM(options["lm"])
    if options.get("lexicon") is not None:
        files["lexicon"] = Path(options["lexicon"])
    # Path.is_file would refuse a rule that is longer than a file's name may be.
    if options.get("grammar") is not None and os.path.isfile(options["grammar"]):
        files["grammar"] = Path(options["grammar"])
    return files


def run_of(checkpoint: str | Path) -> Path:
    """Folder of the run that made a checkpoint, where that is known, otherwise the checkpoint's."""
    folder = Path(checkpoint).parent
    return folder.parent if folder.name == "ckpt" else folder
