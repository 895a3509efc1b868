"""What an exported file says of itself, taken from the model."""

from asr.acoustic.model import AcousticModel
from asr.features import LogMel, Mfcc, Raw, Samples, Spectrogram
from asr.models import ClipNetwork, Network, Wav2Vec2
from asr.runtime.facts import Facts, GraphInput

KINDS = {LogMel: "log_mel", Mfcc: "mfcc", Spectrogram: "spectrogram"}
# Keys of a configuration's features that are in the graph, or no option.
IN_GRAPH = ("_target_", "normalize", "running_s", "deltas", "context")


def describe(model: AcousticModel, *, takes_samples: bool) -> Facts:
    """Say all that a runtime needs beside the graph.

    Args:
        model: the model.
        takes_samples: whether the graph takes samples, else statics.
    """
    options = model.config["features"]
    graph_input: GraphInput = "samples" if takes_samples else "statics"
    statics = {key: value for key, value in options.items() if key not in IN_GRAPH}
    network = model.network
    return Facts(
        tokens=list(model.tokenizer.tokens),
        sample_rate=model.sample_rate,
        graph_input=graph_input,
        statics={} if takes_samples else statics | {"kind": KINDS[type(model.features)]},
        hop_length=model.features.hop_length,
        samples_per_frame=model.samples_per_frame,
        frame_steps=[_steps_of_features(model), *_steps_of_network(network)],
        clip_frames=network.num_frames if isinstance(network, ClipNetwork) else 0,
        max_samples=model.max_samples or 0,
        separates_words=model.separates_words,
    )


def _steps_of_features(model: AcousticModel) -> list[int]:
    """Frames of samples, as a step of `Facts.frame_steps`."""
    hop = model.features.hop_length
    if isinstance(model.features, Samples):
        return [0, 1, 1]
    return [hop - 1 if isinstance(model.features, Raw) else hop // 2, hop, 1]


def _steps_of_network(network: Network) -> list[list[int]]:
    """Output frames of frames, as steps of `Facts.frame_steps`."""
    if isinstance(network, ClipNetwork):  # `Facts.clip_frames` says how many
        return []
    if isinstance(network, Wav2Vec2):
        return [[stride - kernel, stride, 1] for kernel, stride in network.convs.sizes]
    frames_out = getattr(getattr(network, "body", network), "frames_out", 1)
    stride = network.subsampling_factor * frames_out
    return [[stride - 1, stride, frames_out]]
