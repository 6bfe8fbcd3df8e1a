"""A mask stored along other axes: files of one CT differ in the order and sign of theirs (RAS against LPS), though their voxels are the same."""

from __future__ import annotations

import numpy as np

from rt4d.geometry import DIRECTION_TOLERANCE, Geometry
from rt4d.volumes import Mask


def turned(mask: Mask, towards: Geometry) -> Mask:
    """The same voxels in the order in which the other grid stores its own; the mask itself where the grids' axes are not the same ones.

    Uneven slices stay as they are.
    """
    cosine = towards.matrix.T @ mask.geometry.matrix
    order = np.abs(cosine).argmax(axis=1)
    sign = np.sign(cosine[range(3), order])
    along = np.allclose(np.abs(cosine[range(3), order]), 1, atol=DIRECTION_TOLERANCE) and len(set(order.tolist())) == len(order)
    stored_so = np.array_equal(order, range(3)) and sign.min() > 0
    if stored_so or not along or not mask.geometry.is_even:
        return mask
    size, spacing = np.array(mask.geometry.size)[order], np.array(mask.geometry.spacing_mm)[order]
    first = np.zeros(3)
    first[order] = np.where(sign < 0, size - 1, 0)
    direction = tuple((mask.geometry.matrix[:, order] * sign).ravel())
    x, y, z = mask.geometry.to_patient(first)
    grid = Geometry((int(size[0]), int(size[1]), int(size[2])), tuple(spacing), (x, y, z), direction, mask.geometry.frame_of_reference)
    inside = mask.inside.transpose([2 - order[axis] for axis in (2, 1, 0)])
    return Mask(np.flip(inside, tuple(2 - axis for axis in range(3) if sign[axis] < 0)), grid)
