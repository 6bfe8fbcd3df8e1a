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
import SimpleITK as sitk

from rt4d import geometry as grids
from rt4d.errors import GeometryError, InputError, NotFoundError, OutputError
from rt4d.geometry import Geometry
from rt4d.nifti_files import require_whole
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
    """The mask in a file: what is not zero is inside. A file that holds more than two values is refused."""
    array, geometry = _read(Path(path))
    values = np.unique(array)
    if len(values) > 2 or (len(values) == 2 and 0 not in values):
        shown = ", ".join(f"{v:g}" for v in values[:4])
        raise InputError("A mask file holds zero and one other value", where=path, found=f"{len(values)} values: {shown} …")
    return Mask(array != 0, geometry)


def read_volume(path: str | Path) -> Volume:
    """The volume in a file, in Hounsfield units as they stand there."""
    return Volume(*_read(Path(path)))


def read_field(path: str | Path) -> DisplacementField:
    """The displacement field in a file of three numbers per voxel, LPS mm, as float32: x lies at x + u(x). Undefined vectors are refused."""
    from rt4d.motion import DisplacementField

    array, geometry = _read(Path(path), numbers=3)
    if not np.isfinite(array).all():
        raise InputError("A displacement field must be finite", where=path, found="infinite or undefined vectors")
    return DisplacementField(array.astype(np.float32), geometry)


def _read(path: Path, *, numbers: int = 1) -> tuple[Any, Geometry]:
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
    return right_handed(sitk.GetArrayFromImage(image), image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection(), where=path)


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
