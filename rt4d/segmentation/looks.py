"""Looks at a CT through voxels of several sizes laid together: at the network's own, at larger and at smaller ones.

A patch of the network's own voxels holds a large tumour hardly, and what surrounds it not at all: on a real CT a tumour of 358 cm³ on the
diaphragm was outlined with a DSC of 0.38, and with 0.76 when it was seen through larger voxels too. But outlines are coarse there, and small
lesions are lost. So lesions are outlined by the own look; and by the mean of both only where the coarser one found a large one of which the
own one knows a part, but less than half: of what is none, as hearts and spleens, it knows next to nothing. What is one, they say together
(`Coarse.score_share`).

A lesion of 8 mm is three of the network's own voxels wide. Through smaller ones it looks as larger ones do, and so do vessels: the finer look
has a say in what is small alone, together with the own one (`Fine.share`). It outlines better than it finds: where it is the less sure of the
two, the score stays that of the own one.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from rt4d.segmentation.probabilities import TOUCHING
from rt4d.segmentation.space import Array

RIM_VOXELS = 2
"""Around a lesion outlined by both looks, so that its surface lies between values of one kind."""


def together(own: Array, coarse: Array, *, threshold: float, from_voxels: float, known: tuple[float, float]) -> Array:
    """The probability, float32 z y x, of two looks on one grid.

    from_voxels: how large a connected lesion of the coarser look, above the threshold, must be to have a say. known: the share of it that the own
    look finds too: below the first that one says that it is none, from the second on that it ends elsewhere.
    """
    found, _ = ndimage.label(coarse >= threshold, structure=TOUCHING)
    voxels = np.bincount(found.ravel())
    both = np.bincount(found.ravel(), weights=(own >= threshold).ravel())
    missed = (voxels >= from_voxels) & (both >= known[0] * voxels) & (both < known[1] * voxels)
    missed[0] = False
    either, count = ndimage.label(np.maximum(own, coarse) >= threshold, structure=TOUCHING)
    by_both = np.zeros(count + 1, dtype=bool)
    by_both[either[missed[found]]] = True
    where = ndimage.binary_dilation(by_both[either], structure=TOUCHING, iterations=RIM_VOXELS)
    return np.where(where, (own + coarse) / np.float32(2), own)


def with_small(own: Array, fine: Array, *, faint: float, to_voxels: float, share: float) -> Array:
    """The probability of the own look, float32 z y x; of what either look finds from the faint threshold on, where that is small, of both.

    to_voxels: how many voxels a connected lesion must stay below. share: the part of the finer look there.
    """
    found, _ = ndimage.label(np.maximum(own, fine) >= faint, structure=TOUCHING)
    small = np.bincount(found.ravel()) < to_voxels
    small[0] = False
    lesions = small[found]
    by_both = lesions | (ndimage.binary_dilation(lesions, structure=TOUCHING, iterations=RIM_VOXELS) & (found == 0))
    return np.where(by_both, (1 - np.float32(share)) * own + np.float32(share) * fine, own)
