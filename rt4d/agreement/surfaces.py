"""The surface of a mask as elements with a place and an area, and how far two surfaces lie apart. Every surface metric derives from this.

An element lies where eight voxel centres meet (in the middle between them) and has the area of surface that passes there (cell_areas).
This is the definition of DeepMind's surface-distance (Nikolov et al., 'Clinically applicable segmentation of head and neck anatomy for
radiotherapy', 2018), of which every number here is the equal on its kind of grid. It is also right where slices are uneven and on oblique
grids: elements are compared in the patient. On two grids the elements of either lie as far apart as its own voxels, which counts as a
distance; `compare` therefore compares such masks on one finer grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rt4d import geometry as grids
from rt4d.agreement.cell_areas import EMPTY, FULL, cell_areas_mm2, neighbour_codes
from rt4d.agreement.nearest import Cells, in_both, in_one_place, nearest_mm
from rt4d.errors import InputError
from rt4d.geometry import Floats, Geometry
from rt4d.volumes import Mask

ROUNDING_MM = 1e-6
"""Distances as far as a tolerance are within it, also where turning into patient coordinates has moved the last digits."""
ROUNDING = 1e-9
"""Of a surface: the same for shares of its area."""

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Elements of a surface: where they are in the patient, points_mm, shape (n, 3), areas_mm2, shape (n,), and in which cells of the mask's grid."""

    points_mm: Floats
    areas_mm2: Floats
    cells: Cells = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceDistances:
    """How far each element of either surface is from the nearest of the other one, and its area. Neither surface is empty."""

    machine_to_physician_mm: Floats
    machine_mm2: Floats
    physician_to_machine_mm: Floats
    physician_mm2: Floats

    def __post_init__(self) -> None:
        for distances, areas in self._both():
            if distances.shape != areas.shape or not distances.size:
                raise InputError("Each surface needs elements, each with a distance and an area", found=(distances.shape, areas.shape))

    def surface_dice(self, tolerance_mm: float) -> float:
        """The share of both surfaces' area that lies within the tolerance of the other one (Nikolov et al. 2018)."""
        require_tolerance(tolerance_mm)
        near = sum(float(areas[distances <= tolerance_mm + ROUNDING_MM].sum()) for distances, areas in self._both())
        return near / float(self.machine_mm2.sum() + self.physician_mm2.sum())

    def hausdorff_mm(self, percentile: float = 100.0) -> float:
        """The distance within which that percentage of a surface's area lies of the other one: the larger of both directions.

        100: the Hausdorff distance. 95: HD95 as surface-distance defines it ('robust Hausdorff'), because a share of a surface is an area.
        Others differ. MONAI takes the larger of both directions too, but gives each outermost voxel one vote, whatever area it stands
        for (of a plate nearly all voxels have one, of a post on it few), and interpolates between votes. Where both directions are
        pooled, a contour that is too large in one place is forgiven for the other one's surface.
        """
        if not 0 < percentile <= 100:
            raise InputError("A percentile of surface distances lies above 0 and up to 100", found=percentile)
        if percentile == 100:
            return max(float(distances.max()) for distances, _ in self._both())
        return max(_within(distances, areas, percentile / 100) for distances, areas in self._both())

    @property
    def mean_mm(self) -> float:
        """The mean distance over the area of both surfaces together (symmetric mean surface distance).

        Of `surface_distances` it is too small where the contours differ by less than a voxel or two: `face_distances` measures it better.
        """
        total = sum(float((distances * areas).sum()) for distances, areas in self._both())
        return total / float(self.machine_mm2.sum() + self.physician_mm2.sum())

    @property
    def mean_machine_to_physician_mm(self) -> float:
        """The mean distance of the machine's surface from the physician's, by area."""
        return float((self.machine_to_physician_mm * self.machine_mm2).sum() / self.machine_mm2.sum())

    @property
    def mean_physician_to_machine_mm(self) -> float:
        """The mean distance of the physician's surface from the machine's, by area."""
        return float((self.physician_to_machine_mm * self.physician_mm2).sum() / self.physician_mm2.sum())

    def _both(self) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        return (self.machine_to_physician_mm, self.machine_mm2), (self.physician_to_machine_mm, self.physician_mm2)


def surface_distances(machine: Mask, physician: Mask) -> SurfaceDistances:
    """The distances between the surfaces of two masks, which may lie on different grids of one frame of reference.

    Raises GeometryError for different frames of reference, InputError where either mask is empty.
    """
    return distances_of(surface, machine, physician)


def distances_of(elements: Callable[[Mask], Surface], machine: Mask, physician: Mask) -> SurfaceDistances:
    """The distances between what a function takes as the surfaces of two masks. Raises GeometryError for different frames of reference."""
    grids.require_same_frame(physician.geometry, machine.geometry, what="Surfaces lie in different frames of reference")
    mine, drawn = elements(machine), elements(physician)
    x, y, z = (int(n) for n in np.round(physician.geometry.to_index(machine.geometry.origin_mm)))
    both = in_both(mine.cells.moved((z, y, x)), drawn.cells)
    shared = in_one_place(mine.points_mm, drawn.points_mm, both)
    there = nearest_mm(mine.points_mm, drawn.points_mm, shared[0])
    back = nearest_mm(drawn.points_mm, mine.points_mm, shared[1])
    return SurfaceDistances(there, mine.areas_mm2, back, drawn.areas_mm2)


def surface(mask: Mask) -> Surface:
    """The elements of a mask's surface. What lies beyond the grid is outside, so that a mask that reaches its edge is closed there.

    Raises InputError for an empty mask.
    """
    if (box := extent(mask.inside)) is None:
        raise InputError("An empty mask has no surface")
    codes = neighbour_codes(np.pad(mask.inside[box], 1))
    there = (codes != EMPTY) & (codes != FULL)
    at = np.flatnonzero(there)
    z, y, x = np.unravel_index(at, there.shape)
    heights, middles = layers(mask.geometry, box[0])
    dx, dy, _ = mask.geometry.spacing_mm
    local = np.stack([(x + (box[2].start - 0.5)) * dx, (y + (box[1].start - 0.5)) * dy, middles[z]], axis=1)
    kinds, layer = np.unique(heights, return_inverse=True)
    areas = np.stack([cell_areas_mm2((dx, dy, height)) for height in kinds])
    cells = Cells((there,), ((box[0].start, box[1].start, box[2].start),))
    return Surface(local @ mask.geometry.matrix.T + mask.geometry.origin_mm, areas[layer[z], codes.ravel()[at]], cells)


def extent(inside: npt.NDArray[np.bool_]) -> Box | None:
    """The smallest box, in slices z y x, that holds all that is inside; None where nothing is."""
    found: list[slice] = []
    part = inside
    for axis in range(3):
        rest = tuple(other for other in range(3) if other != axis)
        there = np.flatnonzero(part.any(axis=rest))
        if not there.size:
            return None
        found.append(slice(int(there[0]), int(there[-1]) + 1))
        part = part[(slice(None),) * axis + (found[-1],)]
    return found[0], found[1], found[2]


def close_up(mask: Mask) -> Mask:
    """The mask on the part of its grid that holds it, with a voxel about it where the grid has one: every number of it is the same.

    Of an empty mask, one voxel.
    """
    if (box := extent(mask.inside)) is None:
        return mask.crop((0, 0, 0), (1, 1, 1))
    start = [max(0, part.start - 1) for part in box[::-1]]
    stop = [min(n, part.stop + 1) for part, n in zip(box[::-1], mask.geometry.size, strict=True)]
    return mask.crop(start, [last - first for first, last in zip(start, stop, strict=True)])


def require_tolerance(tolerance_mm: float) -> None:
    """Refuse a tolerance that is no distance."""
    if not (np.isfinite(tolerance_mm) and tolerance_mm >= 0):
        raise InputError("A tolerance is a distance", expected="0 mm or more", found=tolerance_mm)


def layers(geometry: Geometry, along_z: slice) -> tuple[Floats, Floats]:
    """The heights and middles, along the slice normal, of the layers of cells from below the first slice to above the last one.

    Beyond the ends of the grid slices are as far apart as the last two (a single slice: as its thickness).
    """
    z = geometry.offsets_mm
    first, last = (z[1] - z[0], z[-1] - z[-2]) if len(z) > 1 else (geometry.spacing_mm[2], geometry.spacing_mm[2])
    z = np.r_[z[0] - first, z, z[-1] + last][along_z.start : along_z.stop + 2]
    return np.diff(z), (z[:-1] + z[1:]) / 2


def _within(distances: Floats, areas: Floats, share: float) -> float:
    """The smallest distance within which that share of the area lies."""
    apart = distances > 0
    far, weights = distances[apart], areas[apart]
    order = np.argsort(far)
    reached = np.r_[0.0, np.cumsum(weights[order])] + areas[~apart].sum()  # what lies at distance 0 needs no order
    at = int(np.searchsorted(reached, (share - ROUNDING) * reached[-1]))
    return 0.0 if at == 0 else float(far[order[at - 1]])
