"""The registration engine: itk-elastix, one registration in one thread. Runs inside a worker process; nothing else imports itk.

The reference is elastix' fixed image and the phase its moving image, so elastix' own transform takes points of the reference to the phase.

Both images are handed over in the reference region's own frame (axes along the voxels, zero at its first voxel): elastix' linear
interpolator takes image gradients along voxel axes for gradients in the patient, so on an oblique grid it walks the wrong way. The vectors
are turned into the patient afterwards. The result therefore does not depend on how the grid lies in the patient.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rt4d.errors import RegistrationError
from rt4d.geometry import Triple

LOG = "elastix.log"


def register(
    reference: npt.NDArray[np.float32],
    phase: npt.NDArray[np.float32],
    *,
    spacing_mm: Triple,
    phase_offset_mm: Triple,
    parameter_files: Sequence[Path],
    mask: npt.NDArray[np.bool_] | None,
    mask_from: int = 1,
    folder: Path,
) -> npt.NDArray[np.float32]:
    """u along the voxel axes x y z in mm on the reference's grid, shape (z, y, x, 3).

    phase_offset_mm: the phase's first voxel along the voxel axes, from the reference's. parameter_files: the stages, one after the other.
    mask: where samples are taken from stage `mask_from` on (the first is 1), on the reference's grid; None: everywhere, always.
    folder: private to this call; elastix' log is left in it. RegistrationError says in one line what elastix said.
    """
    fixed = image(reference, spacing_mm, (0.0, 0.0, 0.0))
    moving = image(phase, spacing_mm, phase_offset_mm)
    try:
        within = None if mask is None else _mask_image(mask, spacing_mm)
        stages = [(path, within if number >= mask_from else None) for number, path in enumerate(parameter_files, start=1)]
        transform = optimise(fixed, moving, stages, folder)
        field = _field_of(transform, moving, shape=reference.shape, spacing_mm=spacing_mm, folder=folder)
    except RuntimeError as error:
        raise RegistrationError("elastix stopped", found=reason_in(folder / LOG, str(error))) from error
    if field.shape != (*reference.shape, 3) or not np.isfinite(field).all():
        raise RegistrationError("elastix returned a field that is not finite on the whole region", found=f"shape {field.shape}")
    return field


def optimise(fixed: Any, moving: Any, stages: Sequence[tuple[Path, Any]], folder: Path) -> Any:
    """elastix' transform after all stages, each a parameter file and a mask image or None, each beginning where the one before it ended."""
    from itk import elxParameterObjectPython, itkElastixRegistrationMethodPython

    found = None
    for path, mask in stages:
        parameters = elxParameterObjectPython.elastixParameterObject.New()
        parameters.AddParameterFile(str(path))
        method = itkElastixRegistrationMethodPython.itkElastixRegistrationMethodIF3IF3.New()
        method.SetParameterObject(parameters)
        method.SetFixedImage(fixed)
        method.SetMovingImage(moving)
        if mask is not None:
            method.SetFixedMask(mask)
        if found is not None:
            method.SetInitialTransformParameterObject(found)
        _one_thread_and_a_quiet_log(method, folder)
        method.UpdateLargestPossibleRegion()
        found = method.GetTransformParameterObject()
    return found


def _field_of(transform: Any, moving: Any, *, shape: tuple[int, ...], spacing_mm: Triple, folder: Path) -> npt.NDArray[np.float32]:
    """The transform as a field. B-splines that are added up are summed here, axis by axis, in milliseconds; all else is left to transformix."""
    maps = [{key: tuple(values) for key, values in dict(transform.GetParameterMap(i)).items()} for i in range(transform.GetNumberOfParameterMaps())]
    added = all(each["HowToCombineTransforms"] == ("Add",) for each in maps[1:])
    if added and all(each["Transform"] == ("BSplineTransform",) and each["BSplineTransformSplineOrder"] == ("3",) for each in maps):
        return np.asarray(np.sum([bspline_field(each, shape=shape, spacing_mm=spacing_mm) for each in maps], axis=0, dtype=np.float32))
    return transformix_field(transform, moving, folder=folder)


def bspline_field(parameters: Mapping[str, Sequence[str]], *, shape: tuple[int, ...], spacing_mm: Triple) -> npt.NDArray[np.float32]:
    """The field of elastix' cubic B-spline transform on a grid from zero along the axes: a sum of coefficients × a weight of each axis."""
    nodes = [int(n) for n in parameters["GridSize"]]
    begin, step = ([float(v) for v in parameters[key]] for key in ("GridOrigin", "GridSpacing"))
    coefficients = np.array(parameters["TransformParameters"], dtype=np.float64).reshape(3, *nodes[::-1])
    x, y, z = (_weights((np.arange(shape[2 - i]) * spacing_mm[i] - begin[i]) / step[i], nodes[i]) for i in range(3))
    return np.ascontiguousarray(np.einsum("czyx,Xx,Yy,Zz->ZYXc", coefficients, x, y, z, optimize=True), dtype=np.float32)


def _weights(at: npt.NDArray[np.floating[Any]], nodes: int) -> npt.NDArray[np.float64]:
    """The cubic B-spline (Unser 1999) of each node at each place, in units of node distance, shape (places, nodes)."""
    t = np.abs(at[:, None] - np.arange(nodes))
    return np.asarray(np.where(t < 1, 2 / 3 - t**2 + t**3 / 2, np.where(t < 2, (2 - t) ** 3 / 6, 0.0)))


def transformix_field(transform: Any, moving: Any, *, folder: Path) -> npt.NDArray[np.float32]:
    """The field of any transform, or of several one after the other, by elastix' own program."""
    from itk import itkPyBufferPython, itkTransformixFilterPython

    transformix = itkTransformixFilterPython.itkTransformixFilterIF3.New()
    transformix.SetMovingImage(moving)
    transformix.SetTransformParameterObject(transform)
    transformix.ComputeDeformationFieldOn()
    _one_thread_and_a_quiet_log(transformix, folder, log="transformix.log")
    transformix.UpdateLargestPossibleRegion()
    return np.asarray(itkPyBufferPython.itkPyBufferIVF33.GetArrayFromImage(transformix.GetOutputDeformationField()), dtype=np.float32)


def _one_thread_and_a_quiet_log(step: Any, folder: Path, *, log: str = LOG) -> None:
    """elastix' results depend on its number of threads: one, always. Cores are used by registering phases side by side."""
    if hasattr(step, "SetNumberOfThreads"):
        step.SetNumberOfThreads(1)
    step.SetNumberOfWorkUnits(1)
    step.LogToConsoleOff()
    step.SetOutputDirectory(str(folder))
    step.SetLogFileName(log)
    step.LogToFileOn()


def image(array: npt.NDArray[np.float32], spacing_mm: Triple, origin_mm: Triple) -> Any:
    from itk import itkPyBufferPython

    return _placed(itkPyBufferPython.itkPyBufferIF3.GetImageFromArray(np.ascontiguousarray(array, dtype=np.float32)), spacing_mm, origin_mm)


def _mask_image(mask: npt.NDArray[np.bool_], spacing_mm: Triple) -> Any:
    from itk import itkPyBufferPython

    return _placed(itkPyBufferPython.itkPyBufferIUC3.GetImageFromArray(np.ascontiguousarray(mask, dtype=np.uint8)), spacing_mm, (0.0, 0.0, 0.0))


def _placed(image: Any, spacing_mm: Triple, origin_mm: Triple) -> Any:
    image.SetSpacing([float(v) for v in spacing_mm])
    image.SetOrigin([float(v) for v in origin_mm])
    return image


def reason_in(log: Path, otherwise: str) -> str:
    """What elastix says went wrong, in one line: elastix' exception itself only says that there was one."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    described = re.findall(r"Description:\s*(?:ITK ERROR:\s*)?(.+?)(?:\n\s*\n|\nError occurred|\nLocation|$)", text, flags=re.DOTALL)
    said = described or re.findall(r"ERROR:?\s*(.+)", text)
    return " ".join((said[-1] if said else otherwise).split())[:300]
