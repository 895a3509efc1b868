import numpy as np
import pytest
import torch

from asr.augment import SpecAugment
from asr.augment.spec import warp_bands

SPEC = {
    "freq_masks": 2,
    "freq_width": 6,
    "time_masks": 2,
    "time_width": 10,
    "time_fraction": 0.2,
    "freq_warp": 0.0,
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_spec_augment_masks_at_most_what_was_asked():
    features = torch.ones(8, 100, 40)
    lengths = torch.tensor([100, 90, 50, 40, 30, 20, 10, 1])

    masked = SpecAugment(**SPEC)(features, lengths, generator())

    for row, length in enumerate(lengths.tolist()):
        bands = int((masked[row, :length].amax(0) == 0).sum())
        frames = int((masked[row, :length].amax(1) == 0).sum())
        assert bands <= 2 * 6
        assert frames <= 2 * min(10, int(0.2 * length))
    assert (masked == 0).any()


@pytest.mark.parametrize("move", [-3.0, 0.0, 2.5])
def test_warp_moves_the_middle_band_and_keeps_the_outermost(move):
    features = torch.arange(41.0).expand(2, 5, 41)

    warped = warp_bands(features, torch.tensor([move, 0.0]))

    torch.testing.assert_close(warped[1], features[1])
    torch.testing.assert_close(warped[0, :, [0, 40]], features[0, :, [0, 40]])
    where = np.interp(20.0, warped[0, 0].numpy(), np.arange(41))
    assert where == pytest.approx(20.0 + move, abs=0.1)
    assert (warped[0].diff() > 0).all()


def test_warp_of_one_band_changes_nothing():
    features = torch.randn(2, 3, 1)

    assert torch.equal(warp_bands(features, torch.tensor([1.0, -1.0])), features)


def test_spec_augment_follows_its_generator():
    features, lengths = torch.ones(4, 50, 20), torch.full((4,), 50)
    augment = SpecAugment(**SPEC)

    first = augment(features, lengths, generator(1))

    assert torch.equal(first, augment(features, lengths, generator(1)))
    assert not torch.equal(first, augment(features, lengths, generator(2)))


def test_spec_augment_without_masks_changes_nothing():
    features = torch.randn(3, 20, 10)
    augment = SpecAugment(**(SPEC | {"freq_masks": 0, "time_masks": 0}))

    assert torch.equal(augment(features, torch.full((3,), 20), generator()), features)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"freq_masks": -1}, "freq_masks must be >= 0, got -1"),
        ({"time_fraction": 1.5}, r"time_fraction must be in \[0, 1\], got 1.5"),
    ],
)
def test_spec_augment_refuses_parameters_out_of_range(change, message):
    with pytest.raises(ValueError, match=message):
        SpecAugment(**(SPEC | change))


def test_masks_and_warps_of_bands_treat_deltas_as_their_statics():
    augment = SpecAugment(**(SPEC | {"freq_warp": 3.0, "time_masks": 0}))
    bands = torch.rand(4, 30, 20) + 0.1

    alone = augment(bands, torch.full((4,), 30), generator(), num_bands=20)
    beside = augment(bands.repeat(1, 1, 3), torch.full((4,), 30), generator(), num_bands=20)

    assert (alone == 0).any()
    torch.testing.assert_close(beside, alone.repeat(1, 1, 3))


def test_features_that_are_no_bands_are_masked_over_time_alone():
    augment = SpecAugment(**(SPEC | {"freq_warp": 3.0, "time_fraction": 1.0}))
    features = torch.rand(4, 50, 20) + 0.1

    masked = augment(features, torch.full((4,), 50), generator(), num_bands=0)

    is_masked = masked == 0
    assert is_masked.any()
    assert torch.equal(is_masked.all(2), is_masked.any(2))
    assert torch.equal(masked[~is_masked], features[~is_masked])
