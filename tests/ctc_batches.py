"""Random batches for the tests of the CTC loss, and both losses on them."""

import numpy as np
import torch

from asr.ctc import ctc_loss, minimum_input_length

torch_ctc_loss = torch.nn.functional.ctc_loss
# Two utterances whose paths are few enough to be counted one by one.
FRAMES = torch.tensor([6, 4])
TARGETS = torch.tensor([[1, 2, 2], [3, 1, 0]])
LABELS = torch.tensor([3, 2])


def fit(logits, targets, input_lengths, target_lengths, **options):
    """Losses and gradient of their sum, from logits."""
    x = logits.clone().requires_grad_()
    losses = ctc_loss(
        x,
        targets,
        input_lengths,
        target_lengths,
        **{"reduction": "none", "from_logits": True, **options},
    )
    losses.sum().backward()
    return losses.detach(), x.grad


def torch_fit(logits, targets, input_lengths, target_lengths, **options):
    """The same by PyTorch in float64."""
    x = logits.double().clone().requires_grad_()
    losses = torch_ctc_loss(
        x.log_softmax(-1),
        targets,
        input_lengths,
        target_lengths,
        **{"reduction": "none", **options},
    )
    losses.sum().backward()
    return losses.detach(), x.grad


def random_batch(rng, num_frames, num_utterances, num_classes, num_labels, scale=1.0):
    logits = torch.from_numpy(
        rng.normal(size=(num_frames, num_utterances, num_classes), scale=scale).astype(np.float32)
    )
    targets = torch.from_numpy(rng.integers(1, num_classes, (num_utterances, num_labels)))
    target_lengths = torch.from_numpy(rng.integers(0, num_labels + 1, num_utterances))
    least = [minimum_input_length(y[:s]) for y, s in zip(targets, target_lengths, strict=True)]
    input_lengths = torch.tensor([rng.integers(max(1, m), num_frames + 1) for m in least])
    return logits, targets, input_lengths, target_lengths


def assert_agree(found, expected, rtol=1e-5, atol=5e-6):
    torch.testing.assert_close(found[0].double(), expected[0], rtol=rtol, atol=1e-4)
    torch.testing.assert_close(found[1].double(), expected[1], rtol=0.0, atol=atol)
