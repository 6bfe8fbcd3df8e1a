"""What the page's viewer shows: the phases around each target in 256 grey values, and the voxels of phase GTVs, ITV and PTV.

Both lie on grids along the patient's axes (LPS), so that the page needs no more geometry than a corner and a step. Grey values follow
`LEVELS_HU`, finest in soft tissue; what is shown is packed with zlib, which browsers unpack themselves.

The page draws it on plain canvases. The viewer libraries (NiiVue, vtk.js, cornerstone3D) weigh 2.5 to 3 MB and need WebGL 2, which browsers
no longer emulate on every workstation without a graphics card.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d.geometry import Floats, Geometry
from rt4d.phases import FourDCT
from rt4d.target import ITV
from rt4d.volumes import Mask

AROUND_MM, LEAST_MM = np.array((60.0, 60.0, 40.0)), np.array((40.0, 40.0, 30.0))
"""How much of the CT is shown beyond the outermost contour, along patient x, y, z, and how little before voxels are made larger instead."""
VOXELS = 9_000_000
"""Of all targets and phases together: a byte each, which in base64 stays under 12 MB whatever they hold."""
LEVELS_HU = np.r_[np.arange(-1024, -200, 8), np.arange(-200, 248, 4), np.arange(248, 1396, 28)]
"""The HU from which each of the 256 grey values stands: steps of 8 in lung, 4 in soft tissue, 28 in bone."""
_CODES = (np.searchsorted(LEVELS_HU, np.arange(-1024, 1397), side="right") - 1).astype(np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class ViewerData:
    """What goes into the page: `told` as JSON, and `packed` by the id of the element that holds it (base64 of zlib)."""

    told: dict[str, Any]
    packed: dict[str, str]


def viewer_data(ct: FourDCT, targets: list[ITV]) -> ViewerData:
    """The viewer's part of the page for these targets of one 4D-CT."""
    packed: dict[str, str] = {}
    told = []
    for number, target in enumerate(targets):
        contours, shown_mm = _contours(target), (target.ptv or target.mask).points_mm
        grid = _shown_grid(ct.geometry, shown_mm, most=VOXELS // (len(ct) * len(targets)))
        close = _around(ct.geometry, shown_mm, _steps_mm(ct.geometry), _steps_mm(ct.geometry))
        phases, masks = upright(ct.geometry, grid), upright(ct.geometry, close, order=0)
        for index, phase in enumerate(ct):
            packed[f"ct-{number}-{index}"] = _pack(encode(phases(phase.volume.hu)))
        packed[f"contours-{number}"] = _pack(np.stack([masks(mask.inside).astype(np.uint8) for mask in contours.values()]))
        told.append(
            {
                "name": target.name,
                "ct": _grid_dict(grid),
                "contours": _grid_dict(close),
                "drawn": list(contours),
                "centre_mm": [round(v, 3) for v in target.mask.centroid_mm],
            }
        )
    levels = LEVELS_HU + np.diff(LEVELS_HU, append=LEVELS_HU[-1] + 28) // 2
    return ViewerData({"phases": list(ct.labels), "reference": ct.reference_label, "hu": levels.tolist(), "targets": told}, packed)


def encode(hu: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The grey value, 0 to 255, of each HU; below -1024 the first, above 1368 the last."""
    lowest, highest = -1024, -1024 + len(_CODES) - 1
    return np.asarray(_CODES[np.clip(np.rint(hu).astype(np.int32), lowest, highest) + 1024])


def upright(geometry: Geometry, grid: Geometry, *, order: int = 1) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
    """What gives an array's values on a grid along the patient's axes: the same voxels in another order where they coincide, else interpolated.

    Beyond the array its outermost values are repeated. order: 1 linear, 0 nearest.
    """
    corners = geometry.to_index(grid.to_patient(np.vstack([np.zeros(3), np.array(grid.size) - 1.0, np.eye(3)])))
    first, last, *units = np.rint(corners)
    turned = np.array(units) - first
    one_to_one = np.array_equal(np.abs(turned).sum(axis=0), np.ones(3)) and np.array_equal(np.abs(turned).sum(axis=1), np.ones(3))
    if not one_to_one or not geometry.is_even or np.abs(corners - np.rint(corners)).max() > 1e-3:
        return _interpolated(geometry, grid, order=order)
    low, high = np.minimum(first, last).astype(int)[::-1], np.maximum(first, last).astype(int)[::-1]
    window = tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))
    axes = [2 - int(np.abs(turned[patient]).argmax()) for patient in (2, 1, 0)]
    flips = tuple(slice(None, None, int(turned[patient].sum())) for patient in (2, 1, 0))
    return lambda array: np.asarray(array[window].transpose(axes)[flips])


def _interpolated(geometry: Geometry, grid: Geometry, *, order: int) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
    index = geometry.to_index(grid.centres())[..., ::-1]
    last = np.array(geometry.shape) - 1
    low = np.clip(np.floor(index.min(axis=(0, 1, 2))).astype(int), 0, last)
    high = np.clip(np.ceil(index.max(axis=(0, 1, 2))).astype(int), 0, last)
    window = tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))
    places = np.ascontiguousarray(np.moveaxis(index - low, -1, 0))

    def values(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        part = array[window].astype(np.float32)
        return np.asarray(ndimage.map_coordinates(part, places, order=order, mode="nearest"))

    return values


def _shown_grid(geometry: Geometry, points_mm: Floats, *, most: int) -> Geometry:
    """A grid around the points of at most so many voxels: the CT's own where it can be, with less around it, and then with larger voxels."""
    step, share = _steps_mm(geometry), 1.0
    while np.prod((grid := _around(geometry, points_mm, LEAST_MM + share * (AROUND_MM - LEAST_MM), step)).size) > most:
        if share > 0:
            share = max(0.0, share - 0.1)
        else:
            step = np.maximum(step, step.min() * 1.05)
    return grid


def _steps_mm(geometry: Geometry) -> Floats:
    """How far voxels lie apart along patient x, y, z."""
    return np.asarray(np.abs(geometry.matrix) @ geometry.spacing_mm)


def _around(geometry: Geometry, points_mm: Floats, margin_mm: Floats, step_mm: Floats) -> Geometry:
    """A grid along the patient's axes around points, within the CT and on its voxels where they lie so."""
    last = np.array(geometry.size) - 1.0
    ends = geometry.to_patient(np.array([[x, y, z] for x in (0, last[0]) for y in (0, last[1]) for z in (0, last[2])]))
    lowest, highest = ends.min(axis=0), ends.max(axis=0)
    low, high = np.maximum(points_mm.min(axis=0) - margin_mm, lowest), np.minimum(points_mm.max(axis=0) + margin_mm, highest)
    origin = lowest + np.floor((low - lowest) / step_mm + 1e-6) * step_mm
    counts = np.floor((high - origin) / step_mm + 1e-6).astype(int) + 1
    return Geometry(_three(counts, int), _three(step_mm, float), _three(origin, float))


def _three(values: Floats | npt.NDArray[np.int_], kind: type) -> Any:
    return tuple(kind(v) for v in values)


def _contours(target: ITV) -> dict[str, Mask]:
    """Masks by name: the phases' labels, then 'ITV' and 'PTV'."""
    return dict(target.phases) | {"ITV": target.mask} | ({"PTV": target.ptv} if target.ptv is not None else {})


def _grid_dict(grid: Geometry) -> dict[str, Any]:
    return {"size": list(grid.size), "step_mm": [round(v, 5) for v in grid.spacing_mm], "first_mm": [round(v, 4) for v in grid.origin_mm]}


def _pack(array: npt.NDArray[np.uint8]) -> str:
    """zlib's quickest level: noise packs no smaller at the others."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array).data, 1)).decode("ascii")
