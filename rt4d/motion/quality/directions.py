"""Whether a phase registered with the reference says the same as the reference registered with the phase."""

from __future__ import annotations

import numpy as np

from rt4d.motion.motion import Motion
from rt4d.motion.quality.check import Check, limited, nothing_to_measure
from rt4d.motion.quality.surroundings import some
from rt4d.volumes import Mask

NAME = "both_directions_mm"


def direction_check(motion: Motion, label: str, mask: Mask) -> Check:
    """How far from themselves points of the target come out, there by one registration and back by the other: 95th percentile, in mm."""
    limit = motion.recipe.target_limits.both_directions_mm
    if label in motion.back_failed:
        return Check(label, NAME, None, limit, "fail", f"Phase {label}: could not be registered in the other direction: {motion.back_failed[label]}")
    if label not in motion.back:
        return nothing_to_measure(label, NAME, limit, "was not registered in the other direction")
    back, points = motion.back[label], some(mask.points_mm)
    there = motion.reference_to_phase(label, points)
    known = back.geometry.contains(there)
    if known.mean() < 0.5:
        return Check(label, NAME, None, limit, "fail", f"Phase {label}: most of the target lies outside what was registered in the other direction")
    off = np.linalg.norm(back.map(there[known]) - points[known], axis=-1)
    return limited(label, NAME, float(np.percentile(off, 95)), limit, "there and back, 95 % of the target come out within {:.2f} mm")
