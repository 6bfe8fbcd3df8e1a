"""Two looks at a CT laid together: at the network's own voxels, and at larger ones.

A patch of the network's own voxels holds a large tumour hardly, and what surrounds it not at all: on a real CT a tumour of 358 cm³ on the
diaphragm was outlined with a DSC of 0.38, and with 0.76 when it was seen through larger voxels too. But outlines are coarse there, and small
lesions are lost. So lesions are outlined by the finer look; and by the mean of both only where the coarser one found a large one of which the
finer one knows a part, but less than half: of what is none, as hearts and spleens, it knows next to nothing. What is one, they say together
(`Coarse.score_share`).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from rt4d.segmentation.probabilities import TOUCHING
from rt4d.segmentation.space import Array

RIM_VOXELS = 2
"""Around a lesion outlined by both looks, so that its surface lies between values of one kind."""


def together(fine: Array, coarse: Array, *, threshold: float, from_voxels: float, known: tuple[float, float]) -> Array:
    """The probability, float32 z y x, of two looks on one grid.

    from_voxels: how large a connected lesion of the coarser look, above the threshold, must be to have a say. known: the share of it that the finer
    one finds too: below the first the finer one says that it is none, from the second on that it ends elsewhere.
    """
    found, _ = ndimage.label(coarse >= threshold, structure=TOUCHING)
    voxels = np.bincount(found.ravel())
    both = np.bincount(found.ravel(), weights=(fine >= threshold).ravel())
    missed = (voxels >= from_voxels) & (both >= known[0] * voxels) & (both < known[1] * voxels)
    missed[0] = False
    either, count = ndimage.label(np.maximum(fine, coarse) >= threshold, structure=TOUCHING)
    by_both = np.zeros(count + 1, dtype=bool)
    by_both[either[missed[found]]] = True
    where = ndimage.binary_dilation(by_both[either], structure=TOUCHING, iterations=RIM_VOXELS)
    return np.where(where, (fine + coarse) / np.float32(2), fine)
