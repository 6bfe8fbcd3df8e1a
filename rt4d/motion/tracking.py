"""track: every phase of a 4D-CT registered with its reference phase, side by side, around a target or over the lungs."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rt4d import geometry as grids
from rt4d.errors import ContourError, InputError, NotFoundError, OutputError
from rt4d.geometry import Floats, Geometry
from rt4d.motion import processes
from rt4d.motion.fields import DisplacementField
from rt4d.motion.motion import Motion
from rt4d.motion.recipe import Recipe, read_recipe
from rt4d.phases import FourDCT
from rt4d.rois import Progress
from rt4d.volumes import Mask, Volume

STAGE = "registering phases"


def track(
    ct: FourDCT,
    *,
    focus: Mask | None = None,
    recipe: str | Path | None = None,
    whole_lung: bool = False,
    skip: Collection[str] = (),
    workers: int | None = None,
    progress: Progress | None = None,
) -> Motion:
    """The motion of a 4D-CT: its reference phase registered with every other phase by elastix.

    focus: the target on the reference phase; what is registered is its box and the recipe's margin (several targets far apart are
    better tracked one by one). whole_lung: the lungs instead. recipe: a name or a folder; 'lung_focus' or 'lung_4dct' where not given.
    skip: labels of phases that need no registration, because they were drawn.
    workers: registrations side by side, one thread each; the cores there are where not given. The result does not depend on it.

    A phase whose registration failed has no field; `Motion.failed` says why. Refused: no focus, an empty one, one on another grid.
    """
    chosen = read_recipe(recipe or ("lung_4dct" if whole_lung else "lung_focus"))
    _require_what_the_recipe_needs(ct, focus, chosen, whole_lung=whole_lung)
    if workers is not None and workers < 1:
        raise InputError("At least one worker is needed", found=workers)
    if unknown := set(skip) - set(ct.labels):
        raise NotFoundError("No phase of that label", expected=f"one of {', '.join(ct.labels)}", found=", ".join(sorted(unknown)))
    skipped = frozenset(skip) - {ct.reference_label}
    region, mask = _region(ct, focus, chosen)
    folder = Path(tempfile.mkdtemp(prefix="rt4d-registration-"))
    try:
        return _track_in(folder, ct, region, mask, chosen, skipped=skipped, workers=workers or processes.cores(), progress=progress)
    except OSError as error:
        raise OutputError("The registration's temporary files could not be written", where=folder.parent, found=error.strerror) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _require_what_the_recipe_needs(ct: FourDCT, focus: Mask | None, recipe: Recipe, *, whole_lung: bool) -> None:
    grids.require_even(ct.geometry, what="Registration")
    if whole_lung and recipe.region != "lungs":
        raise InputError("whole_lung needs a recipe for the lungs", found=f"{recipe.name}, whose region is {recipe.region}")
    if recipe.region == "lungs":
        return
    if focus is None:
        expected = "focus=the target on the reference phase, or whole_lung=True"
        raise InputError("Registration needs to know what to follow", expected=expected)
    grids.require(ct.geometry, focus.geometry, what="The focus lies on another grid than the 4D-CT")
    if focus.is_empty:
        raise ContourError("The focus is empty", where=f"phase {ct.reference_label}", do="Check that the contour lies within the 4D-CT")


def _region(ct: FourDCT, focus: Mask | None, recipe: Recipe) -> tuple[tuple[tuple[int, int, int], tuple[int, int, int]], Mask | None]:
    """Start and size of what is registered, on the 4D-CT's grid, and where samples may be taken (None: everywhere)."""
    if recipe.region == "focus":
        assert focus is not None
        return focus.box(recipe.margin_mm), None if recipe.mask_mm is None else focus
    from rt4d.anatomy import lungs

    found = lungs(ct.reference.volume) if focus is None else lungs(ct.reference.volume) | focus
    if found.is_empty:
        raise InputError("No lungs were found on the reference phase", where=f"phase {ct.reference_label}", do="Track the target alone: focus=mask")
    return found.box(recipe.margin_mm), None if recipe.mask_mm is None else found


def _track_in(
    folder: Path,
    ct: FourDCT,
    region: tuple[tuple[int, int, int], tuple[int, int, int]],
    mask: Mask | None,
    recipe: Recipe,
    *,
    skipped: frozenset[str],
    workers: int,
    progress: Progress | None,
) -> Motion:
    """Write the jobs, have them done, read the fields."""
    labels = [label for label in ct.labels if label != ct.reference_label and label not in skipped]
    reference = _prepared(ct.reference.volume.crop(*region), recipe)
    shared = _shared_files(folder, reference, mask.crop(*region) if mask else None, recipe)
    folders = {label: folder / label for label in labels}
    for label in labels:
        _write_job(folders[label], _prepared(ct[label].volume.crop(*_reaching(ct.geometry, region, recipe)), recipe), reference.geometry, shared)
    clock = _Clock(folders, progress)
    died = processes.run(folders.values(), workers=workers, done=clock.done)
    fields: dict[str, DisplacementField] = {}
    failed: dict[str, str] = {}
    for label in labels:
        answer = _answer(folders[label], died, reference.geometry)
        if isinstance(answer, DisplacementField):
            fields[label] = answer
        else:
            failed[label] = answer
    return Motion(ct.reference_label, ct.labels, fields, failed, ct.geometry, reference.geometry, recipe, clock.seconds, skipped)


def _reaching(whole: Geometry, region: tuple[Sequence[int], Sequence[int]], recipe: Recipe) -> tuple[list[int], list[int]]:
    """The region and the recipe's reach all round, clipped to the grid, beginning a whole number of averaged voxels away."""
    start, size = [], []
    for axis, factor in enumerate(_factors(whole, recipe)):
        reach = int(np.ceil(recipe.reach_mm / whole.spacing_mm[axis]))
        before = min(reach, region[0][axis]) // factor * factor
        first = region[0][axis] - before
        start.append(first)
        size.append(min(region[0][axis] + region[1][axis] + reach, whole.size[axis]) - first)
    return start, size


def _factors(geometry: Geometry, recipe: Recipe) -> tuple[int, int, int]:
    """How many voxels are averaged into one along x, y, z."""
    x, y, z = (max(1, round(recipe.coarsest_mm / spacing)) for spacing in geometry.spacing_mm)
    return x, y, z


def _prepared(volume: Volume, recipe: Recipe) -> Volume:
    """The volume clipped and averaged as the recipe says, as float32."""
    hu = np.clip(volume.hu, *recipe.clip_hu).astype(np.float32)
    factors = _factors(volume.geometry, recipe)
    if factors == (1, 1, 1):
        return Volume(hu, volume.geometry)
    return Volume(_averaged(hu, factors), _coarser(volume.geometry, factors))


def _coarser(geometry: Geometry, factors: Sequence[int]) -> Geometry:
    """The grid of averaged voxels; what is left over at the far ends is dropped."""
    x, y, z = (n // factor for n, factor in zip(geometry.size, factors, strict=True))
    origin = geometry.to_patient((np.array(factors) - 1) / 2)
    dx, dy, dz = (float(v) for v in np.array(geometry.spacing_mm) * factors)
    return replace(geometry, size=(x, y, z), spacing_mm=(dx, dy, dz), origin_mm=(origin[0], origin[1], origin[2]))


def _averaged(array: npt.NDArray[np.float32], factors: Sequence[int]) -> npt.NDArray[np.float32]:
    fx, fy, fz = factors
    z, y, x = (n // factor for n, factor in zip(array.shape, (fz, fy, fx), strict=True))
    blocks = array[: z * fz, : y * fy, : x * fx].reshape(z, fz, y, fy, x, fx)
    return np.asarray(blocks.mean(axis=(1, 3, 5), dtype=np.float32))


def _shared_files(folder: Path, reference: Volume, mask: Mask | None, recipe: Recipe) -> dict[str, Any]:
    """What all jobs have in common, written once; the part of job.json that names it."""
    np.save(folder / "reference.npy", reference.hu)
    if mask is not None:
        np.save(folder / "mask.npy", _grown(mask, recipe))
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


def _grown(mask: Mask, recipe: Recipe) -> npt.NDArray[np.bool_]:
    """The mask grown by the recipe's mask_mm, on the averaged grid."""
    from scipy import ndimage

    factors = _factors(mask.geometry, recipe)
    inside = _averaged(mask.inside.astype(np.float32), factors) >= 0.5
    spacing = _coarser(mask.geometry, factors).spacing_mm
    return np.asarray(ndimage.distance_transform_edt(~inside, sampling=spacing[::-1]) <= (recipe.mask_mm or 0.0))


def _write_job(folder: Path, phase: Volume, reference: Geometry, shared: dict[str, Any]) -> None:
    folder.mkdir()
    np.save(folder / "phase.npy", phase.hu)
    offset: Floats = (np.array(phase.geometry.origin_mm) - reference.origin_mm) @ reference.matrix
    job = shared | {"phase": str(folder / "phase.npy"), "phase_offset_mm": offset.tolist()}
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")


def _answer(folder: Path, died: dict[Path, str], region: Geometry) -> DisplacementField | str:
    """The field that came out of a job, or why there is none."""
    if folder in died:
        return died[folder]
    if (reason := folder / "reason.txt").is_file():
        return reason.read_text(encoding="utf-8")
    along_axes = np.load(folder / "field.npy")
    return DisplacementField(np.ascontiguousarray(along_axes.astype(np.float64) @ region.matrix.T, dtype=np.float32), region)


class _Clock:
    """Tells how far the registrations are, and keeps when each ended."""

    def __init__(self, folders: dict[str, Path], progress: Progress | None) -> None:
        self._labels = {folder: label for label, folder in folders.items()}
        self._progress = progress
        self._began = time.perf_counter()
        self.seconds: dict[str, float] = {}
        if progress:
            progress(STAGE, 0, len(self._labels))

    def done(self, folder: Path) -> None:
        self.seconds[self._labels[folder]] = time.perf_counter() - self._began
        if self._progress:
            self._progress(STAGE, len(self.seconds), len(self._labels))
