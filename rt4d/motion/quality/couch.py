"""Whether the patient lies where the reference phase has them: bones do not breathe.

A couch that moved between phases carries tumour, lung and spine along alike; every image then matches, and the tumour's motion is wrong by as
much. Only what should have stayed tells it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from rt4d.geometry import Floats, Geometry
from rt4d.motion.jobs import averaged, coarser
from rt4d.motion.motion import Motion
from rt4d.motion.processes import cores
from rt4d.motion.quality.check import Check, limited, nothing_to_measure
from rt4d.motion.quality.shift import vertex
from rt4d.motion.searching import correlations
from rt4d.phases import FourDCT
from rt4d.volumes import Volume

NAME = "bones_shift_mm"
REACH_MM = (30.0, 30.0, 45.0)
"""The largest shift along x y z that is looked for; one at this limit may be larger."""
COARSE_MM = (6.0, 6.0, 4.0)
"""Voxels are averaged to about this along x y z: ribs and vertebrae repeat along z, where more is needed to tell one from the next."""
BONE_HU = (150.0, 600.0)
"""Below is soft tissue, above metal and teeth say too much."""
ENOUGH_CM3 = 10.0
"""Of bone in a half: less is no skeleton to compare."""

Array = npt.NDArray[np.float32]


def bone_checks(motion: Motion, ct: FourDCT) -> Mapping[str, Check]:
    """How far the skeleton lies from where the reference phase has it, in mm, by phase that was registered or drawn.

    The upper and the lower half are looked for apart, and the larger shift counts: slices that stand further apart than they say, or a stack
    that was put together from two positions, leave one of them beside its place. A half where a phase has no bones at all fails.
    """
    limit = motion.recipe.target_limits.bones_shift_mm
    labels = motion.looked_at
    by = [max(1, round(coarse / spacing)) for coarse, spacing in zip(COARSE_MM, ct.geometry.spacing_mm, strict=True)]
    coarse = coarser(ct.geometry, by)
    reference = _bones(ct.reference.volume, by)
    parts = [part for part in _halves(reference.shape) if float(reference[part].sum()) * coarse.voxel_volume_mm3 > ENOUGH_CM3 * 1000]
    if not parts:
        return {label: nothing_to_measure(label, NAME, limit, "there is too little bone to tell whether the couch moved") for label in labels}

    def check(label: str) -> Check:
        phase = _bones(ct[label].volume, by)
        shifts = [ct.geometry.matrix @ skeleton_shift_mm(reference, phase, part, coarse) for part in parts]
        x, y, z = max(shifts, key=lambda shift: float(np.linalg.norm(shift)) if np.isfinite(shift).all() else np.inf)
        words = f"bones lie {{:.1f}} mm from where phase {motion.reference_label} has them (x {x:+.1f}, y {y:+.1f}, z {z:+.1f} mm)"
        return limited(label, NAME, float(np.linalg.norm((x, y, z))), limit, words)

    with ThreadPoolExecutor(cores()) as pool:
        return dict(zip(labels, pool.map(check, labels), strict=True))


def skeleton_shift_mm(reference: Array, phase: Array, where: npt.NDArray[np.bool_], geometry: Geometry) -> Floats:
    """The shift along the voxel axes x y z in mm at which the phase's bones lie most like the reference's within `where`; NaN where it has none."""
    reach = _reach(geometry)
    score = correlations(reference, phase, where, reach)
    if not np.isfinite(score).any():
        return np.full(3, np.nan)
    best = np.array(np.unravel_index(np.nanargmax(score), score.shape))
    return np.asarray((best - reach + [vertex(score, best, axis) for axis in range(3)]) * np.array(geometry.spacing_mm)[::-1])[::-1]


def _reach(geometry: Geometry) -> npt.NDArray[np.int_]:
    """How many voxels z y x a shift may have: REACH_MM, at most a quarter of the image."""
    voxels = np.floor(np.array(REACH_MM[::-1]) / np.array(geometry.spacing_mm)[::-1]).astype(int)
    return np.asarray(np.minimum(voxels, np.array(geometry.shape) // 4))


def _halves(shape: tuple[int, ...]) -> list[npt.NDArray[np.bool_]]:
    """The lower and the upper half of an image."""
    low = np.broadcast_to(np.arange(shape[0])[:, None, None] < shape[0] // 2, shape)
    return [low, ~low]


def _bones(volume: Volume, by: Sequence[int]) -> Array:
    """From 0 at soft tissue to 1 at dense bone, averaged to coarse voxels."""
    low, high = BONE_HU
    return averaged(((np.clip(volume.hu, low, high) - low) / (high - low)).astype(np.float32), by)
