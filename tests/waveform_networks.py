"""Filter banks and networks on samples, small: frames of 40 samples at 8 kHz."""

import torch

from asr.models import ConvFilters, DeepSpeech2, SincFilters, WaveformNetwork

HOP = 40
FILTERS = {
    "sample_rate": 8000,
    "hop_length": HOP,
    "num_filters": 12,
    "size": 51,
    "stride": 5,
    "init": "mel",
    "f_min": 50.0,
    "f_max": 3800.0,
}
BODY = {
    "conv_channels": [3],
    "conv_kernels": [(3, 3)],
    "conv_strides": [(2, 2)],
    "cell": "gru",
    "num_layers": 1,
    "hidden_size": 6,
    "bidirectional": True,
    "lookahead": 0,
    "norm": "batch",
    "dropout": 0.0,
}
KINDS = {"conv": ConvFilters, "sinc": SincFilters}
LENGTHS = torch.tensor([9, 14, 1, 6])


def filter_bank(kind, **changes):
    torch.manual_seed(0)
    return KINDS[kind](**(FILTERS | changes))


def waveform_network(kind, **changes):
    filters = filter_bank(kind)
    return WaveformNetwork(filters, DeepSpeech2(12, 5, **(BODY | changes)))


def padded_frames(garbage=0.0):
    torch.manual_seed(1)
    frames = torch.randn(len(LENGTHS), int(LENGTHS.max()), HOP)
    for row, length in enumerate(LENGTHS):
        frames[row, length:] = garbage
    return frames
