"""Self-attention that knows how far apart two frames are, not where they stand."""

import math

import torch
from torch import Tensor, nn

from asr.features.front_end import length_mask
from asr.models.options import check_divides


class RelativeAttention(nn.Module):
    """Attention of each frame to all frames of its utterance, in several heads.

    With q_i, k_j, v_j of d = H / heads features and R_m the sinusoids of a distance of m frames:

        s_ij = ((q_i + a) . k_j + (q_i + b) . W_R R_{i-j}) / sqrt(d)
        y_i = W_O sum_j softmax_j(s_ij) v_j,   j over the speech

    a and b, a bias for contents and one for distances, are learnt.

    Args:
        size: H, even.
        num_heads: what divides H.
        dropout: probability, of each weight softmax_j(s_ij).

    Source: Dai et al. 2019 (arXiv:1901.02860), "Transformer-XL", section 3.3 and appendix B.
    """

    def __init__(self, size: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        check_divides("num_heads", num_heads, size)
        self.num_heads = num_heads
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size, bias=False)  # a bias would cancel in the softmax
        self.value = nn.Linear(size, size)
        self.position = nn.Linear(size, size, bias=False)
        self.out = nn.Linear(size, size)
        self.content_bias = nn.Parameter(torch.zeros(num_heads, 1, size // num_heads))
        self.position_bias = nn.Parameter(torch.zeros(num_heads, 1, size // num_heads))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor, distances: Tensor) -> Tensor:
        """Attend.

        Args:
            x: (N, T, H); what stands beyond a length is not attended to, but must be finite.
            lengths: (N,) frames, 0..T.
            distances: (2 T - 1, H), `sinusoids(T, H)`.

        Returns:
            (N, T, H), anything beyond lengths.
        """
        frames = x.shape[1]
        query = self._split(self.query(x))  # (N, heads, T, d)
        key = self._split(self.key(x))
        value = self._split(self.value(x))
        position = self._split(self.position(distances))  # (heads, 2 T - 1, d)
        contents = (query + self.content_bias) @ key.transpose(-1, -2)  # (N, heads, T, T)
        places = (query + self.position_bias) @ position.transpose(-1, -2)  # (..., T, 2 T - 1)
        scores = (contents + align_distances(places, frames)) / math.sqrt(query.shape[-1])
        # An utterance without speech attends to its first frame of padding: softmax needs one.
        speech = length_mask(lengths.clamp_min(1), frames)[:, None, None]  # (N, 1, 1, T)
        weights = self.dropout(scores.masked_fill(~speech, -math.inf).softmax(-1))
        y = weights.to(value.dtype) @ value  # (N, heads, T, d)
        return self.out(y.transpose(1, 2).flatten(2))  # (N, T, H)

    def _split(self, x: Tensor) -> Tensor:
        """Map (..., T, H) to (..., heads, T, d)."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(-2, -3)


def sinusoids(frames: int, like: Tensor) -> Tensor:
    """Encode the distances T - 1, T - 2, ..., -(T - 1): (2 T - 1, H).

    R[m, 2 c] = sin(m / 10000^(2 c / H)),  R[m, 2 c + 1] = cos(m / 10000^(2 c / H))

    Args:
        frames: T.
        like: (..., H), H even: what size, type and device to give them.

    Source: Vaswani et al. 2017 (arXiv:1706.03762), section 3.5.
    """
    size, device = like.shape[-1], like.device
    distance = torch.arange(frames - 1, -frames, -1, device=device, dtype=like.dtype)[:, None]
    channel = torch.arange(0, size, 2, device=device, dtype=like.dtype)  # (H / 2,)
    angle = distance * torch.exp(channel * (-math.log(10000.0) / size))  # (2 T - 1, H / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)  # (2 T - 1, H)


def align_distances(places: Tensor, frames: int) -> Tensor:
    """Give frames what belongs to distances: y[i, j] = x[i, T - 1 - i + j], distance i - j.

    Row i of (T, 2 T - 1) must move left by T - 1 - i. A column in front makes the rows 2 T long;
    read in rows of 2 T - 1 from the T-th number on, each row begins one place further left in its
    old row than the row before.

    Args:
        places: (..., T, 2 T - 1), columns from distance T - 1 to -(T - 1).
        frames: T.

    Returns:
        (..., T, T).
    """
    padded = nn.functional.pad(places, (1, 0))  # (..., T, 2 T)
    rows = padded.flatten(-2)[..., frames:]  # (..., T (2 T - 1))
    return rows.unflatten(-1, (frames, 2 * frames - 1))[..., :frames]  # (..., T, T)
