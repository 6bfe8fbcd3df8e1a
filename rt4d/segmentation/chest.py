"""Where in a CT the chest is, found from the lungs: what the network is shown, what is believed of it, and which side is which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from rt4d import anatomy
from rt4d.errors import InputError, NoLesionError
from rt4d.geometry import Geometry, Triple
from rt4d.volumes import Mask, Volume

MARGIN_MM = 30.0
"""Around the lungs' box, for what lung density does not show: tumours that replace an apex, or reach into chest wall and mediastinum."""
AROUND_MM = 20.0
"""From lungs and mediastinum, within the body: so far a lesion of the lung may reach into the chest wall or above an apex."""
BY_LUNGS_MM = 10.0
"""A lesion all of which lies farther from both lungs than this is none of the lung."""
MIDDLE_MM = 15.0
"""A lesion whose centre lies nearer to the midline than this is called neither left nor right."""
SKIN_MM = 10.0
"""So far in front of the skin, as coarse voxels show it, a point is taken to lie in the patient."""
AIR_HU, AIR_MM = -900.0, 5.0
"""Where the median so near a point is lower there is air; and where no lungs were found, that of the room only (`anatomy.ROOM_HU`)."""

Side = Literal["left", "right", "middle"]


@dataclass(frozen=True, slots=True)
class Chest:
    """The part of an upright grid in which lesions are sought: start and size (x y z).

    middle_x_mm: the midline; where: the lungs, what lies between them and 20 mm around, within the body; by_lungs: the lungs and 10 mm around;
    body: all of the patient. None where no lungs were found.
    """

    start: tuple[int, int, int]
    size: tuple[int, int, int]
    middle_x_mm: float | None
    note: str = ""
    where: Mask | None = None
    by_lungs: Mask | None = None
    body: Mask | None = None

    def holds(self, points_mm: npt.NDArray[np.float64]) -> bool:
        """Whether at least half of some points, shape (n, 3), lie in the chest; also where no lungs were found to tell."""
        return self.where is None or _share(points_mm, self.where) >= 0.5

    def reaches_lung(self, points_mm: npt.NDArray[np.float64]) -> bool:
        """Whether any of some points, shape (n, 3), lies within 10 mm of a lung; also where no lungs were found to tell."""
        return self.by_lungs is None or _share(points_mm, self.by_lungs) > 0

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
        lungs, body = anatomy.lungs_and_body(upright)
        middle = _middle_x_mm(body, lungs)
    except InputError as error:
        note = f"{error.what}: lesions are sought in all of the image, and sides are not told"
        return Chest((0, 0, 0), upright.geometry.size, None, note)
    points = lungs.points_mm
    mirrored = points[[points[:, 0].argmin(), points[:, 0].argmax()]] * (-1, 1, 1) + (2 * middle, 0, 0)
    start, size = upright.geometry.box_around(np.vstack([points, mirrored]), MARGIN_MM)
    return Chest(start, size, middle, where=_around(lungs, body, middle), by_lungs=_grown(lungs, BY_LUNGS_MM), body=body)


def require_in_patient(upright: Volume, chest: Chest, point_mm: Triple) -> None:
    """Refuse (NoLesionError) a point in the air around the patient: the network outlines lesions of air there.

    That is, with air within 5 mm, and more than 10 mm from the body's convex hull in its slice: gaps between arm and chest, and lungs that were
    taken for none, lie within. Nothing is refused where no body was found.
    """
    start, size = upright.geometry.box_around(np.array([point_mm]), AIR_MM)
    if np.median(upright.crop(start, size).hu) >= (anatomy.ROOM_HU if chest.body is None else AIR_HU):
        return
    try:
        body = chest.body or anatomy.body(upright)
    except InputError:
        return
    slices = body.inside[start[2] : start[2] + size[2]].any(axis=0)
    points_mm = body.geometry.to_patient([(x, y, 0) for y, x in np.argwhere(slices)])[:, :2] if slices.any() else None
    if points_mm is not None and _within(point_mm[:2], points_mm):
        return
    raise NoLesionError(
        "The point lies outside the patient",
        expected="DICOM's coordinates in mm (LPS): x to the left, y back, z up",
        found=", ".join(f"{v:.1f}" for v in point_mm),
        do="Many programs tell x to the right and y to the front (RAS): turn the signs of both",
    )


def _within(place_mm: tuple[float, float], points_mm: npt.NDArray[np.float64]) -> bool:
    """Whether a place of a slice lies within 10 mm of the convex hull of points."""
    try:
        hull = ConvexHull(points_mm)
    except QhullError:  # all in one line
        return True
    return bool((hull.equations @ (*place_mm, 1.0)).max() <= SKIN_MM)


def _around(lungs: Mask, body: Mask, middle_x_mm: float) -> Mask:
    """The lungs, each also on the other side, all between them from right to left, and 20 mm around, within the body."""
    middle = (middle_x_mm - lungs.geometry.origin_mm[0]) / lungs.geometry.spacing_mm[0]
    z, y, x = np.nonzero(lungs.inside)
    mirrored = np.round(2 * middle - x).astype(int).clip(0, lungs.geometry.size[0] - 1)
    both = lungs.inside.copy()
    both[z, y, mirrored] = True
    between = np.logical_or.accumulate(both, axis=2) & np.logical_or.accumulate(both[:, :, ::-1], axis=2)[:, :, ::-1]
    return _grown(Mask(between, lungs.geometry), AROUND_MM) & body


def _grown(mask: Mask, by_mm: float) -> Mask:
    start, size = mask.box(by_mm)
    window = tuple(slice(i, i + n) for i, n in zip(start[::-1], size[::-1], strict=True))
    grown = np.zeros_like(mask.inside)
    grown[window] = ndimage.distance_transform_edt(~mask.inside[window], sampling=mask.geometry.spacing_mm[::-1]) <= by_mm
    return Mask(grown, mask.geometry)


def _share(points_mm: npt.NDArray[np.float64], mask: Mask) -> float:
    """Of points, shape (n, 3): the share in voxels of a mask."""
    index = np.round(mask.geometry.to_index(points_mm)).astype(int)
    within = np.all((index >= 0) & (index < np.array(mask.geometry.size)), axis=1)
    x, y, z = np.where(within[:, None], index, 0).T
    return float(np.mean(within & mask.inside[z, y, x]))


def _middle_x_mm(body: Mask, lungs: Mask) -> float:
    """The median of the body's middle from right to left, over the slices that hold lung."""
    slices = np.asarray(lungs.inside.any(axis=(1, 2)))
    rows = np.asarray(body.inside[slices].any(axis=1))
    rows = rows[rows.any(axis=1)]
    first, last = rows.argmax(axis=1), rows.shape[1] - 1 - rows[:, ::-1].argmax(axis=1)
    return _x_mm(body.geometry, float(np.median((first + last) / 2)))


def _x_mm(geometry: Geometry, index: float) -> float:
    return float(geometry.origin_mm[0] + index * geometry.spacing_mm[0])
