"""The generated thorax's airways and vessels, and the strands of a spiculated tumour."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rt4d.geometry import Floats
from rt4d.phantom import cavity, thorax
from rt4d.phantom.tubes import Tubes, grow, tubes
from rt4d.phantom.tumours import Tumour

LUNG_BOXES = {
    "right": (np.array([-135.0, -90.0, -128.0]), np.array([-12.0, 90.0, 132.0])),
    "left": (np.array([12.0, -90.0, -128.0]), np.array([135.0, 90.0, 132.0])),
}
HILA = {"right": (-36.0, 10.0, 6.0), "left": (36.0, 12.0, 8.0)}


def _deep_in_lung(points: Floats) -> npt.NDArray[np.bool_]:
    x, y, z = points.T
    return np.asarray(thorax.lungs_mm(x, y, z) < -5)


def _deep_in_liver(points: Floats) -> npt.NDArray[np.bool_]:
    x, y, z = points.T
    return np.asarray((thorax.diaphragm_mm(x, y, z) > 9) & (cavity.locate(x, y, z).outside_mm < -9) & (x < 20))


def vessels(seed: int) -> Tubes:
    """Pulmonary arteries and veins: two trees in each lung, some six hundred branches."""
    trees = []
    for number, (side, box) in enumerate(LUNG_BOXES.items()):
        x, y, z = HILA[side]
        trees.append(grow((x, y, z), _deep_in_lung, box, ends=170, tip_mm=0.6, trunk_mm=7.0, seed=seed + 4 * number))
        trees.append(grow((0.9 * x, y - 2, z - 22), _deep_in_lung, box, ends=130, tip_mm=0.6, trunk_mm=6.0, seed=seed + 4 * number + 1))
    return trees[0] + trees[1] + trees[2] + trees[3]


def liver_vessels(seed: int) -> Tubes:
    """Portal and hepatic veins: one tree."""
    box = (np.array([-125.0, -80.0, -220.0]), np.array([30.0, 80.0, -60.0]))
    return grow((-20.0, 5.0, -165.0), _deep_in_liver, box, ends=90, tip_mm=1.2, trunk_mm=6.5, seed=seed + 9)


def airways(seed: int) -> Tubes:
    """Trachea, main bronchi and the first branches: the radii are of the lumen."""
    carina = (1.0, 15.0, 34.0)
    trunk = tubes(
        [
            ((0.0, 12.0, 200.0), (0.0, 12.0, 120.0), 8.5, 8.5),
            ((0.0, 12.0, 120.0), carina, 8.5, 8.5),
            (carina, (-33.0, 14.0, 13.0), 6.8, 5.6),
            (carina, (35.0, 17.0, 13.0), 6.2, 5.4),
        ]
    )
    right = grow((-33.0, 14.0, 13.0), _deep_in_lung, LUNG_BOXES["right"], ends=24, tip_mm=0.9, trunk_mm=4.6, seed=seed + 15)
    left = grow((35.0, 17.0, 13.0), _deep_in_lung, LUNG_BOXES["left"], ends=22, tip_mm=0.9, trunk_mm=4.4, seed=seed + 16)
    return trunk + right.thicker_than(1.7) + left.thicker_than(1.7)


def spicules(tumour: Tumour) -> Tubes | None:
    """Strands from the tumour's surface into the lung, thinning out; None where it has none."""
    if not tumour.spicules:
        return None
    random = np.random.default_rng([tumour.seed, 31])
    towards = random.normal(size=(tumour.spicules, 3))
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    half = np.array(tumour.diameters_mm) / 2
    length = random.uniform(0.4, 1.1, size=(tumour.spicules, 1))
    start = np.array(tumour.centre_mm) + 0.8 * half * towards
    end = np.array(tumour.centre_mm) + (1 + length) * np.minimum(half, 14) * towards + np.maximum(half - 14, 0) * towards
    radius = np.clip(0.08 * half.mean(), 0.5, 1.6)
    return Tubes(start, end, np.full(len(start), radius), np.full(len(start), 0.3))
