"""Networks: features (N, T, F) and lengths in, logits (T', N, C) and lengths out."""

from asr.models.deepspeech2 import DeepSpeech2
from asr.models.network import Network, SpellingNetwork

# The classes that a model file may name.
NETWORKS: dict[str, type[Network]] = {"asr.models.DeepSpeech2": DeepSpeech2}

__all__ = ["NETWORKS", "DeepSpeech2", "Network", "SpellingNetwork"]
