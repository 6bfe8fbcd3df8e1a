"""register: one thoracic CT onto another, each on its own grid and wherever its couch stood; what differs between days or breath-holds.

The lungs are found on both. Their centres are laid over one another first, so that tens of millimetres of couch do not matter; then the
recipe's stages run on the first image's axes, with samples in its lungs.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rt4d import geometry as grids
from rt4d.anatomy import lungs
from rt4d.errors import InputError, OutputError, RegistrationError
from rt4d.geometry import Floats, Geometry, Triple
from rt4d.motion import jobs, processes
from rt4d.motion.fields import DisplacementField
from rt4d.motion.quality import Check, correlation, gained, limited, similar
from rt4d.motion.recipe import Recipe, read_recipe
from rt4d.rois import Progress
from rt4d.volumes import Mask, Volume

RECIPE = "lung_large_deformation"
REACH_MM = 40.0
"""So far around its lungs the other image is shown to the registration."""
AIR_HU = -1000.0
LUNG_OVERLAP = 0.9
"""Of the lungs' volume: less of it landing in the other image's lungs is no registration of lungs."""
ENOUGH_POINTS = 50_000


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """Where each point of an image lies in another one: `field` on the first image's grid, x → x + u(x), LPS mm.

    shift_mm: from the first lungs' centre to the second's, what the registration began with. lungs: of the first image; elsewhere the field is
    carried on from there and was not compared with anything. checks: in the lungs.
    """

    field: DisplacementField
    shift_mm: Triple
    lungs: Mask
    checks: tuple[Check, ...]
    recipe: Recipe

    @property
    def passed(self) -> bool:
        return all(check.verdict == "pass" for check in self.checks)

    def __repr__(self) -> str:
        failed = ", ".join(check.name for check in self.checks if check.verdict == "fail")
        return f"Registration({self.recipe.name}; {self.field!r}; {'failed ' + failed if failed else 'all checks passed'})"


def register(fixed: Volume, moving: Volume, *, recipe: str | Path | None = None, progress: Progress | None = None) -> Registration:
    """The displacement field that takes each point of `fixed` to where it lies in `moving`, on `fixed`'s grid.

    The grids may differ in all respects, the frames of reference too: the images need not overlap. recipe: a name or folder whose region is
    'lungs'; 'lung_large_deformation' where not given. One thread, the same bits every time. Raises InputError where lungs are found on neither or
    one, RegistrationError where elastix gave up; whether the result may be trusted stands in `checks`.
    """
    chosen = read_recipe(recipe or RECIPE)
    if chosen.region != "lungs":
        raise InputError("Registering two images needs a recipe for the lungs", found=f"{chosen.name}, whose region is {chosen.region}")
    for image, name in ((fixed, "first"), (moving, "second")):
        grids.require_even(image.geometry, what=f"Registration of the {name} image")
    here, there = _lungs(fixed, "first"), _lungs(moving, "second")
    x, y, z = np.subtract(there.centroid_mm, here.centroid_mm)
    shift: Triple = (float(x), float(y), float(z))
    reference = jobs.prepared(fixed, chosen)
    other = _on_axes(jobs.prepared(moving, chosen), there, reference.geometry, shift)
    found = _run(reference, other, here, chosen, progress=progress)
    coarse = DisplacementField(found.vectors_mm + np.array(shift, dtype=np.float32), found.geometry)
    field = DisplacementField(_on_whole_grid(coarse.vectors_mm, fixed.geometry, jobs.factors(fixed.geometry, chosen)), fixed.geometry)
    checks = _checks(coarse, fixed, moving, here=here, there=there, shift=shift, recipe=chosen)
    return Registration(field, shift, here, checks, chosen)


def _lungs(image: Volume, name: str) -> Mask:
    try:
        return lungs(image)
    except InputError as error:
        raise InputError(f"No lungs were found on the {name} image", expected=error.expected, found=error.found, do=error.do) from error


def _on_axes(moving: Volume, inside: Mask, reference: Geometry, shift: Triple) -> Volume:
    """The other image around its lungs, interpolated onto voxels of the reference's size and axes, moved back by the shift."""
    import SimpleITK as sitk

    start, size = inside.box(REACH_MM)
    corners = np.array([[i, j, k] for i in (0, size[0] - 1) for j in (0, size[1] - 1) for k in (0, size[2] - 1)], dtype=float) + start
    along = reference.to_index(inside.geometry.to_patient(corners) - np.array(shift))
    first = np.floor(along.min(axis=0))
    nx, ny, nz = (int(n) for n in np.ceil(along.max(axis=0)) - first + 1)
    ox, oy, oz = reference.to_patient(first)
    target = replace(reference, size=(nx, ny, nz), origin_mm=(float(ox), float(oy), float(oz)))
    image = sitk.GetImageFromArray(moving.hu)
    image.SetSpacing(moving.geometry.spacing_mm)
    image.SetOrigin(tuple(np.array(moving.geometry.origin_mm) - shift))
    image.SetDirection(moving.geometry.direction)
    grid = (target.size, sitk.Transform(), sitk.sitkLinear, target.origin_mm, target.spacing_mm, target.direction)
    return Volume(sitk.GetArrayFromImage(sitk.Resample(image, *grid, AIR_HU)), target)


def _run(reference: Volume, other: Volume, here: Mask, recipe: Recipe, *, progress: Progress | None) -> DisplacementField:
    """One job in one process; RegistrationError with elastix' reason where it failed."""
    folder = Path(tempfile.mkdtemp(prefix="rt4d-registration-"))
    if progress:
        progress("registering", 0, 1)
    try:
        shared = jobs.shared_files(folder, reference, here if recipe.mask_mm is not None else None, recipe)
        job = folder / "pair"
        jobs.write_job(job, other, reference.geometry, shared)
        died = processes.run([job], workers=1, done=lambda _: progress("registering", 1, 1) if progress else None)
        answer = jobs.answer(job, died, reference.geometry)
    except OSError as error:
        raise OutputError("The registration's temporary files could not be written", where=folder.parent, found=error.strerror) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if isinstance(answer, str):
        raise RegistrationError("The images could not be registered", found=answer, do="Do both show the same patient's thorax in Hounsfield units?")
    return answer


def _on_whole_grid(vectors: npt.NDArray[np.float32], geometry: Geometry, factors: Sequence[int]) -> npt.NDArray[np.float32]:
    """A field on averaged voxels, linear onto the image's own; at the edges as at the last averaged voxel."""
    for axis, factor, n in zip((2, 1, 0), factors, geometry.size, strict=True):
        if factor == 1:
            continue
        at = np.clip((np.arange(n) - (factor - 1) / 2) / factor, 0, vectors.shape[axis] - 1)
        below = np.minimum(at.astype(int), vectors.shape[axis] - 2)
        share = (at - below).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(4)])
        vectors = (1 - share) * np.take(vectors, below, axis=axis) + share * np.take(vectors, below + 1, axis=axis)
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _checks(
    field: DisplacementField, fixed: Volume, moving: Volume, *, here: Mask, there: Mask, shift: Triple, recipe: Recipe
) -> tuple[Check, ...]:
    """Folding, similarity, overlap and the way back, in the lungs of the first image. They belong to no phase."""
    limits = recipe.limits
    points = here.points_mm
    points = points[:: max(1, len(points) // ENOUGH_POINTS)]
    moved = points + field.near(points)
    folded = 100 * float(np.mean(_looked_up(field.jacobian(), field.geometry, points) <= 0))
    residual = float(np.linalg.norm(field.inverse(moved)[0] - points, axis=-1).max())
    image = _looked_up(fixed.hu, fixed.geometry, points)
    before, after = (correlation(image, _looked_up(moving.hu, moving.geometry, at)) for at in (points + np.array(shift), moved))
    landed = float(np.mean(_looked_up(there.inside.astype(np.uint8), there.geometry, moved) >= 0.5))
    said = f"{100 * landed:.1f} % of the lungs come to lie in the other image's lungs (limit {100 * LUNG_OVERLAP:g} %)"
    return (
        limited("", "jacobian_nonpositive_percent", folded, limits.jacobian_nonpositive_percent, "{:.2f} % of the field in the lungs is folded"),
        similar("", before, after, limits.similarity, where="in the lungs"),
        gained("", before, after, limits.similarity_gain),
        limited("", "inverse_residual_mm", residual, limits.inverse_residual_mm, "points of the lungs come back within {:.2f} mm"),
        Check("", "lung_overlap", landed, LUNG_OVERLAP, "pass" if landed >= LUNG_OVERLAP else "fail", said),
    )


def _looked_up(array: npt.NDArray[np.generic], geometry: Geometry, points_mm: Floats) -> npt.NDArray[np.float32]:
    """The array at points, linear; at the nearest voxel beyond the grid."""
    from scipy import ndimage

    index = np.moveaxis(geometry.to_index(points_mm), -1, 0)[::-1]
    return np.asarray(ndimage.map_coordinates(array, index, order=1, mode="nearest", output=np.float32))
