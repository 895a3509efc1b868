"""A layer of a transformer's encoder: attention of every frame to all, then a step for each."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.models.options import check_divides


class TransformerLayer(nn.Module):
    """Attention and feed-forward, each added to its input, with layer norms.

    After each sum:  y = LN(x + MHSA(x));  z = LN(y + FF(y))
    Or before each:  y = x + MHSA(LN(x));  z = y + FF(LN(y))

    Args:
        size: H.
        num_heads: of the attention; it divides H.
        inner_size: of feed-forward.
        dropout: probability: of attention's weights, of each step's output, within feed-forward.
        norm_first: whether the norms come before.

    Source: Vaswani et al. 2017 (arXiv:1706.03762), section 3; norms before: Xiong et al. 2020
    (arXiv:2002.04745), figure 1.
    """

    def __init__(
        self, size: int, num_heads: int, inner_size: int, dropout: float, *, norm_first: bool
    ) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.attention = SelfAttention(size, num_heads, dropout)
        self.attention_norm = nn.LayerNorm(size)
        self.inner = nn.Linear(size, inner_size)
        self.outer = nn.Linear(inner_size, size)
        self.norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """Map (N, T, H) to the same, where every frame sees those that `seen` (N, T) marks."""
        if self.norm_first:
            x = x + self.dropout(self.attention(self.attention_norm(x), seen))
            return x + self._feed_forward(self.norm(x))
        x = self.attention_norm(x + self.dropout(self.attention(x, seen)))
        return self.norm(x + self._feed_forward(x))

    def _feed_forward(self, x: Tensor) -> Tensor:
        x = self.dropout(functional.gelu(self.inner(x)))
        return self.dropout(self.outer(x))


class SelfAttention(nn.Module):
    """Softmax of q . k / sqrt(H / heads) over the frames that are seen, a head by itself."""

    def __init__(self, size: int, num_heads: int, dropout: float) -> None:
        check_divides("num_heads", num_heads, size)
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.query, self.key, self.value, self.out = (nn.Linear(size, size) for _ in range(4))

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """Map (N, T, H) to the same; `seen` (N, T) must mark a frame of every utterance."""
        query, key, value = (
            layer(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (N, heads, T, H / heads)
            for layer in (self.query, self.key, self.value)
        )
        heads = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=seen[:, None, None],
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.out(torch.flatten(heads.transpose(1, 2), 2))  # (N, T, H)
