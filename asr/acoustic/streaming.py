"""Utterances that arrive in pieces through front end and network, many of them in one batch."""

import copy
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from asr.acoustic.model import AcousticModel
from asr.features import streaming as feature_streaming
from asr.features.streaming import FeatureStream, check_front_end
from asr.models import streaming as network_streaming
from asr.models.deepspeech2 import DeepSpeech2
from asr.models.streaming import (
    advance,
    check_network,
    first_state,
    split_state,
    stack_states,
)


class Latency(NamedTuple):
    """Seconds of audio from the beginning of an output frame until it can be computed.

    Attributes:
        features_s: the window of its features, and the neighbours of deltas and context.
        convolutions_s: frames that convolutions see ahead.
        lookahead_s: frames that the look-ahead layer sees ahead.
    """

    features_s: float
    convolutions_s: float
    lookahead_s: float

    @property
    def total_s(self) -> float:
        """All of it."""
        return sum(self)


class AcousticStream:
    """One utterance: samples in, log-probabilities out, those of the whole utterance.

    `push` and `finish` compute features; `advance_streams` runs the network. Memory does not grow
    with the utterance.

    Args:
        model: one that `check_streams` accepts.

    Attributes:
        is_done: whether all log-probabilities were given.
    """

    def __init__(self, model: AcousticModel) -> None:
        self.model = model
        self.network = check_streams(model)
        model.features.eval()
        self.network.eval()
        self._features = FeatureStream(model.features)
        self._state = first_state(self.network, model.features.num_features)
        self._waiting: list[Tensor] = []
        self._is_last = False
        self.is_done = False

    def copy(self) -> "AcousticStream":
        """Make another that goes on from here; what follows in one leaves the other as it is."""
        other = copy.copy(self)
        other._features = self._features.copy()
        other._waiting = self._waiting.copy()
        return other

    def push(self, samples: np.ndarray) -> None:
        """Add the next samples (L,), L >= 0, float32 in [-1, 1] at the model's rate."""
        self._wait_for_network(self._features.push(self._on_device(samples)))

    def finish(self) -> None:
        """End the utterance."""
        self._wait_for_network(self._features.finish())
        self._is_last = True

    def _wait_for_network(self, features: Tensor) -> None:
        if len(features):
            self._waiting.append(features)

    def _on_device(self, samples: np.ndarray) -> Tensor:
        return torch.from_numpy(samples).to(self.model.device)

    @property
    def _is_waiting(self) -> bool:
        return bool(self._waiting) or (self._is_last and not self.is_done)

    def _take_features(self) -> Tensor:
        """Give all features that wait, (T, F)."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return self._state.ahead.new_zeros(0, self.model.features.num_features)
        return torch.cat(waiting)


def advance_streams(streams: Sequence[AcousticStream]) -> list[Tensor]:
    """Run the network over what waits in streams.

    Streams that wait for as many frames, and whose layers wait for as many, go through the network
    together: those that are fed pieces of equal length, but at their beginnings and ends.

    Returns:
        For each stream the log-probabilities (T, C) float32 that are new, on the CPU; T may be 0.
    """
    rows = [torch.zeros(0, len(stream.model.tokenizer.tokens)) for stream in streams]
    groups: dict[object, list[tuple[int, Tensor]]] = defaultdict(list)
    for place, stream in enumerate(streams):
        if stream._is_waiting:
            features = stream._take_features()
            kind = stream.network, len(features), stream._state.shape, stream._is_last
            groups[kind].append((place, features))
    for members in groups.values():
        group = [streams[place] for place, _ in members]
        results = _advance_group(group, torch.stack([features for _, features in members]))
        for (place, _), result in zip(members, results, strict=True):
            rows[place] = result
    return rows


def _advance_group(group: Sequence[AcousticStream], features: Tensor) -> list[Tensor]:
    """Run the network over features (N, T, F) of streams that are alike."""
    network, is_last = group[0].network, group[0]._is_last
    state = stack_states([stream._state for stream in group])
    logits, state = advance(network, features, state, is_last=is_last)
    for stream, own in zip(group, split_state(state), strict=True):
        stream._state = own
        stream.is_done = is_last
    log_probs = logits.float().log_softmax(-1).transpose(0, 1)  # (N, T', C)
    return [*log_probs.contiguous().cpu()]


def check_streams(model: AcousticModel) -> DeepSpeech2:
    """Return the network of a model that can take utterances as they are spoken.

    Raises:
        ValueError: network or features need the whole utterance; says what to train with.
    """
    try:
        check_front_end(model.features)
        return check_network(model.network)
    except ValueError as error:
        raise ValueError(f"the model cannot stream: {error}") from error


def latency(model: AcousticModel) -> Latency:
    """Say how far a model that streams looks ahead.

    Raises:
        ValueError: it cannot stream.
    """
    network = check_streams(model)
    front_end = check_front_end(model.features)
    hop_s = front_end.hop_length / front_end.sample_rate
    window_s = feature_streaming.window_end(front_end) / front_end.sample_rate
    convs, ahead = network_streaming.frames_ahead(network)
    return Latency(
        window_s + feature_streaming.frames_ahead(front_end) * hop_s, convs * hop_s, ahead * hop_s
    )
