"""The acoustic model: front end and network, from waveforms to log-probabilities of tokens."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from asr.acoustic.chunks import (
    MAX_CHUNK_S,
    Chunk,
    check_longest,
    check_shortest,
    cut_chunks,
    keep_core,
    map_batches,
    num_seen,
)
from asr.decoding.hypothesis import separates_words
from asr.features import FRONT_ENDS, FrontEnd, Raw, Samples
from asr.models import (
    CLIP_NETWORKS,
    FILTER_BANKS,
    NETWORKS,
    SAMPLE_NETWORKS,
    WAVEFORM_NETWORKS,
    ClipNetwork,
    Network,
)
from asr.text import LabelTokenizer, PhoneTokenizer, TextNormalizer, Tokenizer, spelling

# Padded audio that goes through the network at once.
BATCH_S = 120.0

Part = TypeVar("Part")


@dataclass
class AcousticModel:
    """Turns waveforms into log-probabilities; trained or not yet.

    Attributes:
        config: the resolved configuration that it was built from.
        tokenizer: texts to classes and back.
        features: waveforms to features.
        network: features to class scores.
        normalizer: what brought the training texts into the alphabet, and brings references there;
            None where the texts came as they were.
    """

    config: dict
    tokenizer: Tokenizer
    features: FrontEnd
    network: Network
    normalizer: TextNormalizer | None = None

    @property
    def sample_rate(self) -> int:
        """Hz that waveforms must have."""
        return self.features.sample_rate

    @property
    def samples_per_frame(self) -> int:
        """Samples between two frames of the output; where each stands for a clip, the longest."""
        if self.max_samples is not None:
            return self.max_samples
        return self.features.hop_length * self.network.subsampling_factor

    @property
    def seconds_per_frame(self) -> float:
        """Time between two frames of the output; infinite where each stands for a clip."""
        if self.max_samples is not None:
            return math.inf
        return self.samples_per_frame / self.sample_rate

    @property
    def separates_words(self) -> bool:
        """Whether its texts have spaces between words; otherwise every token is a word."""
        if self.normalizer is not None and not self.normalizer.separates_words:
            return False
        return separates_words(self.tokenizer.tokens)

    @property
    def says_phones(self) -> bool:
        """Whether its tokens are phones, so that its texts are phones with spaces between them."""
        return isinstance(self.tokenizer, PhoneTokenizer)

    @property
    def max_samples(self) -> int | None:
        """Samples of the longest clip that a model of whole clips takes; None for other models."""
        if not isinstance(self.network, ClipNetwork):
            return None
        return int(MAX_CHUNK_S * self.sample_rate)

    def num_frames(self, num_samples: int) -> int:
        """Output frames for that many samples."""
        frames = self.features.num_frames(torch.tensor([num_samples]))
        return int(self.network.output_lengths(frames))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str) -> "AcousticModel":
        """Move weights and feature tables."""
        self.features.to(device)
        self.network.to(device)
        return self

    def check_length(self, num_samples: int) -> None:
        """Refuse what is too short for the network, or too long.

        Raises:
            ValueError: so many samples give no frame, or as `check_longest`.
        """
        self.check_longest(num_samples)
        check_shortest(num_samples, self.sample_rate, self.num_frames)

    def check_longest(self, num_samples: int) -> None:
        """Refuse what is too long for a model of whole clips.

        Raises:
            ValueError: so many samples are more than `max_samples`.
        """
        check_longest(num_samples, self.sample_rate, self.max_samples)

    def log_probs(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute log-probabilities, in evaluation mode; every command comes by here.

        What is over `MAX_CHUNK_S` goes through the network in chunks, so that memory is bounded
        and network and normalisation see no more than in training; but models of whole clips
        refuse it.

        Args:
            waveforms: (N, L) float32 in [-1, 1] at `sample_rate`, on the CPU.
            lengths: (N,) samples.

        Returns:
            log_probs (N, T, C) float32 and their lengths (N,) int64, on the CPU.

        Raises:
            ValueError: a clip is longer than `max_samples`.
        """
        longest = max(lengths.tolist(), default=0)
        if longest <= int(MAX_CHUNK_S * self.sample_rate):
            return self._run(waveforms, lengths)
        self.check_longest(longest)
        rows = [row[:length].numpy() for row, length in zip(waveforms, lengths, strict=True)]
        chunks = [[*cut_chunks([row], self.sample_rate, self.samples_per_frame)] for row in rows]
        cores = iter(self.chunk_log_probs([chunk for parts in chunks for chunk in parts]))
        return pad_log_probs([torch.cat([next(cores) for _ in parts]) for parts in chunks])

    def chunk_log_probs(self, chunks: Sequence[Chunk]) -> list[Tensor]:
        """Compute the log-probabilities (T, C) of each chunk's core."""
        sizes = [len(chunk.samples) for chunk in chunks]
        return map_batches(self._run_chunks, chunks, sizes, int(BATCH_S * self.sample_rate))

    def _run_chunks(self, chunks: list[Chunk]) -> list[Tensor]:
        step, hop = self.samples_per_frame, self.features.hop_length
        cut = [c.samples[: num_seen(c, hop, step, self.num_frames)] for c in chunks]
        samples = [torch.from_numpy(np.ascontiguousarray(seen)) for seen in cut]
        lengths = torch.tensor([len(seen) for seen in samples])
        padded = torch.nn.utils.rnn.pad_sequence(samples, batch_first=True)
        rows, row_lengths = self._run(padded, lengths)
        return [
            torch.from_numpy(keep_core(row[:length].numpy(), chunk, step, self.tokenizer.tokens))
            for row, length, chunk in zip(rows, row_lengths.tolist(), chunks, strict=True)
        ]

    @torch.no_grad()
    def _run(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        self.features.eval()
        self.network.eval()
        # Lengths on the CPU: sizes are read from them without waiting for a GPU.
        waveforms = waveforms.to(self.device, non_blocking=True)
        features, feature_lengths = self.features(waveforms, lengths)
        logits, output_lengths = self.network(features, feature_lengths)
        log_probs = logits.float().log_softmax(-1).transpose(0, 1)  # (N, T, C)
        return log_probs.contiguous().cpu(), output_lengths.cpu()


def pad_log_probs(log_probs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack (T, C) log-probabilities to (N, T, C), zero beyond their lengths (N,)."""
    lengths = torch.tensor([len(rows) for rows in log_probs])
    if len(log_probs) == 1:  # hours of audio need no copy
        return log_probs[0][None], lengths
    return torch.nn.utils.rnn.pad_sequence(list(log_probs), batch_first=True), lengths


def build_model(
    config: dict, tokenizer: Tokenizer, normalizer: TextNormalizer | None = None
) -> AcousticModel:
    """Build an untrained model from a resolved configuration.

    Raises:
        ValueError: a `_target_` is none of the project's classes, or refuses its arguments.
    """
    features = build_front_end(config)
    network = build_network(config, tokenizer, features)
    return AcousticModel(config, tokenizer, features, network, normalizer)


def build_front_end(config: dict) -> FrontEnd:
    """Build the front end of a configuration; raises as `build_model`."""
    return _build(config["features"], FRONT_ENDS)


def build_network(config: dict, tokenizer: Tokenizer, features: FrontEnd) -> Network:
    """Build an untrained network between a front end and a tokenizer.

    Raises:
        ValueError: as `build_model`, or the network cannot take these features, or cannot say
            several labels of a clip.
    """
    model = dict(config["model"])
    several = isinstance(tokenizer, LabelTokenizer) and tokenizer.several
    if several and model.get("activation") != "sigmoid":
        raise ValueError(
            "tokenizer.several: only a network of clips (model=clip_ds2) with "
            "model.activation=sigmoid can say several labels"
        )
    if model.get("_target_") not in CLIP_NETWORKS:
        return _build_frame_network(model, tokenizer, features)
    body = _build_frame_network(dict(model.pop("body", {})), tokenizer, features)
    return _build(model, CLIP_NETWORKS, body=body)


def _build_frame_network(model: dict, tokenizer: Tokenizer, features: FrontEnd) -> Network:
    target = model.get("_target_")
    wanted = {Raw: WAVEFORM_NETWORKS, Samples: SAMPLE_NETWORKS}
    if any((target in those) != isinstance(features, kind) for kind, those in wanted.items()):
        raise ValueError(
            f"model {target} cannot take features of {type(features).__name__}: features=raw goes "
            "with model=raw_conv and model=sincnet, features=samples with model=wav2vec2, and "
            "these with no other"
        )
    if target in SAMPLE_NETWORKS:
        return _build(model, SAMPLE_NETWORKS, num_classes=len(tokenizer.tokens))
    if target not in WAVEFORM_NETWORKS:
        return _build_body(model, tokenizer, features.num_features)
    filters = _build(
        model.pop("filters", {}),
        FILTER_BANKS,
        sample_rate=features.sample_rate,
        hop_length=features.hop_length,
    )
    body = _build_body(model.pop("body", {}), tokenizer, filters.num_features)
    return _build(model, WAVEFORM_NETWORKS, filters=filters, body=body)


def _build_body(config: dict, tokenizer: Tokenizer, num_features: int) -> Network:
    sizes = {"num_features": num_features, "num_classes": len(tokenizer.tokens)}
    if config.get("intermediate_layer"):
        sizes["num_characters"] = len(spelling(tokenizer).tokens)
    return _build(config, NETWORKS, **sizes)


def _build(config: dict, classes: dict[str, type[Part]], **facts: object) -> Part:
    arguments = dict(config)
    target = arguments.pop("_target_", None)
    if target not in classes:
        raise ValueError(f"_target_ must be one of {sorted(classes)}, got {target!r}")
    try:
        return classes[target](**arguments, **facts)
    except TypeError as error:
        raise ValueError(f"{target}: {error}") from error
