"""The loss over characters by an intermediate layer, which training adds to the loss over tokens.

Tokens that are whole words leave CTC at a loss where to begin; letters it finds early. What spells
below helps what says words above.

Source: Krishna et al. 2018 (arXiv:1807.06234), "Hierarchical multitask learning for CTC".
"""

from typing import cast

import torch
from torch import Tensor, nn

from asr.ctc import ctc_loss
from asr.models import SpellingNetwork
from asr.text import Tokenizer, spelling


class WithCharacters(nn.Module):
    """A network whose call gives logits of characters too: what `forward` is to other modules."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor, feature_lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what `with_characters` of the network does."""
        return cast(SpellingNetwork, self.network).with_characters(features, feature_lengths)


class SpellingLoss:
    """CTC loss of texts letter by letter.

    Args:
        tokenizer: of the model; its characters are spelt.
        weight: factor on the loss.
    """

    def __init__(self, tokenizer: Tokenizer, weight: float) -> None:
        self.characters = spelling(tokenizer)
        self.weight = weight

    def __call__(self, logits: Tensor, lengths: Tensor, texts: list[str]) -> Tensor:
        """Compute the weighted loss of each utterance, 0 where its text has too many letters.

        Args:
            logits: (T, N, C) of the characters.
            lengths: (N,) frames, on the CPU.
            texts: N.

        Returns:
            (N,) nats.
        """
        targets = [torch.tensor(self.characters.encode(text)) for text in texts]
        target_lengths = torch.tensor([len(target) for target in targets])
        losses = ctc_loss(
            logits,
            nn.utils.rnn.pad_sequence(targets, batch_first=True),
            lengths,
            target_lengths,
            from_logits=True,
            reduction="none",
            zero_infinity=True,
        )
        return self.weight * losses
