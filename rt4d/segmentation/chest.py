"""Where in a CT the chest is, found from the lungs: what the network is shown, and which side is which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from rt4d import anatomy
from rt4d.errors import InputError
from rt4d.geometry import Geometry
from rt4d.volumes import Mask, Volume

MARGIN_MM = 30.0
"""Around the lungs' box, for what lung density does not show: tumours that replace an apex, or reach into chest wall and mediastinum."""
MIDDLE_MM = 15.0
"""A lesion whose centre lies nearer to the midline than this is called neither left nor right."""

Side = Literal["left", "right", "middle"]


@dataclass(frozen=True, slots=True)
class Chest:
    """The part of an upright grid in which lesions are sought: start and size (x y z), and the midline's x; None where no lungs were found."""

    start: tuple[int, int, int]
    size: tuple[int, int, int]
    middle_x_mm: float | None
    note: str = ""

    def side(self, x_mm: float) -> Side | None:
        """The patient's side of a place; None where no lungs were found to tell."""
        if self.middle_x_mm is None:
            return None
        if abs(x_mm - self.middle_x_mm) < MIDDLE_MM:
            return "middle"
        return "left" if x_mm > self.middle_x_mm else "right"


def find_chest(upright: Volume) -> Chest:
    """The box of the lungs on an upright grid, as wide on either side of the patient's middle, and 30 mm more all round.

    A lung that a tumour fills is not found as lung; so what lies opposite the other lung is within the box too. Where no lungs are found
    it is the whole grid, and the note says so.
    """
    try:
        lungs = anatomy.lungs(upright)
        middle = _middle_x_mm(anatomy.body(upright), lungs)
    except InputError as error:
        note = f"{error.what}: lesions are sought in all of the image, and sides are not told"
        return Chest((0, 0, 0), upright.geometry.size, None, note)
    points = lungs.points_mm
    mirrored = points[[points[:, 0].argmin(), points[:, 0].argmax()]] * (-1, 1, 1) + (2 * middle, 0, 0)
    start, size = upright.geometry.box_around(np.vstack([points, mirrored]), MARGIN_MM)
    return Chest(start, size, middle)


def _middle_x_mm(body: Mask, lungs: Mask) -> float:
    """The median of the body's middle from right to left, over the slices that hold lung."""
    slices = np.asarray(lungs.inside.any(axis=(1, 2)))
    rows = np.asarray(body.inside[slices].any(axis=1))
    rows = rows[rows.any(axis=1)]
    first, last = rows.argmax(axis=1), rows.shape[1] - 1 - rows[:, ::-1].argmax(axis=1)
    return _x_mm(body.geometry, float(np.median((first + last) / 2)))


def _x_mm(geometry: Geometry, index: float) -> float:
    return float(geometry.origin_mm[0] + index * geometry.spacing_mm[0])
