"""How much contrast soft tissue is given before registration, by how much of it lies around the target.

To a registration a mediastinum is nearly one grey next to lung: the whole of its contrast is a tenth of that at the lung's surface, so the field
lags there. Stretching it everywhere would let its noise shift a small tumour in the lung, which needs no help.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rt4d.motion.recipe import Recipe
from rt4d.volumes import Mask, Volume

SOFT_TISSUE_HU = -150.0
"""Above this it is soft tissue: fat is, the blurred rim of a lung mostly not."""
AROUND_MM = 10.0


def soft_tissue_gain(reference: Volume, focus: Mask | None, recipe: Recipe) -> float:
    """1 where the target lies in lung alone, the recipe's `soft_tissue_gain` where soft tissue is all around it; 1 without a target."""
    if focus is None or recipe.soft_tissue_gain == 1.0:
        return 1.0
    return 1.0 + (recipe.soft_tissue_gain - 1.0) * _share_of_soft_tissue(reference, focus)


def _share_of_soft_tissue(reference: Volume, focus: Mask) -> float:
    """The share of soft tissue within AROUND_MM around the target; bone counts as soft tissue."""
    from scipy import ndimage

    box = focus.box(AROUND_MM)
    target, hu = focus.crop(*box), reference.crop(*box).hu
    distance = ndimage.distance_transform_edt(~target.inside, sampling=target.geometry.spacing_mm[::-1])
    around = (distance > 0) & (distance <= AROUND_MM)
    return float(np.mean(hu[around] > SOFT_TISSUE_HU)) if around.any() else 0.0


def stretched(hu: npt.NDArray[np.float32], gain: float) -> npt.NDArray[np.float32]:
    """Hounsfield units with those above SOFT_TISSUE_HU so many times as far above it."""
    return np.where(hu > SOFT_TISSUE_HU, SOFT_TISSUE_HU + gain * (hu - SOFT_TISSUE_HU), hu).astype(np.float32) if gain != 1.0 else hu
