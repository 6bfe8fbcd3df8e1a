"""How well two contours agree: the machine's and a physician's, two physicians', two machines'."""

from __future__ import annotations

from rt4d import geometry as grids
from rt4d.agreement.comparing import Comparison, compare
from rt4d.agreement.path_length import AddedPath, added_path
from rt4d.agreement.places import Places, locate
from rt4d.agreement.surfaces import Surface, SurfaceDistances, surface, surface_distances
from rt4d.errors import InputError
from rt4d.volumes import Mask

__all__ = [
    "AddedPath",
    "Comparison",
    "Places",
    "Surface",
    "SurfaceDistances",
    "added_path",
    "compare",
    "dice",
    "locate",
    "mean_surface_distance_mm",
    "surface",
    "surface_distances",
]


def dice(mask: Mask, other: Mask) -> float:
    """Twice the common volume over the sum of both (Dice 1945); 1 means the same. Refused on different grids and where both are empty."""
    common = (mask & other).volume_cm3
    if (total := mask.volume_cm3 + other.volume_cm3) == 0:
        raise InputError("The Dice coefficient of two empty masks is undefined")
    return 2 * common / total


def mean_surface_distance_mm(mask: Mask, other: Mask) -> float:
    """The mean, over the area of both surfaces, of the distance to the nearest element of the other one (symmetric).

    Refused on different grids and where either mask is empty.
    """
    grids.require(mask.geometry, other.geometry, what="Surfaces are compared on one grid")
    return surface_distances(mask, other).mean_mm
