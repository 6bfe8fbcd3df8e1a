"""The field itself around the target: folding, how it stretches lung and target, and whether points find their way back."""

from __future__ import annotations

import numpy as np

from rt4d.motion.motion import Motion
from rt4d.motion.quality.check import Check, at_least, at_most, limited, nothing_to_measure
from rt4d.motion.quality.surroundings import AROUND_MM, Array, Surroundings, look_up, some
from rt4d.motion.recipe import TargetLimits

ENOUGH_LUNG = 100
"""Sample points in lung, fewer of which have no 1st percentile."""


def deformation_checks(motion: Motion, label: str, near: Surroundings) -> list[Check]:
    """Folding, the Jacobian's percentiles in lung and target, the target's change of volume, and the way back by the field's own inverse."""
    limits = motion.recipe.target_limits
    field = motion.fields[label].crop(*motion.region.box_around(near.mask.points_mm, AROUND_MM))
    jacobian = field.jacobian()
    folded = 100 * float(np.mean(jacobian <= 0))
    points = some(near.mask.points_mm)
    inside = look_up(jacobian, field.geometry, points)
    lung = look_up(jacobian, field.geometry, near.points_mm[near.lung])
    moved = motion.reference_to_phase(label, points)
    residual = float(np.linalg.norm(motion.fields[label].inverse(moved)[0] - points, axis=-1).max())
    change = 100 * (float(inside.mean()) - 1)
    return [
        limited(label, "jacobian_nonpositive_percent", folded, limits.jacobian_nonpositive_percent, "{:.2f} % of the field there is folded"),
        *_percentiles(label, "gtv", inside, limits),
        *_percentiles(label, "lung", lung, limits),
        limited(label, "gtv_volume_change_percent", change, limits.gtv_volume_change_percent, "the target's volume changes by {:+.1f} %"),
        limited(label, "inverse_residual_mm", residual, limits.inverse_residual_mm, "points of the target come back within {:.2f} mm"),
    ]


def _percentiles(label: str, where: str, jacobian: Array, limits: TargetLimits) -> list[Check]:
    """The 1st and 99th percentile of volume in the phase per volume in the reference."""
    least, most = limits.jacobian_gtv if where == "gtv" else limits.jacobian_lung
    low, high = f"jacobian_{where}_p1", f"jacobian_{where}_p99"
    place = "the target" if where == "gtv" else "the lung around the target"
    if where == "lung" and len(jacobian) < ENOUGH_LUNG:
        return [nothing_to_measure(label, name, limit, "there is no lung around the target") for name, limit in ((low, least), (high, most))]
    p1, p99 = (float(v) for v in np.percentile(jacobian, [1, 99]))
    return [
        at_least(label, low, p1, least, f"1 % of {place} takes up less than {{:.2f}} of its volume"),
        at_most(label, high, p99, most, f"1 % of {place} takes up more than {{:.2f}} times its volume"),
    ]
