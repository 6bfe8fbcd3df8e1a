"""Where two contours differ most: what to look at first."""

from __future__ import annotations

import numpy as np

from rt4d.agreement.comparing import Comparison
from rt4d.geometry import Floats, Triple
from rt4d.volumes import Mask


def greatest_difference_mm(pair: Comparison, physician: Mask) -> Triple | None:
    """The centre (LPS, mm) of the voxel that only one of both contours holds and that lies farthest from the other one; None where there is none.

    Of voxels that lie as far, within half a voxel, the one in their midst. Where the other contour is empty, the midst of what there is.
    physician: the physician's mask of this comparison, on whose grid its false positives and negatives are.
    """
    machine = (physician - pair.false_negative) | pair.false_positive
    found = [_farthest(part, other) for part, other in ((pair.false_positive, physician), (pair.false_negative, machine)) if not part.is_empty]
    if not found:
        return None
    x, y, z = max(found, key=lambda each: each[0])[1].tolist()
    return x, y, z


def _farthest(part: Mask, other: Mask) -> tuple[float, Floats]:
    """How far the farthest voxels of a part lie from the other contour's, and the one in their midst."""
    from scipy.spatial import cKDTree

    points = part.points_mm
    if other.is_empty:
        return np.inf, _midst(points)
    away, _ = cKDTree(other.points_mm, balanced_tree=False).query(points)
    return float(away.max()), _midst(points[away >= away.max() - min(part.geometry.spacing_mm) / 2])


def _midst(points: Floats) -> Floats:
    """The point nearest to the mean of all."""
    return np.asarray(points[np.linalg.norm(points - points.mean(axis=0), axis=1).argmin()])
