"""The number that is explained: how probable a network finds the labels of a word, at its frames.

With y_t(k) the probability of class k at frame t, l_s the labels of the whole text, and

    gamma_t(s) = p(frame t belongs to label s | text, recording)          (asr.ctc.occupancies)

the score of a word, a set W of places in the text, is

    Q(x) = sum_t sum_{s in W} gamma_t(s) ln y_t(l_s; x),

where gamma is that of the recording as it is and stays fixed when x is changed. So Q is the mean,
over the alignments of the text, of the summed log-probability of the word's frames. Since
d ln p(text) / d ln y_t(k) is the sum of gamma_t(s) over the s with l_s = k (Graves et al. 2006,
equation 15), its gradient at the recording is the part of the gradient of ln p(text | x) that
goes through the word: those of all labels, and that of the blanks, add up to the loss's.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from asr.ctc import occupancies
from asr.models import Network
from asr.text import BLANK


class WordScore:
    """Q of a word.

    Args:
        weights: (T', C) how much ln y_t(k) counts: gamma, summed over the word's labels of class k.

    Attributes:
        num_frames: frames that the word is expected to take, the sum of the weights.
    """

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights
        self.num_frames = float(weights.sum())

    def __call__(self, log_probs: Tensor) -> Tensor:
        """Score (N, T', C) log-probabilities: (N,) nats, <= 0."""
        return (self.weights.to(log_probs) * log_probs).sum((1, 2))

    def probability(self, score: Tensor) -> Tensor:
        """Geometric mean of the probabilities of the word's labels at its frames, in [0, 1]."""
        return (score / self.num_frames).exp()


def score_of(
    log_probs: Tensor, labels: Sequence[int], places: Sequence[int], blank: int = BLANK
) -> WordScore:
    """Make the score of some labels of a text.

    Args:
        log_probs: (T', C) of the recording as it is, on the CPU.
        labels: of the whole text, S.
        places: of the word among them, 0..S-1.
        blank: class of the blank.

    Raises:
        ValueError: as `asr.ctc.occupancies`.
    """
    gamma = occupancies(log_probs, list(labels), [len(log_probs)], [len(labels)], blank)  # (T', S)
    weights = torch.zeros(log_probs.shape)
    classes = torch.tensor([labels[place] for place in places])
    return WordScore(weights.index_add_(1, classes, gamma[:, list(places)]))


class ScoredNetwork:
    """A network followed by a score: features (N, T, F), all of one length, to (N,) nats.

    A GPU's library of recurrent layers has no backward pass in evaluation mode, and here networks
    are never in training; its layers run on PyTorch's own kernels instead.
    """

    def __init__(self, network: Network, score: WordScore) -> None:
        self.network = network
        self.score = score

    def __call__(self, features: Tensor) -> Tensor:
        """Score features (N, T, F): (N,)."""
        count, frames, _ = features.shape
        lengths = torch.full((count,), frames, device=features.device)
        with torch.backends.cudnn.flags(enabled=False):
            logits, _ = self.network(features, lengths)  # (T', N, C)
        return self.score(logits.transpose(0, 1).log_softmax(-1))

    def gradient(self, features: Tensor) -> Tensor:
        """Differentiate each score by its own features: (N, T, F)."""
        features = features.detach().requires_grad_()
        with torch.backends.cudnn.flags(enabled=False):
            (found,) = torch.autograd.grad(self(features).sum(), features)
        return found
