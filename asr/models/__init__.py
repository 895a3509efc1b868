"""Networks: features (N, T, F) and lengths in, logits (T', N, C) and lengths out."""

from asr.models.blocks import ClassHead
from asr.models.clip_network import ClipHead, ClipNetwork, Pooling, label_probabilities
from asr.models.conformer import Conformer
from asr.models.deepspeech2 import DeepSpeech2
from asr.models.densenet import DenseNet
from asr.models.filters import ConvFilters, FilterBank, SincFilters
from asr.models.frame_network import FrameNetwork
from asr.models.network import Network, SpellingNetwork
from asr.models.quartznet import QuartzNet
from asr.models.resnet import ResNet
from asr.models.vgg import VGG
from asr.models.wav2vec2 import Wav2Vec2
from asr.models.waveform_network import WaveformNetwork

# The classes that a model file may name.
NETWORKS: dict[str, type[Network]] = {
    "asr.models.DeepSpeech2": DeepSpeech2,
    "asr.models.VGG": VGG,
    "asr.models.ResNet": ResNet,
    "asr.models.DenseNet": DenseNet,
    "asr.models.QuartzNet": QuartzNet,
    "asr.models.Conformer": Conformer,
    "asr.models.FrameNetwork": FrameNetwork,
}
# Those that take samples (features=raw), and the filter banks that they begin with.
WAVEFORM_NETWORKS: dict[str, type[Network]] = {"asr.models.WaveformNetwork": WaveformNetwork}
FILTER_BANKS: dict[str, type[FilterBank]] = {
    "asr.models.ConvFilters": ConvFilters,
    "asr.models.SincFilters": SincFilters,
}
# Those that take single samples (features=samples) and cut their frames themselves.
SAMPLE_NETWORKS: dict[str, type[Network]] = {"asr.models.Wav2Vec2": Wav2Vec2}
# Those that say one thing of a clip; any of the others is their body.
CLIP_NETWORKS: dict[str, type[Network]] = {"asr.models.ClipNetwork": ClipNetwork}

__all__ = [
    "CLIP_NETWORKS",
    "FILTER_BANKS",
    "NETWORKS",
    "SAMPLE_NETWORKS",
    "VGG",
    "WAVEFORM_NETWORKS",
    "ClassHead",
    "ClipHead",
    "ClipNetwork",
    "Conformer",
    "ConvFilters",
    "DeepSpeech2",
    "DenseNet",
    "FilterBank",
    "FrameNetwork",
    "Network",
    "Pooling",
    "QuartzNet",
    "ResNet",
    "SincFilters",
    "SpellingNetwork",
    "Wav2Vec2",
    "WaveformNetwork",
    "label_probabilities",
]
