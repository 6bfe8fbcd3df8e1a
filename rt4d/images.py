"""Masks, volumes and displacement fields as image files that other programs open: NIfTI, MHA, NRRD, by their ending, through SimpleITK.

A file without a DICOM frame of reference gets none: its grid then meets others on trust of position alone.

A displacement field is an image of three numbers per voxel, LPS mm, as ITK, ANTs, elastix and plastimatch exchange it. In NIfTI too: it has
the intent 'vector' (1007), whose numbers ITK takes as they stand. NIfTI's own 'displacement vector' (1006) is RAS; ITK turns it when reading.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from rt4d import geometry as grids
from rt4d.errors import GeometryError, InputError, NotFoundError, OutputError
from rt4d.geometry import Geometry
from rt4d.nifti_files import require_whole, undefined_numbers
from rt4d.volumes import Mask, Volume

if TYPE_CHECKING:
    from rt4d.motion import DisplacementField

FORMATS = (".nii.gz", ".nii", ".mha", ".nrrd")


def write_mask(path: str | Path, mask: Mask) -> Path:
    """The path of a mask written as 0 and 1 (uint8), whole or not at all; refused on uneven slices, which these formats cannot say."""
    grids.require_even(mask.geometry, what="An image file")
    return _write(Path(path), mask.inside.astype(np.uint8), mask.geometry)


def write_volume(path: str | Path, volume: Volume) -> Path:
    """The path of a volume written in its own number type, whole or not at all; refused on uneven slices."""
    grids.require_even(volume.geometry, what="An image file")
    return _write(Path(path), volume.hu, volume.geometry)


def write_field(path: str | Path, field: DisplacementField) -> Path:
    """The path of a displacement field written as float32 vectors, LPS mm, whole or not at all."""
    return _write(Path(path), field.vectors_mm, field.geometry)


def read_mask(path: str | Path) -> Mask:
    """The mask in a file: what is not zero is inside. A file that holds more than two values, or undefined ones, is refused."""
    array, geometry = read_labels(path)
    values = np.unique(array)
    if len(values) > 2 or (len(values) == 2 and 0 not in values):
        shown = ", ".join(f"{v:g}" for v in values[:4])
        raise InputError("A mask file holds zero and one other value", where=path, found=f"{len(values)} values: {shown} …")
    return Mask(array != 0, geometry)


def read_labels(path: str | Path) -> tuple[npt.NDArray[Any], Geometry]:
    """The numbers of a mask or a map of several labels, and its grid. Undefined ones are refused."""
    do = "Find out how they came in, and write 0 where nothing was drawn"
    return _read(Path(path), what="An image with undefined values (NaN) is no mask", do=do)


def read_volume(path: str | Path) -> Volume:
    """The volume in a file, in Hounsfield units as they stand there. Undefined ones, as around a field of view, are refused."""
    do = "Write the file with numbers there: outside the field of view air, -1000 HU"
    return Volume(*_read(Path(path), what="An image with undefined values (NaN) is no CT", do=do))


def read_field(path: str | Path) -> DisplacementField:
    """The displacement field in a file of three numbers per voxel, LPS mm, as float32: x lies at x + u(x). Undefined vectors are refused."""
    from rt4d.motion import DisplacementField

    array, geometry = _read(Path(path), numbers=3, what="A displacement field must be finite")
    return DisplacementField(array.astype(np.float32), geometry)


def _read(path: Path, *, what: str, do: str = "", numbers: int = 1) -> tuple[Any, Geometry]:
    """Array and grid; where numbers are undefined refused, saying what is so and what to do."""
    if not path.is_file():
        raise NotFoundError("No such file", where=path)
    require_whole(path)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        do = f"Give a whole file of the kind {', '.join(FORMATS)}"
        raise InputError("This image file cannot be read", where=path, found=_last_line(error), do=do) from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != numbers:
        found = f"{image.GetDimension()} dimensions, {image.GetNumberOfComponentsPerPixel()} values per voxel"
        needed = "one number" if numbers == 1 else f"{numbers} numbers"
        raise InputError(f"An image of {needed} per voxel in three dimensions is needed", where=path, found=found)
    array = sitk.GetArrayFromImage(image)
    _require_finite(array, path, what=what, do=do)
    return right_handed(array, image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection(), where=path)


def _require_finite(array: Any, path: Path, *, what: str, do: str) -> None:
    """Refuse numbers that are undefined in the array or, of NIfTI, in the file."""
    if not np.issubdtype(array.dtype, np.floating):
        return
    if undefined := undefined_numbers(path) or int(np.count_nonzero(~np.isfinite(array))):
        counted = "voxels" if array.ndim == 3 else "numbers"
        found = f"{undefined} of {array.size} {counted} ({100 * undefined / array.size:.2g} %) undefined or infinite"
        raise InputError(what, where=path, found=found, do=do)


def right_handed(array: Any, size: Any, spacing: Any, origin: Any, direction: Any, *, where: object) -> tuple[Any, Geometry]:
    """Array and grid with right-handed axes: where a file's slices run against the normal, both are turned over together."""
    matrix = np.array(direction, dtype=float).reshape(3, 3)
    if np.linalg.det(matrix) < 0:
        origin = np.array(origin) + matrix[:, 2] * spacing[2] * (size[2] - 1)
        matrix[:, 2] *= -1
        array = array[::-1]
    try:
        return array, Geometry(size, spacing, tuple(origin), tuple(_rotation(matrix).ravel()))
    except GeometryError as error:
        raise GeometryError("The image's grid cannot be used", where=where, found=str(error)) from error


def _rotation(matrix: Any) -> Any:
    """The rotation nearest to a direction that a file rounded (NIfTI: single precision); one far from any is left for Geometry to refuse."""
    left, stretch, right = np.linalg.svd(matrix)
    return left @ right if np.abs(stretch - 1).max() < 1e-3 else matrix


def _write(path: Path, array: Any, geometry: Geometry) -> Path:
    if not (suffix := next((s for s in FORMATS if path.name.lower().endswith(s)), "")):
        raise InputError("Not a kind of image file that is written here", where=path.name, expected=" ".join(FORMATS))
    image = sitk.GetImageFromArray(array, isVector=array.ndim == 4)
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(geometry.origin_mm)
    image.SetDirection(geometry.direction)
    beside = path.with_name(f".{path.name.removesuffix(suffix)}.{os.getpid()}.partial{suffix}")
    try:
        sitk.WriteImage(image, str(beside), useCompression=True, compressionLevel=1)
        # Compressed NIfTI is written without a word when the disk is full: only reading it back tells.
        if not np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(beside))), array):
            raise OutputError("The image file was not written whole", where=path, do="Is the disk full?")
        beside.replace(path)
    except RuntimeError as error:
        raise OutputError("The image file could not be written whole", where=path, found=_last_line(error), do="Is the disk full?") from error
    finally:
        beside.unlink(missing_ok=True)
    return path


def _last_line(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1].strip()
