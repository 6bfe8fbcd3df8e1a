"""Whether two phases are the same images: noise never repeats itself."""

from __future__ import annotations

import numpy as np

from rt4d.motion.motion import Motion
from rt4d.motion.quality.check import Check, at_most
from rt4d.motion.quality.surroundings import Surroundings
from rt4d.phases import FourDCT


def duplicate_check(motion: Motion, ct: FourDCT, near: Surroundings) -> Check | None:
    """The highest correlation of the raw voxels of any two phases around the target, drawn ones too; None where no other phase counts.

    It stands at the second of the two, at the first where the second is the reference.
    """
    labels = [label for label in motion.labels if label == motion.reference_label or label in motion.looked_at]
    if len(labels) < 2:
        return None
    raw = np.stack([near.sampled(ct[label].volume)[near.around] for label in labels]).astype(np.float64)
    raw -= raw.mean(axis=1, keepdims=True)
    raw /= np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-9)
    likeness = np.triu(raw @ raw.T, 1)
    i, j = np.unravel_index(int(likeness.argmax()), likeness.shape)
    one, other = labels[int(i)], labels[int(j)]
    at = one if other == motion.reference_label else other
    words = f"phases {one} and {other} are most alike of all: correlation of their voxels around the target {{:.5f}}"
    return at_most(at, "duplicated_phase", float(likeness[i, j]), motion.recipe.target_limits.duplicated_phase, words)
