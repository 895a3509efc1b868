"""One small model of every network and front end, to be exported."""

import pytest
import tones
import torch
import waveform_networks

from asr.acoustic.model import build_model
from asr.text import CharTokenizer, LabelTokenizer
from tests.models.test_networks import TINY

LOG_MEL = tones.CONFIG["features"] | {"n_mels": 12}
RECURRENT = tones.CONFIG["model"] | {"conv_channels": [3, 4], "cell": "lstm", "hidden_size": 6}
SPECTRUM = {
    key: LOG_MEL[key] for key in ("sample_rate", "win_length", "hop_length", "n_fft", "normalize")
}
SPECTRUM |= {"running_s": 0.0, "deltas": 0, "context": 0}
# What a configuration says of filters; the model adds rate and hop.
FILTERS = {
    key: value
    for key, value in waveform_networks.FILTERS.items()
    if key not in ("sample_rate", "hop_length")
}
RAW = {"_target_": "asr.features.Raw", "sample_rate": 8000, "hop_length": 40}
# Networks as where padding, gradients and lengths are tried; recurrent ones come in all kinds.
SHARED = ("vgg", "resnet", "densenet", "quartznet", "citrinet", "conformer", "frame network")
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
}
for name in SHARED:
    network, options = TINY[name]
    NETWORKS[name] = {"_target_": f"asr.models.{network.__name__}"} | options
FRAME_NET = NETWORKS["frame network"]
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


def make_clip(pooling, activation="softmax"):
    clip = CLIP | {"pooling": pooling, "activation": activation}
    config = {"features": LOG_MEL, "model": clip}
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
