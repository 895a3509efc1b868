"""Small folders as Hugging Face's transformers writes them, with weights that are computed."""

import json
import math

import torch
from safetensors.torch import save_file

from asr.acoustic.huggingface import ARCHITECTURES, tensor_names, translate_options
from asr.models import Wav2Vec2

VOCABULARY = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "|": 4, "A": 5, "B": 6, "'": 7, "C": 8}
# Their classes in the order of ours.
ORDER = [1, 0, 2, 3, 4, 5, 6, 7, 8]
COMMON = {
    "vocab_size": len(VOCABULARY),
    "pad_token_id": 1,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "conv_dim": [4, 6, 6],
    "conv_kernel": [10, 3, 2],
    "conv_stride": [5, 2, 2],
    "conv_bias": False,
    "num_conv_pos_embedding_groups": 2,
    "num_conv_pos_embeddings": 8,
    "feat_extract_norm": "group",
    "do_stable_layer_norm": False,
    "hidden_act": "gelu",
    "feat_extract_activation": "gelu",
}
LAYER = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
# Of each kind, options of config.json.
KINDS = {
    "wav2vec2 base": {"model_type": "wav2vec2"},
    "wav2vec2 large": {"model_type": "wav2vec2", "num_conv_pos_embeddings": 7, **LAYER},
    "hubert base": {"model_type": "hubert"},
    "hubert large": {"model_type": "hubert", **LAYER},
    "data2vec": {
        "model_type": "data2vec-audio",
        "num_conv_pos_embeddings": 3,
        "conv_pos_kernel_size": 5,
    },
}
# A frame every 20 ms, as real ones.
REAL_FRAMES = {
    "conv_dim": [4] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
}


def config_of(kind, **changes):
    """config.json of a kind."""
    config = COMMON | KINDS[kind] | changes
    return config | {"architectures": [ARCHITECTURES[config["model_type"]][0]]}


def waves(shape, phase):
    """Numbers in [-1, 1] that no generator draws."""
    places = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
    noise = (torch.sin(places * 12.9898 + phase) * 43758.5453).frac()
    return noise.reshape(shape).float()


def tensors_of(config):
    """Weights under the names that transformers gives them."""
    kind = config["model_type"]
    options = {k: v for k, v in translate_options(config).items() if k != "_target_"}
    shapes = {k: v.shape for k, v in Wav2Vec2(config["vocab_size"], **options).state_dict().items()}
    prefix = ARCHITECTURES[kind][1]
    names = {f"{prefix}{theirs}": ours for theirs, ours in tensor_names(options).items()}
    names |= {"lm_head.weight": "linear.weight", "lm_head.bias": "linear.bias"}
    names[f"{prefix}masked_spec_embed"] = "mask_embedding"
    tensors = {n: 0.5 * waves(shapes[names[n]], i) for i, n in enumerate(sorted(names))}
    for name, value in tensors.items():
        if "norm.weight" in name or "weight_g" in name:
            value += 1.0
    return tensors


def write_folder(folder, kind="wav2vec2 base", normalize=True, vocabulary=VOCABULARY, **changes):
    """Write a folder of a kind, with other options of config.json, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    config = config_of(kind, **changes)
    save_file(tensors_of(config), folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    preprocessor = {"do_normalize": normalize, "sampling_rate": 16000}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def with_a_pickle_alone(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
