"""Folders with a CTC model of Hugging Face's transformers: wav2vec 2.0, HuBERT, data2vec-audio.

What a folder holds is translated to what a checkpoint of ours holds, and goes the same way from
there. Only JSON and safetensors are read; nothing is downloaded.

Source: transformers, src/transformers/models/{wav2vec2,hubert,data2vec}, of which names of files,
options and tensors are taken.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from asr.files import parse_json, read_text
from asr.text import SymbolTokenizer

WEIGHTS = "model.safetensors"
VOCABULARY = "vocab.json"
# Older folders have the first, newer ones the second, which holds it.
PREPROCESSORS = ("preprocessor_config.json", "processor_config.json")
FILES = ("config.json", VOCABULARY, *PREPROCESSORS, "tokenizer_config.json", WEIGHTS)
MAX_JSON_BYTES = 16 * 2**20
# model_type -> the class, and how the names of its tensors begin.
ARCHITECTURES = {
    "wav2vec2": ("Wav2Vec2ForCTC", "wav2vec2."),
    "hubert": ("HubertForCTC", "hubert."),
    "data2vec-audio": ("Data2VecAudioForCTC", "data2vec_audio."),
}
# Our options that are called otherwise there.
SIZES = {
    "conv_channels": "conv_dim",
    "conv_kernels": "conv_kernel",
    "conv_strides": "conv_stride",
    "conv_bias": "conv_bias",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "inner_size": "intermediate_size",
    "position_groups": "num_conv_pos_embedding_groups",
}
# Options of the network that its weights decide.
OPTIONS_OF_WEIGHTS = (*SIZES, "conv_norm", "norm_first", "position_kernels", "position_norm")
# Options with one value that is supported; the value where there is no such key.
FIXED = {
    "feat_extract_activation": "gelu",
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
    "add_adapter": False,
    "adapter_attn_dim": None,
    "conv_pos_batch_norm": False,
    "feat_proj_layer_norm": True,
}
# Modules of a layer of the transformer.
LAYER = {
    "attention.q_proj": "attention.query",
    "attention.k_proj": "attention.key",
    "attention.v_proj": "attention.value",
    "attention.out_proj": "attention.out",
    "layer_norm": "attention_norm",
    "feed_forward.intermediate_dense": "inner",
    "feed_forward.output_dense": "outer",
    "final_layer_norm": "norm",
}
# Names in vocab.json, where tokenizer_config.json names no others.
BLANKS = ("<pad>", "[PAD]")
DELIMITER = "|"
SPECIAL = re.compile(r"<.+>|\[.+\]")
# What is built of these before the tensors are seen must stay small.
MOST = {"num_hidden_layers": 1000, "num_conv_pos_embeddings": 1000, "hidden_size": 2**20}
MOST["vocab_size"] = 2**20

logger = logging.getLogger(__name__)


class Classes(NamedTuple):
    """The classes of a published model in our order."""

    order: list[int]  # their numbers, the blank's first
    tokenizer: SymbolTokenizer


def read_folder(folder: Path) -> tuple[dict, dict[str, Tensor]]:
    """Read header and tensors, as `read_checkpoint` gives them.

    Raises:
        ValueError: a file is missing, is broken, or describes another kind of model; names it.
    """
    config, model = _read_model(folder)
    described = _describe(folder, model)
    classes = _read_classes(folder, config)
    tensors = _read_tensors(folder, config, model)
    for name in ("model.linear.weight", "model.linear.bias"):
        if len(tensors[name]) != len(classes.order):
            raise ValueError(
                f"{folder / WEIGHTS}: lm_head must have vocab_size={len(classes.order)} classes of "
                f"config.json, got {len(tensors[name])}"
            )
        tensors[name] = tensors[name][torch.tensor(classes.order)]
    header = {
        "config": described,
        "tokenizer": classes.tokenizer.state(),
        "normalizer": None,
    }
    return header, tensors


def read_folder_config(folder: Path) -> dict:
    """Read the parts `features` and `model` of our configuration; raises likewise."""
    return _describe(folder, _read_model(folder)[1])


def _describe(folder: Path, model: dict) -> dict:
    return {"features": _read_features(folder), "model": model}


def _read_json(path: Path) -> dict:
    if not path.is_file():
        raise ValueError(f"{path.parent}: holds no {path.name}")
    try:
        content = parse_json(read_text(path, MAX_JSON_BYTES))
    except ValueError as error:
        message = str(error)
        raise ValueError(message if str(path) in message else f"{path}: {message}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: must hold an object")
    return content


def _read_model(folder: Path) -> tuple[dict, dict]:
    """Read config.json as it is, and as options of our network."""
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(
            f"{folder}: is a folder without config.json: no model of Hugging Face; a checkpoint "
            "of ours is named by its .ckpt file"
        )
    config = _read_json(path)
    kind, classes = config.get("model_type"), config.get("architectures")
    known = [[kind, [name]] for kind, (name, _) in ARCHITECTURES.items()]
    if [kind, classes] not in known:
        raise ValueError(
            f"{path}: must be of a {', '.join(name for _, (name,) in known)}, got model_type "
            f"{kind!r}, architectures {classes!r}"
        )
    for key, value in FIXED.items():
        if config.get(key, value) != value:
            raise ValueError(f"{path}: {key} must be {value!r}, got {config[key]!r}")
    for key, most in MOST.items():
        if type(size := config.get(key)) is not int or not 1 <= size <= most:
            raise ValueError(f"{path}: {key} must be 1..{most}, got {size!r}")
    if not isinstance(config.get("conv_dim"), list):
        raise ValueError(f"{path}: conv_dim must be a list, got {config.get('conv_dim')!r}")
    try:
        return config, translate_options(config)
    except KeyError as error:
        raise ValueError(f"{path}: lacks {error}") from None


def translate_options(config: Mapping) -> dict:
    """Translate what config.json holds to options of our network.

    Raises:
        KeyError: it lacks a key.
    """
    model: dict = {"_target_": "asr.models.Wav2Vec2"}
    model |= {ours: config[theirs] for ours, theirs in SIZES.items()}
    if config["model_type"] == "data2vec-audio":
        kernels = [config["conv_pos_kernel_size"]] * config["num_conv_pos_embeddings"]
        model |= {"conv_norm": "layer", "norm_first": False, "position_norm": "layer"}
    else:
        kernels = [config["num_conv_pos_embeddings"]]
        model |= {"conv_norm": config["feat_extract_norm"], "position_norm": "weight"}
        model["norm_first"] = config["do_stable_layer_norm"]
    masks = config.get("apply_spec_augment", True)
    return model | {
        "position_kernels": kernels,
        "freeze_convs": True,
        "dropout": config.get("hidden_dropout", 0.1),
        "mask_time": config.get("mask_time_prob", 0.05) if masks else 0.0,
        "mask_time_length": config.get("mask_time_length", 10),
        "mask_channels": config.get("mask_feature_prob", 0.0) if masks else 0.0,
        "mask_channels_length": config.get("mask_feature_length", 10),
    }


def _read_features(folder: Path) -> dict:
    """Read how waveforms are prepared."""
    found = [folder / name for name in PREPROCESSORS if (folder / name).is_file()]
    if not found:
        raise ValueError(f"{folder}: holds no {' and no '.join(PREPROCESSORS)}")
    content = _read_json(found[0])
    content = content.get("feature_extractor", content)
    try:
        return {
            "_target_": "asr.features.Samples",
            "sample_rate": content["sampling_rate"],
            "normalize": content["do_normalize"],
        }
    except (KeyError, TypeError) as error:
        raise ValueError(f"{found[0]}: lacks {error}") from None


def _read_classes(folder: Path, config: Mapping) -> Classes:
    """Read vocab.json, and what of it is no text."""
    path = folder / VOCABULARY
    vocabulary = _read_json(path)
    size = config["vocab_size"]
    numbers = list(vocabulary.values())
    if not all(type(n) is int and 0 <= n < size for n in numbers) or len({*numbers}) < len(numbers):
        raise ValueError(
            f"{path}: classes must differ and be integers below vocab_size={size} of config.json"
        )
    settings = folder / "tokenizer_config.json"
    names = _read_json(settings) if settings.is_file() else {}
    blank = _find_blank(path, vocabulary, config, _text_of(names.get("pad_token")))
    delimiter = _text_of(names.get("word_delimiter_token")) or DELIMITER
    silent = {_text_of(names.get(f"{key}_token")) for key in ("unk", "bos", "eos")}
    labels = [""] * size
    for token, number in vocabulary.items():
        if token == delimiter:
            labels[number] = " "
        elif token not in silent and not SPECIAL.fullmatch(token):
            labels[number] = token
    if nameless := size - len(vocabulary):
        logger.info("%s: %d classes without a name write nothing", path, nameless)
    order = [blank, *(n for n in range(size) if n != blank)]
    try:
        return Classes(order, SymbolTokenizer([labels[n] for n in order[1:]]))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _text_of(token: object) -> str | None:
    """Text of a token, which may stand alone or with its properties."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None


def _find_blank(
    path: Path, vocabulary: Mapping[str, int], config: Mapping, name: str | None
) -> int:
    """Find the class of the blank: what pads texts there.

    Raises:
        ValueError: there is none, or the files name two.
    """
    names = BLANKS if name is None else (name,)
    blank = next((vocabulary[n] for n in names if n in vocabulary), None)
    if blank is None:
        raise ValueError(f"{path}: holds no {' or '.join(names)}, which would be the blank")
    if (number := config.get("pad_token_id")) not in (None, blank):
        raise ValueError(
            f"{path}: the blank is class {blank} here, and pad_token_id={number} in config.json"
        )
    return blank


def _read_tensors(folder: Path, config: Mapping, model: Mapping) -> dict[str, Tensor]:
    """Read the weights under our names.

    Raises:
        ValueError: the file is missing or broken, or its tensors are not those of the model.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        pickles = sorted(file.name for file in folder.glob("*.bin"))
        hint = f": {pickles[0]} is a pickle, which runs code where it is read" if pickles else ""
        raise ValueError(
            f"{folder}: holds no {WEIGHTS}{hint}"
            + ("; save the model anew with save_pretrained" if pickles else "")
        )
    try:
        with safe_open(path, framework="pt") as file:
            theirs = {_modern(name): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"{path}: not a readable safetensors file: {error}") from error
    _, prefix = ARCHITECTURES[config["model_type"]]
    names = {f"{prefix}{name}": ours for name, ours in tensor_names(model).items()}
    names |= {"lm_head.weight": "linear.weight", "lm_head.bias": "linear.bias"}
    # A model that hides no frames in training has nothing to hide them with.
    embedding = f"{prefix}masked_spec_embed"
    theirs.setdefault(embedding, torch.zeros(model["hidden_size"]))
    names[embedding] = "mask_embedding"
    for kind, wrong in (
        ("lacks", [name for name in names if name not in theirs]),
        ("holds, and the model has no,", [name for name in theirs if name not in names]),
    ):
        if wrong:
            more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            raise ValueError(f"{path}: {kind} {wrong[0]}{more}")
    return {f"model.{ours}": theirs[name].float() for name, ours in names.items()}


def _modern(name: str) -> str:
    """Name a tensor as newer versions of transformers do not: both forms are around."""
    weight = "parametrizations.weight.original"
    return name.replace(f"{weight}0", "weight_g").replace(f"{weight}1", "weight_v")


def tensor_names(model: Mapping) -> dict[str, str]:
    """Our names by theirs, but for the class layer and what frames are hidden with."""
    both = ("weight", "bias")
    modules = {"feature_projection.layer_norm": "projection_norm", "encoder.layer_norm": "norm"}
    modules["feature_projection.projection"] = "projection"
    names: dict[str, str] = {}
    for i in range(len(model["conv_channels"])):
        place = f"feature_extractor.conv_layers.{i}"
        if model["conv_norm"] == "layer" or i == 0:
            modules[f"{place}.layer_norm"] = f"convs.{i}.norm"
        for name in both if model["conv_bias"] else ("weight",):
            names[f"{place}.conv.{name}"] = f"convs.{i}.conv.{name}"
    for i in range(model["num_layers"]):
        modules |= {
            f"encoder.layers.{i}.{theirs}": f"layers.{i}.{ours}" for theirs, ours in LAYER.items()
        }
    if model["position_norm"] == "layer":
        for i in range(len(model["position_kernels"])):
            modules[f"encoder.pos_conv_embed.layers.{i}.conv"] = f"positions.{i}.conv"
    else:
        for name in ("weight_g", "weight_v", "bias"):
            names[f"encoder.pos_conv_embed.conv.{name}"] = f"positions.0.{name}"
    return names | {
        f"{theirs}.{name}": f"{ours}.{name}" for theirs, ours in modules.items() for name in both
    }
