"""What two masks have in common, and what only one of them holds: counted on one grid, measured finer than a voxel on two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rt4d.agreement.frames import EVERY_CORNER, outer_corners_mm
from rt4d.agreement.surfaces import Box
from rt4d.errors import GeometryError
from rt4d.geometry import POSITION_TOLERANCE_MM, Floats, Geometry
from rt4d.resampling import level_that_keeps_volume, sampled_distance_mm
from rt4d.volumes import Mask

ROUNDING_MM3 = 1e-3
"""Sums over slices in another order differ by as much; a voxel is larger."""
MOST_POINTS = 6e6
"""So many points at most measure the overlap between two grids, for either mask; of larger ones they lie farther apart."""
HALVINGS = 14
"""Of a voxel, until its surface keeps the volume: to some 0.1 µm."""

Slices = tuple[slice, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """What two masks have in common, and the masks as they were compared.

    common_mm3, machine_mm3, physician_mm3: the common volume and both volumes, measured in the same way. compared: both masks as their
    surfaces are to be compared. machine, physician: both on the part of the physician's grid, `box`, that holds both.
    """

    common_mm3: float
    machine_mm3: float
    physician_mm3: float
    compared: tuple[Mask, Mask]
    box: Box
    machine: Mask
    physician: Mask
    notes: tuple[str, ...]

    @property
    def dice(self) -> float | None:
        """Twice the common volume over the sum of both (Dice 1945); None where both are empty."""
        both = self.machine_mm3 + self.physician_mm3
        return None if both == 0 else 2 * self.common_mm3 / both

    @property
    def jaccard(self) -> float | None:
        """The common volume over that of either (Jaccard 1912); None where both are empty."""
        either = self.machine_mm3 + self.physician_mm3 - self.common_mm3
        return None if either == 0 else self.common_mm3 / either


def overlap(machine: Mask, physician: Mask, *, on: Geometry) -> Overlap:
    """The overlap of two masks of one frame of reference, of which `on` is the grid that the physician drew on.

    Either mask may be a crop of its grid. Voxels are counted where the grids have the same ones. Else both regions, as signed
    distances with each one's volume kept, are laid onto one grid as fine as the finest spacing of either.
    """
    shift = whole_voxels_between(machine.geometry, on)
    drawn_shift = whole_voxels_between(physician.geometry, on)
    if drawn_shift is None:
        raise GeometryError("The physician's contour does not lie on the grid that it is said to", found=physician.geometry.differences(on))
    drawn_place = _place(physician, drawn_shift)
    if shift is None:
        return _measured(machine, physician, on, drawn_place)
    return _counted(machine, physician, on, _place(machine, shift), drawn_place)


def whole_voxels_between(machine: Geometry, physician: Geometry) -> tuple[int, int, int] | None:
    """By how many voxels (x y z) the first grid begins later than the other one; None where they do not have the same voxels."""
    mine = machine.to_patient(EVERY_CORNER * (np.array(machine.size) - 1))
    start = np.round(physician.to_index(mine[0])).astype(int)
    known = 3 if machine.is_even and physician.is_even else 2
    if not np.allclose(machine.spacing_mm[:known], physician.spacing_mm[:known], rtol=0, atol=POSITION_TOLERANCE_MM):
        return None
    along = np.zeros((machine.size[2], 3))
    along[:, 2] = np.arange(machine.size[2])
    for index in (EVERY_CORNER * (np.array(machine.size) - 1), along):
        if np.abs(machine.to_patient(index) - physician.to_patient(index + start)).max() > POSITION_TOLERANCE_MM:
            return None
    return int(start[0]), int(start[1]), int(start[2])


def _place(mask: Mask, shift: tuple[int, int, int]) -> Slices:
    """The voxels of the physician's grid, and beyond it, that the mask's array covers."""
    return tuple(slice(by, by + n) for by, n in zip(shift[::-1], mask.inside.shape, strict=True))


def _counted(machine: Mask, physician: Mask, grid: Geometry, place: Slices, drawn_place: Slices) -> Overlap:
    """By counting voxels, each with the volume that it has on the physician's grid."""
    box = _hull(_clipped(place, grid), drawn_place)
    there, drawn = _moved(machine.inside, place, box), _moved(physician.inside, drawn_place, box)
    of_layer = grid.slice_volumes_mm3
    layers = np.clip(np.arange(place[0].start, place[0].stop), 0, grid.size[2] - 1)
    volume_mm3 = _weighed(machine.inside, of_layer[layers])
    common, found, known = (_weighed(each, of_layer[box[0]]) for each in (there & drawn, there, drawn))
    masks = _on(grid, box, there), _on(grid, box, drawn)
    return Overlap(common, volume_mm3, known, (machine, physician), box, *masks, _beyond(volume_mm3 - found))


def _weighed(inside: npt.NDArray[np.bool_], of_layer: Floats) -> float:
    return float((np.count_nonzero(inside, axis=(1, 2)) * of_layer).sum())


def _moved(inside: npt.NDArray[np.bool_], place: Slices, box: Slices) -> npt.NDArray[np.bool_]:
    """The array that covers `place`, as far as it lies in the box, as an array that covers the box."""
    there = np.zeros([each.stop - each.start for each in box], dtype=bool)
    both = _common(place, box)
    there[_from(box, both)] = inside[_from(place, both)]
    return there


def _on(grid: Geometry, box: Slices, inside: npt.NDArray[np.bool_]) -> Mask:
    return Mask(inside, grid.crop([each.start for each in box[::-1]], inside.shape[::-1]))


def _clipped(box: Slices, grid: Geometry) -> Slices | None:
    """What of a box lies on the grid."""
    found = tuple(slice(max(0, each.start), min(n, each.stop)) for each, n in zip(box, grid.shape, strict=True))
    return found if all(each.start < each.stop for each in found) else None


def _hull(*boxes: Slices | None) -> Box:
    """The smallest box that holds all of them."""
    there = [box for box in boxes if box is not None]
    z, y, x = (slice(min(each.start for each in along), max(each.stop for each in along)) for along in zip(*there, strict=True))
    return z, y, x


def _common(box: Slices, other: Slices) -> Slices:
    """What two boxes have in common; an empty one where they are apart."""
    starts = [max(a.start, b.start) for a, b in zip(box, other, strict=True)]
    return tuple(slice(low, max(low, min(a.stop, b.stop))) for low, a, b in zip(starts, box, other, strict=True))


def _from(box: Slices, part: Slices) -> Slices:
    """The part as slices of an array that holds the box."""
    return tuple(slice(p.start - b.start, p.stop - b.start) for b, p in zip(box, part, strict=True))


def _beyond(mm3: float) -> tuple[str, ...]:
    if mm3 < ROUNDING_MM3:
        return ()
    return (f"{mm3 / 1000:.2f} cm³ of the machine's contour lie beyond the physician's grid: counted in its volume, no false-positive voxels",)


def _measured(machine: Mask, physician: Mask, grid: Geometry, drawn_place: Slices) -> Overlap:
    """By signed distances on a grid that is finer than either."""
    box, there, beyond = _laid_onto(machine, grid, drawn_place)
    masks = _on(grid, box, there), _on(grid, box, _moved(physician.inside, drawn_place, box))
    if machine.is_empty or physician.is_empty:
        return Overlap(0.0, 1000 * machine.volume_cm3, 1000 * physician.volume_cm3, (machine, physician), box, *masks, beyond)
    fine = finer_grid(machine.geometry, physician.geometry)
    mine, drawn = _depth(machine, fine), _depth(physician, fine)
    both = _common(mine.box, drawn.box)
    shared = np.minimum(mine.mm[_from(mine.box, both)], drawn.mm[_from(drawn.box, both)])
    volumes_mm3 = [_held_mm3(each, fine) for each in (shared, mine.mm, drawn.mm)]
    compared = _on(fine, mine.box, mine.mm > 0), _on(fine, drawn.box, drawn.mm > 0)
    said = f"The contours lie on different grids: overlap and surfaces are compared on a common one of {fine.spacing_mm[0]:.2g} mm"
    return Overlap(volumes_mm3[0], volumes_mm3[1], volumes_mm3[2], compared, box, *masks, (said, *beyond))


def finer_grid(machine: Geometry, physician: Geometry) -> Geometry:
    """A grid over both in the physician's axes: the finest spacing of either in all directions, or what MOST_POINTS allow."""
    grid = physician
    ends = [_ends(each, grid) for each in (machine, physician)]
    step = np.full(3, min(*machine.spacing_mm, *grid.spacing_mm))
    step *= max(1.0, *(float(np.prod((high - low) / step + 1) / MOST_POINTS) ** (1 / 3) for low, high in ends))
    low, high = np.min([low for low, _ in ends], axis=0), np.max([high for _, high in ends], axis=0)
    x, y, z = (int(n) + 2 for n in np.ceil((high - low) / step))
    left, front, below = grid.matrix @ (low - step / 2) + grid.origin_mm
    return Geometry((x, y, z), (step[0], step[1], step[2]), (left, front, below), grid.direction, grid.frame_of_reference)


def _ends(crop: Geometry, grid: Geometry) -> tuple[Floats, Floats]:
    """The lowest and highest places, in mm along the axes of the grid from its origin, that the crop's voxels reach."""
    local = (outer_corners_mm(crop) - grid.origin_mm) @ grid.matrix
    return local.min(axis=0), local.max(axis=0)


def sampled(mask: Mask, fine: Geometry) -> tuple[Slices, npt.NDArray[np.bool_]]:
    """The part of the fine grid that holds the mask, and which of its points lie inside."""
    found = _depth(mask, fine)
    return found.box, found.mm > 0


@dataclass(frozen=True, slots=True, eq=False)
class _Depth:
    """How deep points of the part `box` of a grid lie inside a mask, shape z y x; as signed distances go, twice that near its surface."""

    box: Slices
    mm: npt.NDArray[np.float32]


def _depth(mask: Mask, fine: Geometry) -> _Depth:
    """Measured from a surface that is moved, by half a voxel at most, so that the volume is kept; above 0 at one point at least."""
    box, _, distance = sampled_distance_mm(mask, fine)
    reach_mm = max(mask.geometry.spacing_mm) / 2
    near = distance[np.abs(distance) < reach_mm + fine.spacing_mm[0]]
    deep_mm3 = float(np.count_nonzero(distance <= -reach_mm - fine.spacing_mm[0]) * fine.voxel_volume_mm3)
    low, high = -reach_mm, reach_mm
    for _ in range(HALVINGS):
        level = (low + high) / 2
        held = deep_mm3 + _held_mm3(level - near, fine)
        low, high = (level, high) if held < 1000 * mask.volume_cm3 else (low, level)
    return _Depth(box, max((low + high) / 2, float(np.nextafter(distance.min(), np.float32(np.inf)))) - distance)


def _held_mm3(depth: npt.NDArray[np.float32], fine: Geometry) -> float:
    """The volume, voxels through which the surface runs counted by their share: else regions would snap to the grid, by up to half a voxel."""
    return float(np.clip(0.5 + depth / (2 * fine.spacing_mm[0]), 0, 1).sum(dtype=float) * fine.voxel_volume_mm3)


def _laid_onto(machine: Mask, grid: Geometry, drawn_place: Slices) -> tuple[Box, npt.NDArray[np.bool_], tuple[str, ...]]:
    """The machine's region on the part of the physician's grid that holds both: its volume kept, or cut where the grid ends, which is said."""
    if machine.is_empty:
        box = _hull(drawn_place)
        return box, np.zeros([each.stop - each.start for each in box], dtype=bool), ()
    place, target, distance = sampled_distance_mm(machine, grid)
    outside = ~grid.contains(machine.points_mm)
    volume_mm3, level = 1000 * machine.volume_cm3, 0.0
    if not outside.any():
        level = level_that_keeps_volume(distance, target, volume_mm3, reach_mm=min(machine.geometry.spacing_mm) / 2)
    box = _hull(place, drawn_place)
    return box, _moved(distance < level, place, box), _beyond(volume_mm3 * float(np.count_nonzero(outside) / outside.size))
