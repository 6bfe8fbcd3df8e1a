"""How well two contours agree: the machine's and a physician's, two physicians', two machines'; over lesions, observers and cohorts."""

from __future__ import annotations

from rt4d import geometry as grids
from rt4d.agreement.comparing import Comparison, compare
from rt4d.agreement.consensus import Consensus, majority, staple
from rt4d.agreement.correlation import Intraclass, intraclass
from rt4d.agreement.detection import BY_AXIS, BY_VOLUME, Detection, Scan, Stratum, detection_in
from rt4d.agreement.froc_curve import Froc, froc
from rt4d.agreement.intervals import Proportion, bootstrap_interval, exact_interval
from rt4d.agreement.lesions import Lesion, lesions_in, lesions_of
from rt4d.agreement.limits_of_agreement import BlandAltman, bland_altman
from rt4d.agreement.mask_matching import match_candidates, match_masks
from rt4d.agreement.matching import Centroid, DiceAtLeast, IouAtLeast, Matching, Overlap, match
from rt4d.agreement.non_inferiority import against_physicians, intra_observer
from rt4d.agreement.observer_volumes import volume_agreement
from rt4d.agreement.observers import Observer, ObserverPairs, all_pairs, leave_one_out
from rt4d.agreement.paired import PairedComparison, compare_paired
from rt4d.agreement.path_length import AddedPath, added_path
from rt4d.agreement.places import Places, locate
from rt4d.agreement.surfaces import Surface, SurfaceDistances, surface, surface_distances
from rt4d.agreement.voxel_faces import face_distances
from rt4d.errors import InputError
from rt4d.volumes import Mask

__all__ = [
    "BY_AXIS",
    "BY_VOLUME",
    "AddedPath",
    "BlandAltman",
    "Centroid",
    "Comparison",
    "Consensus",
    "Detection",
    "DiceAtLeast",
    "Froc",
    "Intraclass",
    "IouAtLeast",
    "Lesion",
    "Matching",
    "Observer",
    "ObserverPairs",
    "Overlap",
    "PairedComparison",
    "Places",
    "Proportion",
    "Scan",
    "Stratum",
    "Surface",
    "SurfaceDistances",
    "added_path",
    "against_physicians",
    "all_pairs",
    "bland_altman",
    "bootstrap_interval",
    "compare",
    "compare_paired",
    "detection_in",
    "dice",
    "exact_interval",
    "face_distances",
    "froc",
    "intra_observer",
    "intraclass",
    "leave_one_out",
    "lesions_in",
    "lesions_of",
    "locate",
    "majority",
    "match",
    "match_candidates",
    "match_masks",
    "mean_surface_distance_mm",
    "staple",
    "surface",
    "surface_distances",
    "volume_agreement",
]


def dice(mask: Mask, other: Mask) -> float:
    """Twice the common volume over the sum of both (Dice 1945); 1 means the same. Refused on different grids and where both are empty."""
    common = (mask & other).volume_cm3
    if (total := mask.volume_cm3 + other.volume_cm3) == 0:
        raise InputError("The Dice coefficient of two empty masks is undefined")
    return 2 * common / total


def mean_surface_distance_mm(mask: Mask, other: Mask) -> float:
    """The mean over both surfaces of the distance to the nearest point of the other one (symmetric), between voxel faces.

    Refused on different grids and where either mask is empty.
    """
    grids.require(mask.geometry, other.geometry, what="Surfaces are compared on one grid")
    return face_distances(mask, other).mean_mm
