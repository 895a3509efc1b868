import pytest
import torch


@pytest.fixture
def logits(rng):
    """(T=6, N=2, C=4) float64, of the utterances in `ctc_batches`."""
    return torch.from_numpy(2 * rng.normal(size=(6, 2, 4)))
