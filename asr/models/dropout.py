"""Dropout of layers that run over time."""

from torch import Tensor, nn


class VariationalDropout(nn.Dropout):
    """Dropout that drops the same features at all times of an utterance.

    Source: Gal and Ghahramani 2016 (arXiv:1512.05287), "A theoretically grounded application of
    dropout in recurrent neural networks", of what a layer takes in.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map (T, N, H) to the same with features at 0 or multiplied by 1 / (1 - p)."""
        if not self.training or self.p == 0:
            return input
        stays = 1 - self.p
        mask = input.new_empty(1, *input.shape[1:]).bernoulli_(stays)  # (1, N, H)
        return input * (mask / stays)
