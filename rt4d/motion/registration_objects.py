"""Motion as Deformable Spatial Registration objects, out and in. Which way a DICOM grid goes is told in rt4d/dicom/deformable.py."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from rt4d import geometry as grids
from rt4d.dicom.deformable import read_grid, write_grid
from rt4d.errors import GeometryError, InputError, RegistrationError
from rt4d.geometry import Floats, Geometry
from rt4d.motion.fields import DisplacementField
from rt4d.motion.motion import INVERSE_LIMIT_MM, Motion
from rt4d.phases import CtImage, FourDCT
from rt4d.volumes import Mask

Way = Literal["reference_to_phase", "phase_to_reference"]
SLAB_VOXELS = 2_000_000
"""So many voxels are inverted at a time: memory stays small."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DeformableRegistration:
    """A registration read from DICOM: `map` takes points of the registered CT to where they lie in the source CT.

    known: where the object defines a vector, on its grid in the registered frame of reference. registered_series, source_series: the
    UIDs of the two CTs' series, '' where the object names no images. source_frame: the frame of reference that points arrive in.
    """

    known: Mask
    source_frame: str
    registered_series: str
    source_series: str
    _filled: DisplacementField

    @property
    def geometry(self) -> Geometry:
        return self.known.geometry

    @property
    def field(self) -> DisplacementField:
        """The whole field; GeometryError where some of it is undefined, which `map` refuses point by point."""
        if not self.known.inside.all():
            found = f"{np.count_nonzero(~self.known.inside)} of {self.known.inside.size} vectors undefined"
            raise GeometryError("The deformable registration is not defined on all of its grid", found=found, do="Use map, or crop it")
        return self._filled

    def map(self, points_mm: npt.ArrayLike) -> Floats:
        """Where points of the registered CT lie in the source CT, LPS mm, shape (..., 3); GeometryError where that is not defined."""
        from scipy import ndimage

        mapped = self._filled.map(points_mm)
        index = self.geometry.to_index(points_mm).reshape(-1, 3).T[::-1]
        unknown = ndimage.map_coordinates((~self.known.inside).astype(np.float32), index, order=1, mode="nearest")
        if (unknown > 1e-6).any():
            raise GeometryError("A point is asked for where the registration is undefined", found=f"{np.count_nonzero(unknown > 1e-6)} points")
        return mapped

    def __repr__(self) -> str:
        return f"DeformableRegistration({self._filled!r}, {100 * self.known.inside.mean():.0f} % defined)"


def write_deformable_registration(path: str | Path, motion: Motion, *, ct: FourDCT, phase: str, mapping: Way = "reference_to_phase") -> Path:
    """A Deformable Spatial Registration of one phase of a motion on `ct`, in either direction. Returns its path.

    'reference_to_phase': points of the reference phase to that phase, the field itself; it pulls the phase's image onto the reference.
    'phase_to_reference': its inverse at the same voxels, undefined (NaN) where these come from outside the registered region or the
    field is folded. Refused: the reference, a phase that failed or was skipped, a 4D-CT with another reference.
    """
    if phase == motion.reference_label or ct.reference_label != motion.reference_label:
        what = "A registration leads from the reference of the motion to another phase"
        raise InputError(what, expected=f"reference {motion.reference_label}", found=f"reference {ct.reference_label}, phase {phase}")
    if mapping not in ("reference_to_phase", "phase_to_reference"):
        raise InputError("Not a direction of motion", expected="reference_to_phase or phase_to_reference", found=mapping)
    grids.require_same_frame(ct.geometry, motion.region, what="The motion is not of this 4D-CT")
    motion.reference_to_phase(phase, motion.region.origin_mm)  # a phase without a field is refused there, with its reason
    field, reference, other = motion.fields[phase], ct.reference, ct[phase]
    if mapping == "reference_to_phase":
        label = f"{motion.reference_label} to {phase}"
        return write_grid(path, field.vectors_mm, field.geometry, registered=reference, source=other, label=label)
    label = f"{phase} to {motion.reference_label}"
    return write_grid(path, inverse_vectors(field), field.geometry, registered=other, source=reference, label=label)


def inverse_vectors(field: DisplacementField) -> npt.NDArray[np.float32]:
    """v at the field's own voxel centres y with y + v(y) = x and x + u(x) = y, shape (z, y, x, 3); NaN where there is no such x within its grid.

    Raises RegistrationError where there is none at all.
    """
    geometry = field.geometry
    nx, ny, nz = geometry.size
    vectors = np.empty((*geometry.shape, 3), dtype=np.float32)
    planes = max(1, SLAB_VOXELS // (nx * ny))
    for z in range(0, nz, planes):
        y = geometry.crop((0, 0, z), (nx, ny, min(planes, nz - z))).centres()
        x, miss_mm, within = field.inverse(y)
        vectors[z : z + planes] = np.where((within & (miss_mm <= INVERSE_LIMIT_MM))[..., None], x - y, np.nan)
    if np.isnan(vectors).all():
        raise RegistrationError("The field has no inverse on its grid")
    return vectors


def read_deformable_registration(path: str | Path, *, on: CtImage | None = None) -> DeformableRegistration:
    """The registration in a Deformable Spatial Registration object, by whatever system: its matrices are taken into the field.

    on: the registered CT; an object of another patient or frame of reference is refused. Raises DicomError where the file is something
    else or broken.
    """
    grid = read_grid(path, on=on)
    known = np.asarray(np.isfinite(grid.vectors_mm).all(axis=-1))
    filled = np.where(known[..., None], grid.vectors_mm, np.float32(0))
    field = DisplacementField(filled, grid.geometry)
    return DeformableRegistration(Mask(known, grid.geometry), grid.source_frame, grid.registered_series, grid.source_series, field)
