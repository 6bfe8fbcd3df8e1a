"""Two looks at a CT laid together: at the network's own voxels, and at larger ones.

A patch of the network's own voxels holds a large tumour hardly, and what surrounds it not at all: on a real CT a tumour of 358 cm³ on the diaphragm
was outlined by a sixth. Seen through larger voxels it is a tumour like others. Small lesions are lost there and outlines are coarse, but most of
what is taken for a lesion by mistake is gone too. So lesions are scored by the mean of both looks; and outlined by the finer one, but by the mean
of both where the coarser one found a large lesion of which the finer one knows less than half.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from rt4d.segmentation.probabilities import TOUCHING
from rt4d.segmentation.space import Array

KNOWN_SHARE = 0.5
"""A large lesion of the coarser look of which the finer one knows less was missed by it."""
RIM_VOXELS = 2
"""Around a lesion outlined by both looks, so that its surface lies between values of one kind."""


def together(fine: Array, coarse: Array, *, threshold: float, from_voxels: float) -> tuple[Array, Array]:
    """What outlines lesions and what scores them, both float32 z y x, of two probabilities on one grid.

    from_voxels: how large a connected lesion of the coarser look, above the threshold, must be to have a say in the outline.
    """
    mean = (fine + coarse) / np.float32(2)
    found, _ = ndimage.label(coarse >= threshold, structure=TOUCHING)
    voxels = np.bincount(found.ravel())
    known = np.bincount(found.ravel(), weights=(fine >= threshold).ravel())
    missed = (voxels >= from_voxels) & (known < KNOWN_SHARE * voxels)
    missed[0] = False
    either, count = ndimage.label(np.maximum(fine, coarse) >= threshold, structure=TOUCHING)
    by_both = np.zeros(count + 1, dtype=bool)
    by_both[either[missed[found]]] = True
    where = ndimage.binary_dilation(by_both[either], structure=TOUCHING, iterations=RIM_VOXELS)
    return np.where(where, mean, fine), mean
