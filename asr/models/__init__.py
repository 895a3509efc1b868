"""Networks: features (N, T, F) and lengths in, logits (T', N, C) and lengths out."""

from asr.models.conformer import Conformer
from asr.models.deepspeech2 import DeepSpeech2
from asr.models.densenet import DenseNet
from asr.models.network import Network, SpellingNetwork
from asr.models.quartznet import QuartzNet
from asr.models.resnet import ResNet
from asr.models.vgg import VGG

# The classes that a model file may name.
NETWORKS: dict[str, type[Network]] = {
    "asr.models.DeepSpeech2": DeepSpeech2,
    "asr.models.VGG": VGG,
    "asr.models.ResNet": ResNet,
    "asr.models.DenseNet": DenseNet,
    "asr.models.QuartzNet": QuartzNet,
    "asr.models.Conformer": Conformer,
}

__all__ = [
    "NETWORKS",
    "VGG",
    "Conformer",
    "DeepSpeech2",
    "DenseNet",
    "Network",
    "QuartzNet",
    "ResNet",
    "SpellingNetwork",
]
