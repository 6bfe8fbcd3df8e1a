"""What a registration process is given and what comes back: images averaged and clipped as the recipe says, files in a folder, a field."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rt4d.geometry import Floats, Geometry
from rt4d.motion.contrast import stretched
from rt4d.motion.fields import DisplacementField
from rt4d.motion.recipe import Recipe
from rt4d.volumes import Mask, Volume


def factors(geometry: Geometry, recipe: Recipe) -> tuple[int, int, int]:
    """How many voxels are averaged into one along x, y, z."""
    x, y, z = (max(1, round(recipe.coarsest_mm / spacing)) for spacing in geometry.spacing_mm)
    return x, y, z


def prepared(volume: Volume, recipe: Recipe, *, soft_tissue_gain: float = 1.0) -> Volume:
    """The volume clipped, its soft tissue stretched (rt4d.motion.contrast) and averaged as the recipe says, as float32."""
    hu = stretched(np.clip(volume.hu, *recipe.clip_hu).astype(np.float32), soft_tissue_gain)
    by = factors(volume.geometry, recipe)
    return Volume(hu if by == (1, 1, 1) else averaged(hu, by), prepared_geometry(volume.geometry, recipe))


def prepared_geometry(geometry: Geometry, recipe: Recipe) -> Geometry:
    """The grid of what `prepared` makes of a volume on this one."""
    by = factors(geometry, recipe)
    return geometry if by == (1, 1, 1) else coarser(geometry, by)


def coarser(geometry: Geometry, by: Sequence[int]) -> Geometry:
    """The grid of averaged voxels; what is left over at the far ends is dropped."""
    x, y, z = (n // factor for n, factor in zip(geometry.size, by, strict=True))
    origin = geometry.to_patient((np.array(by) - 1) / 2)
    dx, dy, dz = (float(v) for v in np.array(geometry.spacing_mm) * by)
    return replace(geometry, size=(x, y, z), spacing_mm=(dx, dy, dz), origin_mm=(origin[0], origin[1], origin[2]))


def averaged(array: npt.NDArray[np.float32], by: Sequence[int]) -> npt.NDArray[np.float32]:
    """The means of blocks of so many voxels along x, y, z; shape z y x."""
    fx, fy, fz = by
    z, y, x = (n // factor for n, factor in zip(array.shape, (fz, fy, fx), strict=True))
    blocks = array[: z * fz, : y * fy, : x * fx].reshape(z, fz, y, fy, x, fx)
    return np.asarray(blocks.mean(axis=(1, 3, 5), dtype=np.float32))


def shared_files(folder: Path, reference: Volume, mask: Mask | None, recipe: Recipe) -> dict[str, Any]:
    """What all jobs have in common, written once; the part of job.json that names it."""
    np.save(folder / "reference.npy", reference.hu)
    if mask is not None:
        np.save(folder / "mask.npy", grown(mask, recipe))
    files = []
    grid_mm = [recipe.grid_voxels * spacing for spacing in reference.geometry.spacing_mm]
    for number, parameters in enumerate(recipe.parameter_maps):
        files.append(folder / f"parameters.{number}.txt")
        files[-1].write_text(parameters.with_grid_at_least(grid_mm).text(), encoding="utf-8")
    return {
        "reference": str(folder / "reference.npy"),
        "mask": str(folder / "mask.npy") if mask is not None else None,
        "mask_from": recipe.mask_from,
        "parameter_files": [str(path) for path in files],
        "spacing_mm": reference.geometry.spacing_mm,
    }


def grown(mask: Mask, recipe: Recipe) -> npt.NDArray[np.bool_]:
    """The mask grown by the recipe's mask_mm, on the averaged grid."""
    from scipy import ndimage

    by = factors(mask.geometry, recipe)
    inside = averaged(mask.inside.astype(np.float32), by) >= 0.5
    spacing = coarser(mask.geometry, by).spacing_mm
    return np.asarray(ndimage.distance_transform_edt(~inside, sampling=spacing[::-1]) <= (recipe.mask_mm or 0.0))


def write_job(folder: Path, phase: Volume, reference: Geometry, shared: dict[str, Any]) -> None:
    """The folder of one job: the phase, which lies on the reference's axes, and job.json."""
    folder.mkdir()
    np.save(folder / "phase.npy", phase.hu)
    offset: Floats = (np.array(phase.geometry.origin_mm) - reference.origin_mm) @ reference.matrix
    job = shared | {"phase": str(folder / "phase.npy"), "phase_offset_mm": offset.tolist()}
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")


def answer(folder: Path, died: dict[Path, str], region: Geometry) -> DisplacementField | str:
    """The field that came out of a job, or why there is none."""
    if folder in died:
        return died[folder]
    if (reason := folder / "reason.txt").is_file():
        return reason.read_text(encoding="utf-8")
    along_axes = np.load(folder / "field.npy")
    return DisplacementField(np.ascontiguousarray(along_axes.astype(np.float64) @ region.matrix.T, dtype=np.float32), region)
