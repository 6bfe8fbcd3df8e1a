"""The lesions of two masks brought together, whatever grids of one frame of reference they lie on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from rt4d.agreement.frames import one_frame
from rt4d.agreement.lesions import Lesion, lesions_in, lesions_of
from rt4d.agreement.matching import Matching, Rule, match
from rt4d.agreement.overlap import finer_grid, sampled, whole_voxels_between
from rt4d.agreement.surfaces import close_up
from rt4d.agreement.turning import turned
from rt4d.candidate_files import ScoredMask
from rt4d.geometry import Geometry
from rt4d.volumes import Mask


def match_masks(machine: Mask, physician: Mask, *, rule: Rule) -> Matching:
    """The pieces of both masks as lesions, matched by the rule; either mask, or both, may be empty.

    Pieces, their sizes and centroids are those of each mask's own grid. What they share is counted in voxels where the grids have the same ones
    (a crop is no hindrance), else on a grid finer than either. Refused as `compare` refuses: other frames of reference.
    """
    one_frame(machine.geometry, physician.geometry)
    mine, drawn = turned(close_up(machine), physician.geometry), close_up(physician)
    return _brought_together(lesions_in(mine), lesions_in(drawn), mine.geometry, drawn.geometry, rule=rule)


def match_candidates(candidates: Sequence[ScoredMask], physician: Mask, *, rule: Rule) -> Matching:
    """A segmenter's candidates, all of them with their scores, and the pieces of a physician's mask, matched as `match_masks` does."""
    if not candidates:
        return match((), lesions_in(close_up(physician)), rule=rule)
    one_frame(candidates[0].mask.geometry, physician.geometry)
    boxes = [one.mask.box() for one in candidates]
    first = np.min([start for start, _ in boxes], axis=0)
    size = np.max([np.add(start, n) for start, n in boxes], axis=0) - first
    masks = [turned(one.mask.crop(first, size), physician.geometry) for one in candidates]
    drawn = close_up(physician)
    found = lesions_of(masks, scores=[one.score for one in candidates])
    return _brought_together(found, lesions_in(drawn), masks[0].geometry, drawn.geometry, rule=rule)


def _brought_together(found: Sequence[Lesion], known: Sequence[Lesion], mine: Geometry, drawn: Geometry, *, rule: Rule) -> Matching:
    """The lesions of two grids, matched on one."""
    if not found or not known:
        return match(found, known, rule=rule)
    shift = whole_voxels_between(mine, drawn)
    if shift is not None:
        grid, start = _hull(drawn, shift, mine.size)
        return match(_placed(found, np.subtract(shift, start), grid), _placed(known, -start, grid), rule=rule)
    fine = finer_grid(mine, drawn)
    return match(tuple(_sampled(found, fine)), tuple(_sampled(known, fine)), rule=rule)


def _hull(drawn: Geometry, shift: Sequence[int], size: Sequence[int]) -> tuple[Geometry, np.ndarray[tuple[int], np.dtype[np.int_]]]:
    """The physician's grid continued to hold the machine's, which begins at index `shift`; and at which of its indices that begins."""
    start = np.minimum(shift, 0)
    x, y, z = (int(n) for n in np.maximum(np.add(shift, size), drawn.size) - start)
    offsets = None
    if not drawn.is_even:
        along = drawn.to_patient(np.array([[0, 0, start[2] + k] for k in range(z)])) @ drawn.normal
        offsets = tuple(along - along[0])
    left, front, below = drawn.to_patient(start)
    return replace(drawn, size=(x, y, z), origin_mm=(left, front, below), slice_offsets_mm=offsets), start


def _placed(lesions: Sequence[Lesion], by: np.ndarray[tuple[int], np.dtype[np.int_]], grid: Geometry) -> tuple[Lesion, ...]:
    """The same lesions on a grid that begins so many voxels before theirs."""
    x, y, z = (int(n) for n in by)
    return tuple(replace(one, start=(one.start[0] + x, one.start[1] + y, one.start[2] + z), geometry=grid) for one in lesions)


def _sampled(lesions: Sequence[Lesion], fine: Geometry) -> Iterator[Lesion]:
    """The lesions, as large as they are, with their voxels on the finer grid."""
    for one in lesions:
        box, inside = sampled(one.part, fine)
        start = box[2].start, box[1].start, box[0].start
        yield replace(one, part=Mask(inside, fine.crop(start, inside.shape[::-1])), start=start, geometry=fine)
