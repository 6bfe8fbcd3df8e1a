"""What is no CT in Hounsfield units is refused; what is one, however cropped, clipped, shifted or padded, is not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from rt4d.errors import InputError
from rt4d.geometry import Geometry
from rt4d.phantom import make_4dct
from rt4d.segmentation.hounsfield import require_hu
from rt4d.volumes import Volume

COARSE = {"size": (96, 72, 44), "spacing_mm": (4.0, 4.0, 6.0), "phases": ("40", "50"), "amplitude_mm": (0, 0, 1), "noise_hu": 15}
GRID = Geometry((24, 24, 24), (2.5, 2.5, 2.5))


@pytest.fixture(scope="module")
def thorax() -> npt.NDArray[np.int16]:
    return np.asarray(make_4dct(**COARSE).ct.reference.volume.hu)


def said(hu: npt.NDArray[np.number]) -> None:
    require_hu(Volume(hu, Geometry(hu.shape[::-1], (2.5, 2.5, 2.5))))


def noisy(mean: float, *, sd: float = 20.0) -> npt.NDArray[np.float64]:
    return np.random.default_rng(0).normal(mean, sd, GRID.shape)


@pytest.mark.parametrize("higher_by", [1000, 1024])
@pytest.mark.parametrize("padding", [None, 0, -1024, -3024])
def test_a_ct_without_its_intercept_is_refused(thorax, higher_by, padding):
    hu = np.maximum(thorax.astype(np.int32) + higher_by, 0)
    if padding is not None:
        hu[:, :, :20] = padding
    with pytest.raises(InputError, match=r"not Hounsfield units: expected .*, found nothing below -200, soft tissue near 10\d\d. Subtract 1024"):
        said(hu)
    with pytest.raises(InputError, match="not Hounsfield units"):
        said(hu.clip(0).astype(np.uint16)[:, 15:55, 15:80])


@pytest.mark.parametrize("padding", [-1000, -1024, -2000, -3024, 0])
@pytest.mark.parametrize("shift", [-300, -150, 0, 150, 300])
def test_a_padded_or_shifted_ct_is_taken(thorax, padding, shift):
    """Cone-beam CTs are off by so much."""
    hu = thorax + np.int16(shift)
    said(hu)
    hu[:, :, :20] = padding
    said(hu)


@pytest.mark.parametrize("lowest", [-1000, -800, -400, -200, 0])
def test_a_clipped_ct_is_taken(thorax, lowest):
    said(np.clip(thorax, lowest, 400))


@pytest.mark.parametrize("mean", [-950, -850, -650, -100, 0, 40, 60, 250])
def test_what_lies_all_within_one_tissue_is_taken(mean):
    said(noisy(mean))
    said(np.full(GRID.shape, mean, np.int16))


def test_bone_and_metal_in_soft_tissue_are_taken():
    """A vertebra fills much of the image; its bone is the rarer the denser. A pin of steel is at the scanner's highest value."""
    hu = noisy(50)
    hu[4:20, 4:20, 4:20] = 150 + np.random.default_rng(1).exponential(350, (16, 16, 16))
    hu[10:12, :, 10:12] = 3071
    assert np.mean((hu > 850) & (hu < 1250)) > 0.02
    assert hu.min() > -200
    said(hu)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused_and_counted(odd):
    hu = noisy(0)
    hu[0, 0, :2] = odd
    with pytest.raises(InputError, match=r"must be finite numbers: found 2 of 13824 voxels are not"):
        said(hu)
