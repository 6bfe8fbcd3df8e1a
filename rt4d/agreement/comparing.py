"""`compare`: a machine's contour against a physician's, every number from one overlap and one pair of surfaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rt4d.agreement.frames import one_frame
from rt4d.agreement.overlap import overlap
from rt4d.agreement.path_length import added_path
from rt4d.agreement.surfaces import Box, SurfaceDistances, close_up, require_tolerance, surface_distances
from rt4d.agreement.turning import turned
from rt4d.agreement.voxel_faces import face_distances
from rt4d.errors import InputError
from rt4d.geometry import Geometry, Triple
from rt4d.volumes import Mask


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """How a machine's contour agrees with a physician's. What is undefined, because a contour is empty, is None.

    machine, physician: their labels. dice, jaccard: 0 where one is empty, None where both are. surface, and faces, from which the mean
    distances come: None where either is.
    centroid_shift_mm: from the physician's to the machine's centroid, LPS x y z. added_path_mm: how much contour is to be drawn anew,
    slices_to_edit: on how many slices anything is to be changed, slice_count: how many have a physician's contour (all by tolerance_mm).
    false_positive: what the machine alone holds, on the physician's grid; false_negative: what the physician alone holds.
    """

    machine: str
    physician: str
    tolerance_mm: float
    volume_machine_cm3: float
    volume_physician_cm3: float
    dice: float | None
    jaccard: float | None
    surface: SurfaceDistances | None
    faces: SurfaceDistances | None
    centroid_shift_mm: Triple | None
    added_path_mm: float
    slices_to_edit: int
    slice_count: int
    false_positive: Mask
    false_negative: Mask
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_tolerance(self.tolerance_mm)
        if (self.dice is None) != (self.volume_machine_cm3 == self.volume_physician_cm3 == 0):
            raise InputError("The Dice coefficient is undefined where both contours are empty, and only there", found=self.dice)
        if (self.surface is None) != (0 in (self.volume_machine_cm3, self.volume_physician_cm3)):
            raise InputError("There are surface distances where neither contour is empty, and only there")

    @property
    def surface_dice(self) -> float | None:
        """The surface DSC at the comparison's tolerance; 0 where one contour is empty, None where both are."""
        return self.surface_dice_at(self.tolerance_mm)

    def surface_dice_at(self, tolerance_mm: float) -> float | None:
        """The surface DSC at any tolerance; 0 where one contour is empty, None where both are."""
        require_tolerance(tolerance_mm)
        if self.surface is None:
            return None if self.dice is None else 0.0
        return self.surface.surface_dice(tolerance_mm)

    @property
    def hausdorff_mm(self) -> float | None:
        """The greatest distance of either surface from the other one."""
        return None if self.surface is None else self.surface.hausdorff_mm()

    @property
    def hd95_mm(self) -> float | None:
        """The 95 % Hausdorff distance by area, as `SurfaceDistances.hausdorff_mm` defines it."""
        return None if self.surface is None else self.surface.hausdorff_mm(95)

    @property
    def mean_surface_distance_mm(self) -> float | None:
        """The mean distance over the area of both surfaces (symmetric), between voxel faces (see voxel_faces for why)."""
        return None if self.faces is None else self.faces.mean_mm

    @property
    def volume_difference_cm3(self) -> float:
        """The machine's volume less the physician's."""
        return self.volume_machine_cm3 - self.volume_physician_cm3

    @property
    def volume_difference_percent(self) -> float | None:
        """That difference, of the physician's volume; None where that is 0."""
        return None if self.volume_physician_cm3 == 0 else 100 * self.volume_difference_cm3 / self.volume_physician_cm3

    @property
    def volume_ratio(self) -> float | None:
        """The machine's volume over the physician's; None where that is 0."""
        return None if self.volume_physician_cm3 == 0 else self.volume_machine_cm3 / self.volume_physician_cm3

    @property
    def voxel_volume_mm3(self) -> float:
        """The volume of a voxel of the physician's grid, in which false positives and negatives are counted."""
        return self.false_positive.geometry.voxel_volume_mm3

    @property
    def false_positive_cm3(self) -> float:
        """The volume that the machine alone holds, on the physician's grid."""
        return self.false_positive.volume_cm3

    @property
    def false_positive_voxels(self) -> int:
        """The voxels of the physician's grid that the machine alone holds."""
        return int(np.count_nonzero(self.false_positive.inside))

    @property
    def false_negative_cm3(self) -> float:
        """The volume that the physician alone holds."""
        return self.false_negative.volume_cm3

    @property
    def false_negative_voxels(self) -> int:
        """The voxels that the physician alone holds."""
        return int(np.count_nonzero(self.false_negative.inside))

    def to_dict(self) -> dict[str, Any]:
        """What `rt4d compare --json` prints of the pair: numbers, and None where something is undefined."""
        faces = self.faces
        return {
            "machine": self.machine,
            "physician": self.physician,
            "dice": self.dice,
            "jaccard": self.jaccard,
            "surface_dice": self.surface_dice,
            "tolerance_mm": self.tolerance_mm,
            "hd95_mm": self.hd95_mm,
            "hausdorff_mm": self.hausdorff_mm,
            "mean_surface_distance_mm": self.mean_surface_distance_mm,
            "mean_machine_to_physician_mm": None if faces is None else faces.mean_machine_to_physician_mm,
            "mean_physician_to_machine_mm": None if faces is None else faces.mean_physician_to_machine_mm,
            "centroid_shift_mm": None if self.centroid_shift_mm is None else list(self.centroid_shift_mm),
            "volume_machine_cm3": self.volume_machine_cm3,
            "volume_physician_cm3": self.volume_physician_cm3,
            "volume_difference_cm3": self.volume_difference_cm3,
            "volume_difference_percent": self.volume_difference_percent,
            "false_positive_cm3": self.false_positive_cm3,
            "false_positive_voxels": self.false_positive_voxels,
            "false_negative_cm3": self.false_negative_cm3,
            "false_negative_voxels": self.false_negative_voxels,
            "voxel_volume_mm3": self.voxel_volume_mm3,
            "added_path_mm": self.added_path_mm,
            "slices_to_edit": self.slices_to_edit,
            "slice_count": self.slice_count,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        from rt4d.agreement.printing import as_text

        return as_text(self)


def compare(
    machine: Mask,
    physician: Mask,
    *,
    tolerance_mm: float = 2.0,
    machine_label: str = "machine",
    physician_label: str = "physician",
) -> Comparison:
    """How the machine's contour agrees with the physician's: overlap, surface distances, shift, path to be redrawn, what only one holds.

    The masks may lie on different grids of one frame of reference: each has its volume and centroid from its own grid, overlap and surfaces
    are compared finer than a voxel of either, and a note says so. A machine's contour that reaches beyond the physician's grid counts
    whole, and a note says so. Grids that name no frame of reference are taken on trust where they overlap in space, and a note says so.
    Either or both masks may be empty (see `Comparison`).
    Raises GeometryError for different frames of reference and for nameless grids apart, InputError for a tolerance that is no distance.
    """
    require_tolerance(tolerance_mm)
    on_trust = one_frame(machine.geometry, physician.geometry)
    mine, drawn = turned(close_up(machine), physician.geometry), close_up(physician)
    found = overlap(mine, drawn, on=physician.geometry)
    empty = mine.is_empty or drawn.is_empty
    path = added_path(found.machine, found.physician, tolerance_mm=tolerance_mm)
    return Comparison(
        machine=machine_label,
        physician=physician_label,
        tolerance_mm=float(tolerance_mm),
        volume_machine_cm3=mine.volume_cm3,
        volume_physician_cm3=drawn.volume_cm3,
        dice=found.dice,
        jaccard=found.jaccard,
        surface=None if empty else surface_distances(*found.compared),
        faces=None if empty else face_distances(*found.compared),
        centroid_shift_mm=None if empty else _shift(mine, drawn),
        added_path_mm=path.length_mm,
        slices_to_edit=path.slices_to_edit,
        slice_count=path.slice_count,
        false_positive=_on_whole(physician.geometry, found.box, found.machine - found.physician),
        false_negative=_on_whole(physician.geometry, found.box, found.physician - found.machine),
        notes=(*on_trust, *found.notes),
    )


def _on_whole(grid: Geometry, box: Box, part: Mask) -> Mask:
    inside = np.zeros(grid.shape, dtype=bool)
    inside[box] = part.inside
    return Mask(inside, grid)


def _shift(machine: Mask, physician: Mask) -> Triple:
    x, y, z = (float(a - b) for a, b in zip(machine.centroid_mm, physician.centroid_mm, strict=True))
    return x, y, z
