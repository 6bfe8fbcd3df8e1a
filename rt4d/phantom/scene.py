"""The generated anatomy at the reference phase on a raster finer than the image's voxels, and averaged over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d.geometry import Geometry
from rt4d.phantom import thorax
from rt4d.phantom.raster import Raster, in_threads, slice_points
from rt4d.phantom.soft import Array
from rt4d.phantom.trees import airways, liver_vessels, spicules, vessels
from rt4d.phantom.tubes import Tubes, draw
from rt4d.phantom.tumours import Tumour

FINE_FROM_MM = 2.5
"""Voxels as long as this or longer are averaged from two points along that axis."""
LATTICE_MM, LATTICE = 2.5, 64


def reference_raster(geometry: Geometry, tumours: Sequence[Tumour], *, seed: int, reach_mm: float, workers: int | None = None) -> Raster:
    """HU around the grid, as far as the motion reaches beyond it and the body goes. Each value is the mean over one voxel of the image."""
    factors = tuple(1 if v < FINE_FROM_MM else 2 for v in geometry.spacing_mm)
    fine = _fine_grid(geometry, factors, reach_mm)
    hu = np.empty(fine.shape, dtype=np.float32)
    lung = np.empty(fine.shape, dtype=np.float32)
    edge = float(np.mean(fine.spacing_mm))
    texture = _lattice(seed)

    def make(k: int) -> None:
        points = slice_points(fine, k)
        hu[k], lung[k] = thorax.hounsfield(*points, edge_mm=edge)
        _texture(hu[k], lung[k], texture, points)

    in_threads(make, range(fine.size[2]), workers=workers)
    _trees(hu, lung, fine, tumours, seed)
    shift = np.zeros(3)
    for axis, n in enumerate(factors):
        if n > 1:
            ndimage.uniform_filter1d(hu, n, axis=2 - axis, output=hu, mode="nearest")
            shift[axis] = -0.5 * (n % 2 == 0)  # of an even number of points the mean lies half a step before the middle one
    origin = fine.to_patient(shift)
    return Raster(hu, Geometry(fine.size, fine.spacing_mm, (origin[0], origin[1], origin[2]), fine.direction))


def _fine_grid(geometry: Geometry, factors: tuple[int, ...], reach_mm: float) -> Geometry:
    """Along the image's axes; a quarter of a step off its voxels, so that no phase is interpolated less than another."""
    step = np.array(geometry.spacing_mm) / factors
    (x0, y0), (x1, y1) = thorax.BODY_BOX
    body = geometry.to_index([[x, y, z] for x in (x0, x1) for y in (y0, y1) for z in (-1000.0, 1000.0)])
    margin = (reach_mm + 2 * np.max(geometry.spacing_mm)) / np.array(geometry.spacing_mm)
    first = np.maximum(body.min(axis=0), -margin)
    last = np.minimum(body.max(axis=0), np.array(geometry.size) - 1 + margin)
    first, last = np.floor(np.minimum(first, last)), np.ceil(np.maximum(first, last))
    size = ((last - first) * factors).astype(int) + 1
    origin = geometry.to_patient(first + 0.25 / np.array(factors))
    return Geometry(tuple(size.tolist()), tuple(step.tolist()), (origin[0], origin[1], origin[2]), geometry.direction)


def _lattice(seed: int) -> Raster:
    """Periodic noise of two grain sizes, standard deviation 1: one period and its first points again."""
    random = np.random.default_rng([seed, 41])
    grain = [ndimage.gaussian_filter(random.standard_normal((LATTICE,) * 3, dtype=np.float32), sigma, mode="wrap") for sigma in (0.6, 2.2)]
    both = grain[0] / grain[0].std() + grain[1] / grain[1].std()
    n = LATTICE + 1
    return Raster(np.pad(both / both.std(), ((0, 1),) * 3, mode="wrap"), Geometry((n, n, n), (LATTICE_MM,) * 3))


def _texture(hu: Array, lung: Array, lattice: Raster, points: Sequence[Array]) -> None:
    """Grain of the tissues: ±28 HU in the lungs, ±7 HU in soft tissue. In place."""
    x, y, z = (np.mod(p, LATTICE * LATTICE_MM) for p in points)
    hu += lattice.look_up(x, y, z) * (28 * lung + 7 * (1 - lung) * (hu > -300))


def _trees(hu: npt.NDArray[np.float32], lung: npt.NDArray[np.float32], fine: Geometry, tumours: Sequence[Tumour], seed: int) -> None:
    """Vessels, strands of tumours, walls of airways, then their lumina. In place; `lung` is used up."""
    within = lung
    _draw(hu, fine, [vessels(seed), *filter(None, map(spicules, tumours))], 42.0, only=within)
    _draw(hu, fine, [liver_vessels(seed)], 92.0)
    _draw(hu, fine, [airways(seed)], 25.0, wider_mm=1.1)
    _draw(hu, fine, [airways(seed)], -960.0)


def _draw(
    hu: npt.NDArray[np.float32],
    fine: Geometry,
    what: Sequence[Tubes],
    value: float,
    *,
    only: npt.NDArray[np.float32] | None = None,
    wider_mm: float = 0.0,
) -> None:
    share = np.zeros(fine.shape, dtype=np.float32)
    for each in what:
        draw(share, fine, each, wider_mm=wider_mm)
    if only is not None:
        share *= only
    for k in np.flatnonzero(share.any(axis=(1, 2))):
        hu[k] += share[k] * (value - hu[k])
