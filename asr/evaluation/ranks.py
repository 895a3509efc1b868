"""Ranks of numbers."""

import numpy as np


def ranks(values: np.ndarray) -> np.ndarray:
    """Rank (n,) values from 0; equal ones share the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[places]
