"""Networks that say of a whole clip what it is: features (N, T, F) -> logits (K, N, C)."""

from typing import Literal, cast

import torch
from torch import Tensor, nn

from asr.features.front_end import length_mask
from asr.models.network import FrameEncoder
from asr.text import BLANK

Pooling = Literal["mean", "attention", "max"]
Activation = Literal["softmax", "sigmoid"]
# Rows of V, as in the source.
ATTENTION_SIZE = 128
# Logit of a class that an output frame cannot say: its probability is 0, in float16 too, and
# 0 times it is no NaN.
IMPOSSIBLE = -1e4


class ClipNetwork(nn.Module):
    """A network whose frames are pooled over a clip, so that what comes out stands for all of it.

    With h_t the T' frames (H) that the body's classes are read from, and W, b its linear layer:

        z = sum_t a_t h_t,  logits = W z + b

    where a_t is 1 / T' ("mean") or softmax_t(w' tanh(V h_t)) ("attention"); for "max", z is the
    largest value of each feature over time. Only speech counts, never padding.

    With "softmax" a clip has one label, and one frame comes out. CTC of one frame and one label is
    cross entropy: a single path spells label k, so that p(k | x) = softmax(logits)_k, and
    p(blank | x) is that of none of them.

    With "sigmoid" it has any number of labels, and C - 1 frames come out, of which frame k can say
    label k or the blank:

        p(k | x) = exp(logits_k) / (exp(logits_k) + exp(logits_blank))
                 = sigmoid(logits_k - logits_blank)

    Labels in ascending order have a single path through these frames, so that CTC is the sum of the
    labels' binary cross entropies. So training, decoding and scoring of texts serve labels of clips
    as they are.

    Args:
        body: any network with `encode` whose linear layer gives the classes of one frame.
        pooling: "mean", "attention" or "max".
        activation: "softmax" or "sigmoid".

    Source: Lin et al. 2017 (arXiv:1703.03130), equation 1; Ilse et al. 2018 (arXiv:1802.04712),
    equation 8. Graves et al. 2006, equation 3, for CTC.
    """

    # Frames of any clip, and more: those that come out stand for all.
    subsampling_factor = 2**24
    receptive_field = None
    intermediate = None

    def __init__(
        self, body: FrameEncoder, pooling: Pooling, activation: Activation = "softmax"
    ) -> None:
        super().__init__()
        _check_pooling(pooling)
        if activation not in ("softmax", "sigmoid"):
            raise ValueError(f"activation must be softmax or sigmoid, got {activation!r}")
        if not hasattr(body, "encode"):
            raise ValueError(f"body must be a network with encode, got {type(body).__name__}")
        if body.intermediate is not None:
            raise ValueError("body.intermediate_layer must be 0: a label of a clip has no letters")
        if getattr(body, "frames_out", 1) != 1:
            raise ValueError("body.frames_out must be 1: a clip has one output frame")
        self.body = cast(nn.Module, body)
        self.pooling: Pooling = pooling
        self.activation: Activation = activation
        self.class_layer = f"body.{body.class_layer}"
        self.attention = None
        if pooling == "attention":
            self.attention = AttentionPool(self._linear.in_features)

    @property
    def _linear(self) -> nn.Linear:
        return cast(nn.Linear, self.get_submodule(self.class_layer))

    @property
    def num_frames(self) -> int:
        """Frames K that come out of any clip."""
        return 1 if self.activation == "softmax" else self._linear.out_features - 1

    def forward(self, features: Tensor, feature_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute class scores before the softmax.

        Args:
            features: (N, T, F); what stands beyond a length is ignored.
            feature_lengths: (N,) frames, 0..T.

        Returns:
            logits (K, N, C) and their lengths (N,): K, or 0 for a clip without a frame.
        """
        x, lengths = cast(FrameEncoder, self.body).encode(features, feature_lengths)  # (T', N, H)
        mask = length_mask(lengths, x.shape[0]).T[..., None]  # (T', N, 1)
        z = pool_frames(x, mask, self.pooling, self.attention)
        logits = self._linear(z)[None]  # (1, N, C)
        if self.activation == "sigmoid":
            classes = torch.arange(logits.shape[-1], device=z.device)
            own = (classes == classes[1:, None]) | (classes == BLANK)  # (K, C)
            logits = logits.where(own[:, None], IMPOSSIBLE)  # (K, N, C)
        return logits, self.output_lengths(lengths)

    def output_lengths(self, feature_lengths: Tensor) -> Tensor:
        """K frames for features of any, 0 for those of none."""
        return self.num_frames * feature_lengths.clamp(max=1)


def label_probabilities(log_probs: Tensor) -> Tensor:
    """Compute the probability of each label from what a `ClipNetwork` says of a clip.

    Args:
        log_probs: (K, C), or (0, C) for a clip without a frame.

    Returns:
        (C,): of labels 1..C-1, and at 0 that of none of them.
    """
    if not len(log_probs):
        return torch.eye(1, log_probs.shape[1])[0]
    probabilities = log_probs.exp()
    if len(log_probs) == 1:
        return probabilities[0]
    return torch.cat([probabilities[:, BLANK].prod()[None], probabilities[:, 1:].diagonal()])


class ClipHead(nn.Module):
    """Pooling over the frames of an utterance and a linear layer, on what another network gives.

    Args:
        num_features: H.
        num_classes: what it tells apart; there is no blank.
        pooling: as `ClipNetwork`.
    """

    def __init__(self, num_features: int, num_classes: int, pooling: Pooling) -> None:
        super().__init__()
        _check_pooling(pooling)
        self.pooling: Pooling = pooling
        self.attention = AttentionPool(num_features) if pooling == "attention" else None
        self.linear = nn.Linear(num_features, num_classes)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map (T, N, H), whose speech is where `mask` (T, N, 1) is True, to logits (N, classes)."""
        # A sum of hundreds of frames in bfloat16 would lose the later ones.
        return self.linear(pool_frames(x.float(), mask, self.pooling, self.attention))


def pool_frames(
    x: Tensor, mask: Tensor, pooling: Pooling, attention: "AttentionPool | None"
) -> Tensor:
    """Map frames (T, N, H) to (N, H); zero where there is no frame.

    Args:
        x: the frames; what stands where `mask` is False is not looked at.
        mask: bool (T, N, 1).
        pooling: as `ClipNetwork`.
        attention: what weighs frames for "attention", otherwise None.
    """
    x = x.masked_fill(~mask, 0.0)
    if not len(x):
        return x.sum(0)
    if pooling == "max":
        lowest = x.masked_fill(~mask, torch.finfo(x.dtype).min).amax(0)
        return lowest.masked_fill(~mask[0], 0.0)
    if attention is not None:
        return (attention(x, mask) * x).sum(0)
    return x.sum(0) / mask.sum(0).clamp(min=1)


class AttentionPool(nn.Module):
    """Weights of frames that add up to 1: softmax over time of w' tanh(V h).

    Args:
        size: H.

    Source: as `ClipNetwork`.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.inner = nn.Linear(size, ATTENTION_SIZE, bias=False)  # V
        self.score = nn.Linear(ATTENTION_SIZE, 1, bias=False)  # w

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map frames (T', N, H) and bool (T', N, 1) to weights (T', N, 1), zero in padding."""
        scores = self.score(self.inner(x).tanh())
        # Not -inf: the weights of a clip without a frame are numbers too.
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        return scores.softmax(0).masked_fill(~mask, 0.0)


def _check_pooling(pooling: str) -> None:
    if pooling not in ("mean", "attention", "max"):
        raise ValueError(f"pooling must be mean, attention or max, got {pooling!r}")
