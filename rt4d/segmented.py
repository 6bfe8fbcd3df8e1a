"""What the segmenter finds on the reference phase, as targets of the main job: the surest candidate, those asked for, or the one at a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rt4d.drawn import DrawnTarget
from rt4d.geometry import Triple
from rt4d.phases import FourDCT
from rt4d.rois import Progress
from rt4d.segmentation.segmenting import Segmentation, segment

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
