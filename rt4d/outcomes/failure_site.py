"""Where a tumour came back: in what only the machine had drawn, near it, or nearer than by chance?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rt4d import geometry as grids
from rt4d.agreement.surfaces import surface
from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Floats, Triple
from rt4d.volumes import Mask

SAME_MM = 1e-6


@dataclass(frozen=True, slots=True)
class FailureSite:
    """The place of a recurrence relative to the voxels that only the machine drew.

    share_inside: the part of the recurrence within them (of a point 0 or 1). distance_mm: from its nearest point to the nearest of their
    centres, 0 inside. nearer_by_chance: the part of the physician's surface that lies nearer to them than the place on that surface where
    the recurrence was (half of what lies as near counts): near 0 the recurrence sought them out, and without a relation it is uniform.
    """

    share_inside: float
    distance_mm: float
    nearer_by_chance: float


def failure_site(recurrence: Mask | Triple, *, machine: Mask, physician: Mask) -> FailureSite:
    """Where a recurrence (its contour, or a point in mm, LPS) lies, on the CT that both contours were drawn on.

    Raises GeometryError for different grids and frames, and for a point outside the CT; InputError where the machine drew nothing more than
    the physician, and for an empty contour of the physician or of the recurrence.
    """
    from scipy.spatial import cKDTree

    grids.require(machine.geometry, physician.geometry, what="Machine-only voxels are found on the physician's grid")
    only = machine - physician
    if only.is_empty:
        raise InputError("The machine drew nothing that the physician did not, so no recurrence can lie there")
    points = _points(recurrence, physician)
    inside = _within(points, only)
    to_only, around = cKDTree(only.points_mm), surface(physician)
    foot = int(cKDTree(around.points_mm).query(points.mean(axis=0))[1])
    far = np.asarray(to_only.query(around.points_mm)[0], dtype=float)
    nearer, as_near = far < far[foot] - SAME_MM, np.abs(far - far[foot]) <= SAME_MM
    return FailureSite(
        share_inside=float(inside.mean()),
        distance_mm=0.0 if inside.any() else float(np.min(to_only.query(points)[0])),
        nearer_by_chance=float((around.areas_mm2 * (nearer + 0.5 * as_near)).sum() / around.areas_mm2.sum()),
    )


def nearer_than_chance(shares: Sequence[float]) -> float:
    """The one-sided p value that recurrences of several patients lie nearer to machine-only voxels than places on the physician's surface do.

    shares: `nearer_by_chance` of each patient (Wilcoxon's signed ranks against one half). Fewer than five patients are refused.
    """
    from scipy.stats import wilcoxon

    values = np.asarray(shares, dtype=float)
    if len(values) < 5 or not np.all((values >= 0) & (values <= 1)):
        raise InputError("Chance is judged over several patients", expected="five shares or more, each from 0 to 1", found=len(values))
    return float(wilcoxon(values - 0.5, alternative="less").pvalue)


def _points(recurrence: Mask | Triple, physician: Mask) -> Floats:
    if isinstance(recurrence, Mask):
        grids.require_same_frame(physician.geometry, recurrence.geometry, what="The recurrence lies in another frame of reference")
        if recurrence.is_empty:
            raise InputError("The contour of the recurrence is empty")
        return recurrence.points_mm
    point = np.array([recurrence], dtype=float)
    if not physician.geometry.contains(point).all():
        raise GeometryError("The recurrence lies outside the CT", found=recurrence, do="Give its point in mm (LPS) in the frame of the planning CT")
    return point


def _within(points: Floats, mask: Mask) -> npt.NDArray[np.bool_]:
    """Which points lie in voxels of the mask."""
    index = np.rint(mask.geometry.to_index(points)).astype(int)
    there = np.all((index >= 0) & (index < np.array(mask.geometry.size)), axis=1)
    found = np.zeros(len(points), dtype=bool)
    x, y, z = index[there].T
    found[there] = mask.inside[z, y, x]
    return found
