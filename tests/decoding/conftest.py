import numpy as np
import pytest


@pytest.fixture
def log_probs(rng):
    """(N=6, T=12, C=5) float32, peaked enough for prefix search to end."""
    return np.log(rng.dirichlet(np.full(5, 0.3), size=(6, 12)) + 1e-9).astype(np.float32)
