"""checks: every figure of every phase, in the order of the cycle."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rt4d.errors import InputError
from rt4d.motion.motion import VANISHED, Motion, PhaseMasks
from rt4d.motion.quality.check import Check, limited
from rt4d.motion.quality.couch import bone_checks
from rt4d.motion.quality.deformation import deformation_checks
from rt4d.motion.quality.directions import direction_check
from rt4d.motion.quality.duplicates import duplicate_check
from rt4d.motion.quality.likeness import correlation, gained, similar
from rt4d.motion.quality.order import order_checks
from rt4d.motion.quality.shift import remaining_shift_mm
from rt4d.motion.quality.surroundings import Surroundings, look_up, surroundings
from rt4d.motion.quality.vessels import Landmarks, landmarks, vessel_check
from rt4d.phases import FourDCT
from rt4d.volumes import Mask, Volume


def checks(motion: Motion, ct: FourDCT, mask: Mask, *, masks: Mapping[str, Mask] | None = None) -> tuple[Check, ...]:
    """The checks of every phase but the reference around `mask` (the target on the reference phase), in the order of the cycle.

    masks: the target as carried to each phase, where it is at hand already (`motion.carry(mask)`).
    A phase whose registration failed has the one check 'registration', with verdict 'fail'; one that was drawn has those of its images. Checks of
    the cycle as a whole stand at the phase that sticks out most, which may be the reference.
    """
    if mask.is_empty:
        raise InputError("An empty mask has no surroundings to check")
    near = surroundings(motion, ct.reference.volume, mask)
    points = landmarks(motion, ct.reference.volume, mask)
    carried = motion.carry(mask) if masks is None else masks
    drawn = carried.drawn if isinstance(carried, PhaseMasks) else frozenset[str]()
    found = {label: [] if label in drawn else _of_phase(motion, label, ct[label].volume, near, points, carried) for label in motion.labels}
    for check in (*bone_checks(motion, ct).values(), *order_checks(motion, mask, drawn=drawn), duplicate_check(motion, ct, near)):
        if check is not None:
            found[check.phase].append(check)
    return tuple(check for label in motion.labels for check in found[label])


def _of_phase(
    motion: Motion, label: str, phase: Volume, near: Surroundings, points: Landmarks, carried: Mapping[str, Mask]
) -> list[Check]:
    """What is checked phase by phase; nothing for the reference and for phases that were not to be registered."""
    why = motion.failed.get(label)
    if label in motion.fields and label not in carried:
        why = carried.failed.get(label) if isinstance(carried, PhaseMasks) else VANISHED.format("the target")
    if why is not None:
        return [Check(label, "registration", None, None, "fail", f"Phase {label} could not be registered and is left out: {why}")]
    if label not in motion.fields:
        return []
    images = _image_checks(motion, label, phase, near, carried[label])
    both_ways = [direction_check(motion, label, near.mask)]
    return [*deformation_checks(motion, label, near), *images, vessel_check(motion, label, phase, points), *both_ways]


def _image_checks(motion: Motion, label: str, phase: Volume, near: Surroundings, carried: Mask) -> list[Check]:
    """Similarity, the target's Hounsfield units, and the shift that remains, of the phase pulled back to the reference."""
    limits = motion.recipe.target_limits
    pulled = look_up(phase.hu, phase.geometry, motion.reference_to_phase(label, near.points_mm))
    before, after = (correlation(near.hu[near.around], image[near.around]) for image in (near.sampled(phase), pulled))
    change = float(phase.hu[carried.inside].mean()) - near.hu_inside
    shift = remaining_shift_mm(near.hu, pulled, near.edge, near.geometry)
    length = float(np.linalg.norm(shift))
    x, y, z = near.geometry.matrix @ shift
    where = f" (x {x:+.1f}, y {y:+.1f}, z {z:+.1f} mm)"
    return [
        similar(label, before, after, limits.similarity),
        gained(label, before, after, limits.similarity_gain),
        limited(label, "gtv_mean_hu_change", change, limits.gtv_mean_hu_change + near.rim_hu, "the mean inside the target changes by {:+.0f} HU"),
        limited(label, "residual_shift_mm", length, limits.residual_shift_mm, "a shift of {:.1f} mm would still match the target better" + where),
    ]
