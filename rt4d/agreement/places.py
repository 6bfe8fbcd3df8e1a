"""Where a region lies that only one of two contours holds: in the lung or outside it, to which side, how far from the physician's surface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d import geometry as grids
from rt4d.agreement.surfaces import close_up
from rt4d.errors import InputError
from rt4d.geometry import Floats, Geometry
from rt4d.volumes import Mask

DIRECTIONS = ("right", "left", "anterior", "posterior", "inferior", "superior")
LUNG = ("outside", "inside")
UP_TO_MM = (2.0, 5.0, 10.0)
DISTANCES = ("0–2 mm", "2–5 mm", "5–10 mm", "over 10 mm")
ROUNDING_MM = 1e-6
CANDIDATES = 8
"""So many voxels with the nearest centres are asked for the nearest face."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The volume of a region, in cm³, divided in three ways, each of which adds up to the total.

    inside_lung_cm3, outside_lung_cm3: None where no lung was given. by_direction_cm3: from the physician's centroid, along the axis of
    the patient on which a voxel lies farthest from it. by_distance_cm3: of voxel centres from the physician's surface, on either
    side of it, upper bound included. Both None where the physician drew nothing.
    """

    total_cm3: float
    inside_lung_cm3: float | None
    outside_lung_cm3: float | None
    by_direction_cm3: Mapping[str, float] | None
    by_distance_cm3: Mapping[str, float] | None

    def __post_init__(self) -> None:
        lung = None if self.inside_lung_cm3 is None or self.outside_lung_cm3 is None else {"in": self.inside_lung_cm3, "out": self.outside_lung_cm3}
        for parts in (lung, self.by_direction_cm3, self.by_distance_cm3):
            if parts is not None and not np.isclose(sum(parts.values()), self.total_cm3, rtol=1e-9, atol=1e-12):
                raise InputError("The parts of a region must add up to it", expected=f"{self.total_cm3} cm³", found=dict(parts))

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return {
            "total_cm3": self.total_cm3,
            "inside_lung_cm3": self.inside_lung_cm3,
            "outside_lung_cm3": self.outside_lung_cm3,
            "by_direction_cm3": None if self.by_direction_cm3 is None else dict(self.by_direction_cm3),
            "by_distance_cm3": None if self.by_distance_cm3 is None else dict(self.by_distance_cm3),
        }


def locate(region: Mask, physician: Mask, *, lung: Mask | None = None) -> Places:
    """Where a region lies, of a comparison its `false_positive` or `false_negative`, seen from what the physician drew.

    Raises GeometryError where the masks lie on different grids.
    """
    grids.require(physician.geometry, region.geometry, what="A region and the physician's contour lie on different grids")
    near = close_up(region)
    index = np.argwhere(near.inside)
    points = near.geometry.to_patient(index[:, ::-1])
    of_layer = near.geometry.slice_volumes_mm3 / 1000
    within = None if lung is None else _shares(LUNG, _within_lung(points, region, lung), index[:, 0], of_layer)
    known = not physician.is_empty
    return Places(
        total_cm3=_shares(("all",), np.zeros(len(index), dtype=np.intp), index[:, 0], of_layer)["all"],
        inside_lung_cm3=None if within is None else within["inside"],
        outside_lung_cm3=None if within is None else within["outside"],
        by_direction_cm3=_shares(DIRECTIONS, _directions(points, close_up(physician)), index[:, 0], of_layer) if known else None,
        by_distance_cm3=_shares(DISTANCES, _distances(points, physician), index[:, 0], of_layer) if known else None,
    )


def _shares(names: tuple[str, ...], kind: npt.NDArray[np.intp], layer: npt.NDArray[np.intp], of_layer: Floats) -> dict[str, float]:
    """The volume of each kind of voxel: voxels are counted slice by slice, so that what adds up in voxels adds up in cm³."""
    counts = np.bincount(kind * len(of_layer) + layer, minlength=len(names) * len(of_layer)).reshape(len(names), -1)
    return dict(zip(names, (counts * of_layer).sum(axis=1).tolist(), strict=True))


def _within_lung(points: Floats, region: Mask, lung: Mask) -> npt.NDArray[np.intp]:
    """The place of each voxel among LUNG."""
    grids.require(region.geometry, lung.geometry, what="A region and the lung lie on different grids")
    x, y, z = np.round(lung.geometry.to_index(points)).astype(int).T
    return np.asarray(lung.inside[z, y, x], dtype=np.intp)


def _directions(points: Floats, physician: Mask) -> npt.NDArray[np.intp]:
    """The place of each point's direction among DIRECTIONS."""
    away = points - physician.centroid_mm
    axis = np.abs(away).argmax(axis=1)
    return np.asarray(2 * axis + (away[np.arange(len(axis)), axis] > 0), dtype=np.intp)


def _distances(points: Floats, physician: Mask) -> npt.NDArray[np.intp]:
    """The place of each voxel centre's distance from the physician's surface among DISTANCES."""
    x, y, z = np.round(physician.geometry.to_index(points)).astype(int).T
    drawn = physician.inside[z, y, x]
    near = close_up(physician)
    inside = np.pad(near.inside, 1)
    distance = np.empty(len(points))
    for here, rim in ((~drawn, inside & ~ndimage.binary_erosion(inside)), (drawn, ~inside & ndimage.binary_dilation(inside))):
        distance[here] = _to_voxels(points[here], np.argwhere(rim)[:, ::-1] - 1, near.geometry)
    return np.asarray(np.searchsorted(np.array(UP_TO_MM) + ROUNDING_MM, distance), dtype=np.intp)


def _to_voxels(points: Floats, index: npt.NDArray[np.intp], grid: Geometry) -> Floats:
    """How far each point is from the nearest of some voxels (indices x y z): from its faces, not from its centre."""
    from scipy.spatial import cKDTree

    if not len(points):
        return np.empty(0)
    low, high, centres = ((grid.to_patient(index + by) - grid.origin_mm) @ grid.matrix for by in (-0.5, 0.5, 0.0))
    local = (points - grid.origin_mm) @ grid.matrix
    nearest = cKDTree(centres, balanced_tree=False).query(local, k=range(1, min(CANDIDATES, len(index)) + 1))[1]
    beyond = np.maximum(np.maximum(low[nearest] - local[:, None], local[:, None] - high[nearest]), 0.0)
    return np.asarray(np.linalg.norm(beyond, axis=-1).min(axis=1))
