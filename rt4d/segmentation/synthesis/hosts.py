"""Chests without a tumour: a real CT or a generated thorax, its tissues told apart, as the ground that synthetic tumours grow on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d import anatomy
from rt4d.errors import InputError
from rt4d.geometry import Geometry
from rt4d.phantom.scene import reference_raster
from rt4d.segmentation.space import Space, to_space
from rt4d.volumes import Mask, Volume

HOST_MM = 1.5
GENERATED_MM = 2.0
OUTSIDE, WALL, RIGHT_LUNG, LEFT_LUNG, MEDIASTINUM, BONE, AIRWAY, ABDOMEN = range(8)
"""What a voxel of `Host.tissue` is. Mediastinum: between the lungs, heart and vessels included. Abdomen: below a lung."""
ROOM_MM = (25.0, 60.0, 10.0)
"""Around the body, x y z, so that a couch is seen."""
AIR_VOXELS = 12
MARROW_MM2 = 1800.0
"""The largest hole of a bone in a slice: a vertebra's marrow, the spinal canal."""
LOW = 0.45
"""Of the way from the lungs' lowest slice to the carina: below it, what lies under a lung is abdomen, above it heart."""

Tissue = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Host:
    """A chest on an upright isotropic grid: `hu` int16 and `tissue` uint8, both z y x; `carina_z_mm`: the height at which the trachea divides."""

    name: str
    hu: npt.NDArray[np.int16]
    tissue: Tissue
    geometry: Geometry
    carina_z_mm: float

    def __post_init__(self) -> None:
        if self.hu.shape != self.geometry.shape or self.tissue.shape != self.geometry.shape:
            raise InputError("A host's arrays must have its grid's shape", where=self.name, expected=self.geometry.shape, found=self.tissue.shape)


def host_from(volume: Volume, name: str) -> Host:
    """A CT as a host: upright, 1.5 mm, cropped to the body and what lies near it. Refused (InputError) where no lungs are found."""
    return _host(_near_body(to_space(volume, Space(spacing_mm=HOST_MM, window_hu=(-1000.0, 400.0)))), name)


def generated_host(seed: int) -> Host:
    """The phantom's thorax without a tumour, with vessels, airways and texture of that seed."""
    size = (192, 142, 150)
    origin = tuple(-(n - 1) / 2 * GENERATED_MM for n in size)
    raster = reference_raster(Geometry(size, (GENERATED_MM,) * 3, (origin[0], origin[1], origin[2])), (), seed=seed, reach_mm=0.0, workers=1)
    return _host(_in_air(raster.values, raster.geometry), f"generated-{seed}")


def _in_air(hu: npt.NDArray[np.float32], geometry: Geometry) -> Volume:
    """The image with air around its sides, which it was cut to."""
    x, y, z = geometry.to_patient((-AIR_VOXELS, -AIR_VOXELS, 0))
    size = geometry.size[0] + 2 * AIR_VOXELS, geometry.size[1] + 2 * AIR_VOXELS, geometry.size[2]
    padded = np.pad(hu, ((0, 0), (AIR_VOXELS,) * 2, (AIR_VOXELS,) * 2), constant_values=-1000.0)
    return Volume(padded, Geometry(size, geometry.spacing_mm, (x, y, z)))


def _near_body(volume: Volume) -> Volume:
    start, size = anatomy.body(volume).box(ROOM_MM)
    return volume.crop(start, size)


def _host(volume: Volume, name: str) -> Host:
    lungs, body = anatomy.lungs_and_body(volume)
    tissue = _tissues(volume, lungs, body)
    carina = _carina_slice(tissue, lungs.inside, volume.geometry.spacing_mm[0])
    hu = np.clip(np.rint(volume.hu), -1024, 3071).astype(np.int16)
    return Host(name, hu, tissue, volume.geometry, float(volume.geometry.to_patient((0, 0, carina))[2]))


def _tissues(volume: Volume, lungs: Mask, body: Mask) -> Tissue:
    """Every voxel's tissue: lungs by side, then what lies between, around and below them."""
    hu, lung, spacing = volume.hu, lungs.inside, volume.geometry.spacing_mm[0]
    right, left = _sides(lung)
    tissue = np.full(hu.shape, OUTSIDE, dtype=np.uint8)
    tissue[body.inside] = WALL
    hull = _between(lung) & body.inside
    tissue[hull & _beside_both(right, left)] = MEDIASTINUM
    tissue[_airways(hu, tissue, spacing)] = AIRWAY
    lowest, carina = np.flatnonzero(lung.any(axis=(1, 2)))[0], _carina_slice(tissue, lung, spacing)
    low = int(lowest + LOW * (carina - lowest))
    tissue[:low][(_below(lung) & hull)[:low]] = ABDOMEN
    tissue[:lowest][body.inside[:lowest]] = ABDOMEN
    tissue[_bones(hu, spacing) & body.inside & ~lung] = BONE
    tissue[right], tissue[left] = RIGHT_LUNG, LEFT_LUNG
    return tissue


def _bones(hu: npt.NDArray[np.float32], spacing: float) -> Bools:
    """Bones with their marrow and the spinal canal: dense voxels, closed by 4 mm, and what they enclose in a slice."""
    dense = ndimage.binary_opening(ndimage.gaussian_filter(hu.astype(np.float32), 0.7) > 140)
    bone = np.asarray(ndimage.binary_closing(dense, iterations=max(1, round(4 / spacing))))
    for k, plane in enumerate(bone):
        holes, _ = ndimage.label(ndimage.binary_fill_holes(plane) & ~plane)
        small = np.bincount(holes.ravel()) * spacing**2 < MARROW_MM2
        small[0] = False
        bone[k] = plane | small[holes]
    return bone


def _sides(lung: Bools) -> tuple[Bools, Bools]:
    """The patient's right and left lung: each voxel goes to the nearer of the lungs' cores, which do not touch."""
    middle = _middle(lung)
    x = np.arange(lung.shape[2])
    core = ndimage.binary_erosion(lung, iterations=3)
    core[:, :, np.abs(x - middle) < 0.04 * lung.shape[2]] = False
    labels, count = ndimage.label(core)
    if count == 0:
        return lung & (x < middle), lung & (x >= middle)
    centres = np.array(ndimage.center_of_mass(core, labels, np.arange(1, count + 1)))[:, 2]
    side = np.concatenate([[0], np.where(centres < middle, 1, 2)])[labels]
    nearest = ndimage.distance_transform_edt(side == 0, return_distances=False, return_indices=True)
    side = side[tuple(nearest)]
    return lung & (side == 1), lung & (side == 2)


def _middle(lung: Bools) -> float:
    """The column with the fewest lung voxels in the central third."""
    columns = ndimage.gaussian_filter1d(lung.sum(axis=(0, 1)).astype(float), 3)
    found = np.flatnonzero(columns > 0)
    third = (found[-1] - found[0]) // 3
    return float(found[0] + third + np.argmin(columns[found[0] + third : found[-1] - third + 1]))


def _between(lung: Bools) -> Bools:
    """Each slice's smallest box-like outline around the lungs: between the outermost lung voxels of rows, and of columns."""
    rows = np.maximum.accumulate(lung, axis=2) & np.maximum.accumulate(lung[:, :, ::-1], axis=2)[:, :, ::-1]
    above = np.maximum.accumulate(lung[::-1], axis=0)[::-1]
    return np.asarray(rows | above)


def _beside_both(right: Bools, left: Bools) -> Bools:
    """Voxels with the right lung somewhere to their right and the left one to their left, in their row; so also in front of and behind the heart."""
    to_right = np.maximum.accumulate(right, axis=2)
    to_left = np.maximum.accumulate(left[:, :, ::-1], axis=2)[:, :, ::-1]
    return np.asarray(to_right & to_left & ~right & ~left)


def _below(lung: Bools) -> Bools:
    return np.asarray(np.maximum.accumulate(lung[::-1], axis=0)[::-1] & ~lung)


def _airways(hu: npt.NDArray[np.float32], tissue: Tissue, spacing: float) -> Bools:
    """Air between the lungs: trachea and main bronchi, with a voxel of their wall."""
    air = (hu < -700) & np.isin(tissue, (MEDIASTINUM, WALL))
    labels, count = ndimage.label(air & (tissue == MEDIASTINUM))
    if count == 0:
        return np.zeros_like(air)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(np.isin(labels, np.flatnonzero(sizes * spacing**3 > 2000)))


def _carina_slice(tissue: Tissue, lung: Bools, spacing: float) -> int:
    """The slice in which one large airway becomes two, looking downwards; two thirds up the lungs where that is not seen."""
    found = np.flatnonzero(lung.any(axis=(1, 2)))
    low, high = int(found[0]), int(found[-1])
    for k in range(high - (high - low) // 6, low + (high - low) // 3, -1):
        spots, count = ndimage.label(tissue[k] == AIRWAY)
        sizes = np.bincount(spots.ravel(), minlength=count + 1)[1:] * spacing**2
        if np.count_nonzero(sizes > 60) >= 2:
            return k
    return round(low + 0.62 * (high - low))
