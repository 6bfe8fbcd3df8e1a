"""Where machine and physician disagree, per patient: in voxels, in cm³ and as a fraction; and when voxels may be compared between patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rt4d import geometry as grids
from rt4d.errors import InputError
from rt4d.geometry import Floats
from rt4d.volumes import Mask

SAME_SIZE = 1e-3
"""Voxels are of one size where no two of them differ by more than this part."""


@dataclass(frozen=True, slots=True)
class Discordance:
    """Of one patient: the voxels that only the machine drew (false positive) and those that only the physician did (false negative).

    The fractions are of the machine's and of the physician's volume; None where that is empty.
    """

    false_positive_voxels: int
    false_negative_voxels: int
    false_positive_cm3: float
    false_negative_cm3: float
    false_positive_fraction: float | None
    false_negative_fraction: float | None
    voxel_volume_mm3: float


def discordance(machine: Mask, physician: Mask) -> Discordance:
    """The voxels that only one of two masks holds. Refused on different grids: the count depends on the grid, which must be the physician's."""
    grids.require(machine.geometry, physician.geometry, what="False-positive voxels are counted on the physician's grid")
    only_machine, only_physician = machine - physician, physician - machine
    return Discordance(
        false_positive_voxels=int(np.count_nonzero(only_machine.inside)),
        false_negative_voxels=int(np.count_nonzero(only_physician.inside)),
        false_positive_cm3=only_machine.volume_cm3,
        false_negative_cm3=only_physician.volume_cm3,
        false_positive_fraction=None if machine.is_empty else only_machine.volume_cm3 / machine.volume_cm3,
        false_negative_fraction=None if physician.is_empty else only_physician.volume_cm3 / physician.volume_cm3,
        voxel_volume_mm3=physician.geometry.voxel_volume_mm3,
    )


def one_voxel_volume_mm3(voxel_volumes_mm3: Floats) -> float | None:
    """The size of the voxels of a cohort, where it is one; None where patients' voxels differ, so that their numbers are no measure in common."""
    smallest, largest = require_voxel_volumes(voxel_volumes_mm3)
    return float(np.median(voxel_volumes_mm3)) if largest - smallest <= SAME_SIZE * largest else None


def require_voxel_volumes(voxel_volumes_mm3: Floats) -> tuple[float, float]:
    """The smallest and the largest; refused where one of them can be no volume."""
    smallest, largest = float(voxel_volumes_mm3.min()), float(voxel_volumes_mm3.max())
    if not smallest > 0:
        raise InputError("The volume of a voxel must be positive", expected="mm³ > 0", found=f"{smallest:g}")
    return smallest, largest


def voxels_in_cm3(voxels: Floats, voxel_volumes_mm3: Floats) -> Floats:
    """Numbers of voxels as volumes, each with the size of its own patient's voxels."""
    require_voxel_volumes(voxel_volumes_mm3)
    return np.asarray(voxels * voxel_volumes_mm3 / 1000, dtype=float)
