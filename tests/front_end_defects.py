"""Defects of front ends and of networks on samples."""

from defect import Defect

FRONT_END_DEFECTS = (
    Defect(
        "features: deltas and context look into the padding",
        "asr/features/deltas.py",
        "torch.minimum(frame.clamp_min(0), (lengths - 1).clamp_min(0)[:, None])",
        "frame.clamp(0, num_frames - 1).expand(len(features), -1)",
        ("features/test_deltas.py",),
    ),
    Defect(
        "features: cepstra are not liftered",
        "asr/features/mfcc.py",
        "cosine_transform(n_mels, num_ceps) * liftering(num_ceps, lifter)",
        "cosine_transform(n_mels, num_ceps)",
        ("features/test_kaldi.py",),
    ),
    Defect(
        "features: the running mean knows the frame after",
        "asr/features/normalization.py",
        ".clamp_min(0)).tril()",
        ".clamp_min(0)).tril(1)",
        ("features/test_normalization.py",),
    ),
    Defect(
        "network: sinc filters without their window",
        "asr/models/filters.py",
        "return (high - low) * window",
        "return high - low",
        ("models/test_filters.py",),
    ),
    Defect(
        "network: filters hear the padding",
        "asr/models/filters.py",
        "frames.float().masked_fill(~mask, 0.0).flatten(1)",
        "frames.float().flatten(1)",
        ("models/test_waveform_network.py",),
    ),
    Defect(
        "network: a norm over the utterance counts padding",
        "asr/models/sample_convs.py",
        "        count = lengths.clamp_min(1)[:, None, None]",
        "        count = x.shape[-1]",
        ("models/test_wav2vec2.py",),
    ),
    Defect(
        "network: positions are told by the padding",
        "asr/models/positions.py",
        "conv(x.masked_fill(~mask, 0.0))",
        "conv(x)",
        ("models/test_wav2vec2.py",),
    ),
)
