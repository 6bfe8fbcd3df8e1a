"""Whether a CT's values are Hounsfield units: refused is only what can be none, never a poor, cropped, clipped or shifted CT.

Files are about that hold what the scanner stored, without its intercept: all values higher by 1000 or 1024, so that air is 0 and tissue 1000.
A network sees bone there and answers nonsense.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rt4d.anatomy import PADDED_HU
from rt4d.errors import InputError
from rt4d.volumes import Volume

LIGHT_HU, MOST_LIGHT = -200.0, 0.01
"""In HU, air and lung are below it: of a CT that has more of that than this share, nothing is said."""
AS_TISSUE = 850.0, 1250.0
"""Where fat, water and muscle lie without the intercept; in HU, the densest bone and metal."""
LEAST_AS_TISSUE, PEAK = 0.02, 2.0
"""Such values make up this share at least, and are so many times as frequent as those of the 400 below: of bone, these are the more frequent."""
ENOUGH = 2_000_000
"""Voxels that tell."""


def require_hu(volume: Volume) -> None:
    """Refuse (InputError) what is not finite, and what is a CT without its intercept.

    That is: nothing lighter than -200 HU (1 % is let pass, and what pads the image is left out), and a peak at +850 to +1250. In Hounsfield units
    nothing has both: a CT without air and lung lies within soft tissue, where bone of that density is rare, and rarer than the less dense.
    """
    hu = volume.hu
    if not np.issubdtype(hu.dtype, np.integer) and not np.isfinite(hu).all():
        found = f"{np.count_nonzero(~np.isfinite(hu))} of {hu.size} voxels are not"
        raise InputError("A CT's values must be finite numbers", found=found, do="Set them to -1024 where nothing was imaged")
    some = _imaged(hu)
    if not some.size or np.mean(some < LIGHT_HU) > MOST_LIGHT:
        return
    low, high = AS_TISSUE
    as_tissue, below = (np.count_nonzero((some >= least) & (some < least + high - low)) for least in (low, low - (high - low)))
    if as_tissue >= LEAST_AS_TISSUE * some.size and as_tissue > PEAK * below:
        peak = np.median(some[(some >= low) & (some < high)])
        do = "Subtract 1024, or what else the scanner's RescaleIntercept says; or give the DICOM folder itself"
        expected, found = "air near -1000, soft tissue near 0", f"nothing below {LIGHT_HU:g}, soft tissue near {peak:.0f}"
        raise InputError("The CT's values are not Hounsfield units", expected=expected, found=found, do=do)


def _imaged(hu: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Some voxels, spread evenly; without those outside a round field of view, and without the lowest value, which also pads images."""
    step = max(1, int(np.cbrt(hu.size / ENOUGH)))
    some = hu[::step, ::step, ::step].ravel()
    return np.asarray(some[(some > PADDED_HU) & (some > some.min())])
