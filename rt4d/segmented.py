"""The segmenter in the main job: its candidates on the reference phase as targets, and what it draws on every phase, for comparison.

Targets are the surest candidate, those asked for, or the one at a point.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from rt4d import geometry as grids
from rt4d.agreement import dice
from rt4d.drawn import DrawnTarget
from rt4d.errors import InputError, NoLesionError
from rt4d.geometry import Triple
from rt4d.phases import CtImage, FourDCT
from rt4d.rois import Progress
from rt4d.segmentation.files import SPECK_CM3
from rt4d.segmentation.probabilities import TOUCHING
from rt4d.segmentation.segmenting import Segmentation, segment
from rt4d.volumes import Mask

NOT_FIRST = "another has the highest score (--keep takes any)"


def segmented_targets(
    ct: FourDCT,
    *,
    bundle: str | None = None,
    point_mm: Triple | None = None,
    keep: Sequence[int] = (),
    progress: Progress | None = None,
) -> tuple[Segmentation, list[DrawnTarget]]:
    """The segmentation of the reference phase, in which only what becomes a target is kept, and each of these as a target of its own.

    Raises InputError where nothing is found, saying how to go on, and as `segment` does.
    """
    found = segment(ct.reference, bundle=bundle, point_mm=point_mm, keep=keep, progress=progress)
    first = found.first
    if not keep:
        found = replace(found, candidates=tuple(one if one is first or not one.kept else replace(one, why_not=NOT_FIRST) for one in found.candidates))
    edge = "candidate {} reaches the edge of what was looked at: part of it may be missing"
    notes = (*found.notes, *(edge.format(one.number) for one in found.kept if one.at_edge))
    found = replace(found, notes=notes)
    source = f"segmented by {found.bundle} {found.bundle_sha256[:12]}"
    return found, [DrawnTarget(f"candidate {one.number}", {ct.reference_label: one.mask}, notes, source) for one in found.kept]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentedPhase:
    """What the segmenter drew on one phase, in numbers: its volume; against that phase's GTV the Dice coefficient and the centroids' distance."""

    volume_cm3: float
    dice: float
    centroid_distance_mm: float


def segmented_phases(
    ct: FourDCT, masks: Mapping[str, Mask], *, bundle: str | None = None, progress: Progress | None = None
) -> dict[str, Mask | None]:
    """What the segmenter draws on each phase by itself, asked deep within each piece of that phase's mask, united; None where it finds nothing.

    A piece that lies in what was found for another one is not asked about, nor is a speck below 0.05 cm³ unless there is nothing larger.
    masks: by label, on the 4D-CT's grid, as `motion.carry` gives them: whoever drew what was carried, this is an independent look at where it
    went. Raises NotFoundError for a phase that is not there, GeometryError for another grid, InputError for an empty mask.
    """
    found: dict[str, Mask | None] = {}
    for label, mask in masks.items():
        if progress is not None:
            progress("segmenting phases", len(found), len(masks))
        grids.require(ct[label].geometry, mask.geometry, what=f"The mask of phase {label} lies on another grid than the phase")
        found[label] = _segmented(ct[label], mask, bundle=bundle)
    if progress is not None:
        progress("segmenting phases", len(found), len(masks))
    return found


def _segmented(phase: CtImage, mask: Mask, *, bundle: str | None) -> Mask | None:
    united: Mask | None = None
    for z, y, x in _deepest(mask):
        if united is not None and united.inside[z, y, x]:
            continue
        px, py, pz = mask.geometry.to_patient((x, y, z)).tolist()
        try:
            one = segment(phase, bundle=bundle, point_mm=(px, py, pz)).primary
        except NoLesionError:
            continue
        united = one if united is None else united | one
    return united


def _deepest(mask: Mask) -> list[tuple[int, int, int]]:
    """For each connected piece of a mask, the largest first, the index (z y x) of a voxel that lies deepest in it."""
    if mask.is_empty:
        raise InputError("An empty mask has no piece to ask about")
    part = mask.crop(*mask.box())
    first = np.round(mask.geometry.to_index(part.geometry.origin_mm)).astype(int)[::-1]
    pieces, count = ndimage.label(np.pad(part.inside, 1), structure=TOUCHING)
    depth = ndimage.distance_transform_edt(pieces > 0, sampling=mask.geometry.spacing_mm[::-1])
    places = np.array(ndimage.maximum_position(depth, pieces, range(1, count + 1))) - 1 + first
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    least = min(SPECK_CM3 * 1000 / mask.geometry.voxel_volume_mm3, sizes.max())
    return [(int(z), int(y), int(x)) for n in np.argsort(-sizes, kind="stable") if sizes[n] >= least for z, y, x in [places[n]]]


def phase_agreement(masks: Mapping[str, Mask], segmented: Mapping[str, Mask | None]) -> dict[str, SegmentedPhase | None]:
    """What `segmented_phases` gave against the masks that it was asked about, phase by phase; None where nothing was found."""
    return {label: None if one is None else _against(masks[label], one) for label, one in segmented.items()}


def _against(mask: Mask, one: Mask) -> SegmentedPhase:
    apart = math.dist(mask.centroid_mm, one.centroid_mm)
    return SegmentedPhase(volume_cm3=one.volume_cm3, dice=dice(mask, one), centroid_distance_mm=apart)
