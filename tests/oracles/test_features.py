import numpy as np

from oracles.features import cepstra, kaldi_deltas


def test_deltas_of_a_ramp_by_hand():
    ramp = np.arange(6.0)[:, None]

    rows = kaldi_deltas(ramp, 1)

    # At the start (1 (1 - 0) + 2 (2 - 0)) / 10, then (1 (2 - 0) + 2 (3 - 0)) / 10, then the slope.
    np.testing.assert_allclose(rows[:, 1], [0.5, 0.8, 1.0, 1.0, 0.8, 0.5])


def test_deltas_of_deltas_by_hand():
    peak = np.zeros((11, 1))
    peak[5] = 1.0

    rows = kaldi_deltas(peak, 2)

    # (-2, -1, 0, 1, 2) / 10 convolved with itself.
    np.testing.assert_allclose(100 * rows[1:10, 2], [4, 4, 1, -4, -10, -4, 1, 4, 4], atol=1e-12)


def test_cepstra_of_flat_and_of_tilted_bands_by_hand():
    np.testing.assert_allclose(cepstra([3.0, 3.0, 3.0, 3.0], 3, 22), [6.0, 0, 0], atol=1e-12)
    # sqrt(2 / 2) (cos(pi / 4) - cos(3 pi / 4)) = sqrt(2), liftered by 1 + 2 / 2 sin(pi / 2) = 2.
    np.testing.assert_allclose(cepstra([1.0, -1.0], 2, 2), [0.0, 2 * np.sqrt(2)], atol=1e-12)
