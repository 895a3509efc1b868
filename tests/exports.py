"""One small model of every network and front end, to be exported."""

import pytest
import tones
import torch

from asr.acoustic.model import build_model
from asr.text import CharTokenizer, LabelTokenizer

LOG_MEL = tones.CONFIG["features"] | {"n_mels": 12}
RECURRENT = tones.CONFIG["model"] | {"conv_channels": [3, 4], "cell": "lstm", "hidden_size": 6}
SPECTRUM = {
    key: LOG_MEL[key] for key in ("sample_rate", "win_length", "hop_length", "n_fft", "normalize")
}
SPECTRUM |= {"running_s": 0.0, "deltas": 0, "context": 0}
SEPARABLE = {
    "_target_": "asr.models.QuartzNet",
    "channels": [6, 6, 8, 8],
    "kernels": [5, 3, 7, 5],
    "strides": [2, 2, 1, 1],
    "depths": [1, 2, 2, 1],
    "squeeze_reduction": 0,
    "dropout": 0.0,
}
FRAME_NET = {
    "_target_": "asr.models.FrameNetwork",
    "num_layers": 2,
    "hidden_size": 6,
    "dropout": 0.0,
}
RAW = {"_target_": "asr.features.Raw", "sample_rate": 8000, "hop_length": 40}
FILTERS = {
    "num_filters": 12,
    "size": 51,
    "stride": 5,
    "init": "mel",
    "f_min": 50.0,
    "f_max": 3800.0,
}
NETWORKS = {
    "lstm": RECURRENT,
    "gru, frames out": RECURRENT | {"cell": "gru", "frames_out": 2},
    "rnn, added": RECURRENT | {"cell": "rnn", "sum_directions": True},
    "irnn": RECURRENT | {"cell": "irnn"},
    "clipped rnn": RECURRENT | {"cell": "clipped_rnn"},
    "peepholes": RECURRENT | {"cell": "lstm_peephole"},
    "coupled gates": RECURRENT | {"cell": "lstm_coupled"},
    "layer norm, shortcuts": RECURRENT | {"norm": "layer", "shortcuts": True, "num_layers": 2},
    "forward, look-ahead": RECURRENT | {"bidirectional": False, "lookahead": 3, "norm": "none"},
    "vgg": {
        "_target_": "asr.models.VGG",
        "channels": [3, 4, 5],
        "depths": [1, 2, 1],
        "pools": [[2, 2], [2, 2], [1, 2]],
        "context": 3,
        "hidden_size": 8,
        "dropout": 0.0,
    },
    "resnet": {
        "_target_": "asr.models.ResNet",
        "stem_channels": 4,
        "stem_kernel": [5, 3],
        "stem_stride": [2, 2],
        "channels": [4, 6],
        "depths": [2, 1],
        "strides": [[1, 1], [2, 2]],
        "dropout": 0.0,
    },
    "densenet": {
        "_target_": "asr.models.DenseNet",
        "stem_channels": 4,
        "stem_kernel": [3, 3],
        "stem_stride": [2, 2],
        "depths": [2, 3],
        "growth_rate": 2,
        "compression": 0.6,
        "pools": [[2, 2]],
        "dropout": 0.0,
    },
    "quartznet": SEPARABLE,
    "citrinet": SEPARABLE | {"squeeze_reduction": 2},
    "conformer": {
        "_target_": "asr.models.Conformer",
        "conv_channels": [3, 4],
        "num_layers": 2,
        "hidden_size": 8,
        "num_heads": 2,
        "expansion": 2,
        "kernel": 3,
        "dropout": 0.0,
    },
    "frame network": FRAME_NET,
}
FRONT_ENDS = {
    "corpus": LOG_MEL | {"normalize": "corpus"},
    "running": LOG_MEL | {"normalize": "running", "running_s": 0.5},
    "none, neighbours": LOG_MEL | {"normalize": "none", "deltas": 2, "context": 2},
    "mfcc": LOG_MEL
    | SPECTRUM
    | {"_target_": "asr.features.Mfcc", "num_ceps": 7, "lifter": 22.0, "use_energy": True},
    "spectrogram": SPECTRUM | {"_target_": "asr.features.Spectrogram"},
}
MODELS = {name: (LOG_MEL, network) for name, network in NETWORKS.items()}
MODELS |= {name: (features, FRAME_NET) for name, features in FRONT_ENDS.items()}
MODELS |= {
    f"{kind}, {normalize}": (
        RAW | {"normalize": normalize},
        {
            "_target_": "asr.models.WaveformNetwork",
            "filters": FILTERS | {"_target_": f"asr.models.{kind}"},
            "body": RECURRENT,
        },
    )
    for kind, normalize in (("ConvFilters", "corpus"), ("SincFilters", "utterance"))
}
CLIP = {"_target_": "asr.models.ClipNetwork", "pooling": "attention", "body": RECURRENT}


def make(name):
    """A model of `MODELS` with random weights and statistics that are not the initial ones."""
    features, network = MODELS[name]
    return settle(tones.untrained_model(config={"features": features, "model": network}))


def make_clip(pooling):
    config = {"features": LOG_MEL, "model": CLIP | {"pooling": pooling}}
    torch.manual_seed(0)
    return settle(build_model(config, LabelTokenizer(["yes", "no"])))


def settle(model):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    waveforms, lengths = torch.randn(2, 8000, generator=generator), torch.tensor([8000, 6000])
    if model.features.needs_fit:
        model.features.fit([(0.1 * waveforms, lengths)])
    model.network.train()
    model.network(*model.features(waveforms, lengths))
    model.network.eval()
    return model


def needs_onnx():
    """Skip where the extra is not installed."""
    pytest.importorskip("onnx", reason="pip install 'ctc-asr[export]'")
    pytest.importorskip("onnxruntime", reason="pip install 'ctc-asr[export]'")


def sherpa_model(tokens=" abcd"):
    """A model whose features are those of sherpa-onnx."""
    features = LOG_MEL | {
        "sample_rate": 16000,
        "win_length": 400,
        "hop_length": 160,
        "n_fft": 512,
        "f_max": 7600.0,
        "normalize": "corpus",
    }
    torch.manual_seed(3)
    model = settle(build_model({"features": features, "model": RECURRENT}, CharTokenizer(tokens)))
    with torch.no_grad():  # so that it says something
        model.network.linear.weight *= 10
        model.network.linear.bias[0] -= 5
    return model
