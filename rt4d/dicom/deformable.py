"""Deformable Spatial Registration objects (PS3.3 A.39.2, C.20.3): a grid of vectors that takes points of one CT to their place in another.

Which way it goes. The standard applies the grid to points of the *Registered* RCS, the frame of reference of the object itself, and
arrives in the *Source* RCS, that of the item which holds the grid (C.20.3.1.1):

    x_source = M_post · (M_pre · x_registered + d(x_registered))

It tells "how to sample data from the Source RCS into the Registered RCS": the source image is pulled onto the registered one. A field
u that takes points x of A to x + u(x) in B is therefore written as it is with A registered and B the source: d = u, both matrices the
identity. For rt4d's motion: `reference_to_phase` has the reference phase registered and the phase as source; `phase_to_reference`, the
inverse field on the phase's points, has the phase registered and the reference as source.

The phases of a 4D-CT share one frame of reference, so frames tell nothing apart. The object has two items: the first, without a grid,
names the images of the registered CT (they stay where they are); the second, with the grid, names the images of the source. Vectors
that are not known are (NaN, NaN, NaN), as C.20.3.1.3 has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

from rt4d.dicom.object_file import (
    code,
    item,
    open_object,
    position_reference,
    referenced_series,
    refusing,
    require_patient,
    save_whole,
    set_patient_and_study,
    set_series_and_equipment,
    text,
)
from rt4d.errors import ContourError, DicomError, GeometryError, InputError
from rt4d.geometry import Floats, Geometry, require_even, require_same_frame
from rt4d.phases import CtImage, SeriesIdentity

DEFORMABLE_REGISTRATION = "1.2.840.10008.5.1.4.1.1.66.3"
MAX_BYTES = 2**32 - 2**20
"""Of vectors in one object: the lengths of DICOM elements and sequences are numbers of 32 bits."""

_IDENTITY = ("1", "0", "0", "0", "0", "1", "0", "0", "0", "0", "1", "0", "0", "0", "0", "1")
_BY_CONTENT = ("125024", "DCM", "Image Content-based Alignment")
_BY_FRAME = ("125021", "DCM", "Frame of Reference Identity")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DeformationGrid:
    """What an object says: x of the registered frame lies at x + `vectors_mm` of the source frame, both matrices taken in.

    vectors_mm: float32, LPS mm, shape (z, y, x, 3), NaN where undefined. geometry: the grid in the registered frame of reference.
    registered_series, source_series: UIDs of the series whose images are named, '' where none is.
    """

    vectors_mm: npt.NDArray[np.float32]
    geometry: Geometry
    source_frame: str
    registered_series: str = ""
    source_series: str = ""


def write_grid(
    path: str | Path, vectors_mm: npt.NDArray[np.float32], geometry: Geometry, *, registered: CtImage, source: CtImage, label: str = "rt4d"
) -> Path:
    """An object that takes points x of `registered` to x + vectors in `source`. Returns its path; replaced only once the new file is whole.

    vectors_mm: LPS mm, shape (z, y, x, 3) on `geometry`, an even grid in the frame of reference of `registered`; NaN where it is not known.
    Refused: CTs of different patients, or one without a frame of reference; a grid in another frame; more than 4 GiB of vectors.
    """
    _check(vectors_mm, geometry, registered, source)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(DEFORMABLE_REGISTRATION)
    meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    set_patient_and_study(dataset, registered.identity, written=label)
    set_series_and_equipment(dataset, modality="REG", description=label)
    dataset.Laterality = ""
    dataset.ContentLabel, dataset.ContentDescription, dataset.ContentCreatorName = "DEFORMATION", label, ""
    dataset.FrameOfReferenceUID = registered.geometry.frame_of_reference
    dataset.PositionReferenceIndicator = position_reference(registered.identity)
    stays, moves = _registration(registered, _BY_FRAME), _registration(source, _BY_CONTENT)
    moves.DeformableRegistrationGridSequence = Items([_grid(vectors_mm, geometry)])
    dataset.DeformableRegistrationSequence = Items([stays, moves])
    _refer(dataset, registered.identity, source.identity)
    return save_whole(dataset, Path(path), what="The deformable registration")


def _check(vectors_mm: npt.NDArray[np.float32], geometry: Geometry, registered: CtImage, source: CtImage) -> None:
    require_even(geometry, what="A deformation grid")
    if vectors_mm.shape != (*geometry.shape, 3):
        raise GeometryError("A deformation grid needs one vector per voxel", expected=(*geometry.shape, 3), found=vectors_mm.shape)
    if (size := 12 * int(np.prod(geometry.size, dtype=np.int64))) > MAX_BYTES:
        do = "Register a smaller region, or sample the field on a coarser grid"
        raise InputError("A deformation grid is too large for a DICOM object", expected="less than 4 GiB", found=f"{size / 2**30:.1f} GiB", do=do)
    for image in (registered, source):
        if not image.geometry.frame_of_reference:
            what = "A CT without a frame of reference cannot be registered in DICOM"
            raise DicomError(what, where=image.identity.series_uid, expected="FrameOfReferenceUID")
    require_same_frame(registered.geometry, geometry, what="The grid lies in another frame of reference than the registered CT")
    require_patient(item(**_identifiers(source.identity)), registered, what="The source CT", where=source.identity.series_uid)


def _identifiers(identity: SeriesIdentity) -> dict[str, str]:
    return {keyword: identity.patient.get(keyword, "") for keyword in ("PatientID", "PatientName")}


def _registration(image: CtImage, method: tuple[str, str, str]) -> Dataset:
    """What is said of one CT: its frame, its images, and matrices that change nothing."""
    matrix = item(FrameOfReferenceTransformationMatrix=list(_IDENTITY), FrameOfReferenceTransformationMatrixType="RIGID")
    return item(
        SourceFrameOfReferenceUID=image.geometry.frame_of_reference,
        ReferencedImageSequence=Items(_images(image.identity)),
        RegistrationTypeCodeSequence=Items([code(*method)]),
        PreDeformationMatrixRegistrationSequence=Items([matrix]),
        PostDeformationMatrixRegistrationSequence=Items([matrix]),
    )


def _images(identity: SeriesIdentity) -> list[Dataset]:
    """One item for each file, with its frames where it has several."""
    frames: dict[str, list[int]] = {uid: [] for uid in identity.sop_instance_uids}
    for uid, number in zip(identity.sop_instance_uids, identity.frame_numbers or (), strict=False):
        frames[uid].append(number)
    images = []
    for uid, numbers in frames.items():
        image = item(ReferencedSOPClassUID=identity.sop_class_uid, ReferencedSOPInstanceUID=uid)
        if numbers:
            image.ReferencedFrameNumber = sorted(numbers)
        images.append(image)
    return images


def _grid(vectors_mm: npt.NDArray[np.float32], geometry: Geometry) -> Dataset:
    return item(
        ImageOrientationPatient=[str(format_number_as_ds(float(v) + 0.0)) for v in geometry.matrix[:, :2].T.ravel()],
        ImagePositionPatient=[str(format_number_as_ds(float(v) + 0.0)) for v in geometry.origin_mm],
        GridDimensions=list(geometry.size),
        GridResolution=list(geometry.spacing_mm),
        VectorGridData=np.ascontiguousarray(vectors_mm, dtype="<f4").tobytes(),
    )


def _refer(dataset: Dataset, registered: SeriesIdentity, source: SeriesIdentity) -> None:
    """Name the series of both CTs, one of another study under that study (PS3.3 C.12.2)."""
    series = {image.series_uid: referenced_series(image) for image in (source, registered) if image.study_uid == registered.study_uid}
    dataset.ReferencedSeriesSequence = Items(list(series.values()))
    if source.study_uid != registered.study_uid:
        other = item(StudyInstanceUID=source.study_uid, ReferencedSeriesSequence=Items([referenced_series(source)]))
        dataset.StudiesContainingOtherReferencedInstancesSequence = Items([other])


def read_grid(path: str | Path, *, on: CtImage | None = None) -> DeformationGrid:
    """What an object says, its matrices taken into the vectors.

    on: the registered CT: another patient or frame of reference is refused (ContourError). Raises DicomError where the file is
    something else, broken, or holds several grids.
    """
    path = Path(path)
    dataset = open_object(path, (DEFORMABLE_REGISTRATION,), what="A Deformable Spatial Registration")
    with refusing("The deformable registration", path.name):
        frame = text(dataset, "FrameOfReferenceUID")
        if on is not None:
            _require_registered(dataset, on, path.name)
        items = list(dataset.DeformableRegistrationSequence)
        moving = [each for each in items if each.get("DeformableRegistrationGridSequence")]
        if len(moving) != 1:
            raise DicomError("An object with one deformation grid is needed", where=path.name, found=f"{len(moving)} grids")
        geometry, vectors = _vectors(moving[0].DeformableRegistrationGridSequence[0], frame, path.name)
        stays = [series for each in items if each is not moving[0] for series in _series(each, dataset)]
        return DeformationGrid(
            _with_matrices(vectors, geometry, moving[0], where=path.name),
            geometry,
            text(moving[0], "SourceFrameOfReferenceUID"),
            stays[0] if stays else "",
            next(iter(_series(moving[0], dataset)), ""),
        )


def _require_registered(dataset: Dataset, on: CtImage, where: str) -> None:
    require_patient(dataset, on, what="The deformable registration", where=where)
    frame = text(dataset, "FrameOfReferenceUID")
    if not frame or frame != on.geometry.frame_of_reference:
        what = "The deformable registration starts in another frame of reference than the CT"
        raise ContourError(what, where=where, expected=on.geometry.frame_of_reference or "none named by the CT", found=frame or "none")


def _vectors(grid: Dataset, frame: str, where: str) -> tuple[Geometry, npt.NDArray[np.float32]]:
    nx, ny, nz = (int(n) for n in grid.GridDimensions)
    row, column = np.array(grid.ImageOrientationPatient, dtype=float).reshape(2, 3)
    rx, ry, rz = (float(v) for v in grid.GridResolution)
    x, y, z = (float(v) for v in grid.ImagePositionPatient)
    direction = np.column_stack([row, column, np.cross(row, column)])
    geometry = Geometry((nx, ny, nz), (rx, ry, rz), (x, y, z), tuple(direction.ravel()), frame)
    data, expected = grid.VectorGridData, 12 * nx * ny * nz
    if len(data) < expected:
        raise DicomError("A deformation grid is cut short", where=where, expected=f"{expected} bytes", found=len(data))
    kind = ">f4" if grid.original_encoding[1] is False else "<f4"
    return geometry, np.frombuffer(data, dtype=kind, count=3 * nx * ny * nz).reshape(nz, ny, nx, 3).astype(np.float32)


def _with_matrices(vectors: npt.NDArray[np.float32], geometry: Geometry, moving: Dataset, *, where: str) -> npt.NDArray[np.float32]:
    """Vectors u with x + u = M_post (M_pre x + d) at every voxel; affine matrices leave it linear between them, as it was."""
    before, after = (_matrix(moving, f"{when}DeformationMatrixRegistrationSequence", where=where) for when in ("Pre", "Post"))
    if not (np.array_equal(before, np.eye(4)) and np.array_equal(after, np.eye(4))):
        for z, plane in enumerate(vectors):
            x = geometry.crop((0, 0, z), (*geometry.size[:2], 1)).centres()[0]
            moved = x @ before[:3, :3].T + before[:3, 3] + plane
            vectors[z] = moved @ after[:3, :3].T + after[:3, 3] - x
    if np.isinf(vectors).any():
        raise DicomError("A deformation grid holds infinite vectors", where=where)
    return vectors


def _matrix(moving: Dataset, keyword: str, *, where: str) -> Floats:
    if not moving.get(keyword):
        return np.eye(4)
    matrix = np.array(moving[keyword].value[0].FrameOfReferenceTransformationMatrix, dtype=float).reshape(4, 4)
    if not np.isfinite(matrix).all() or not np.array_equal(matrix[3], [0, 0, 0, 1]):
        raise DicomError("A registration matrix is no affine one", where=where, expected="a last row of 0 0 0 1", found=matrix[3].tolist())
    return matrix


def _series(registration: Dataset, dataset: Dataset) -> list[str]:
    """The series whose images an item names, as the object's lists of references tell them."""
    images = {text(image, "ReferencedSOPInstanceUID") for image in registration.get("ReferencedImageSequence") or []}
    studies = [dataset, *(dataset.get("StudiesContainingOtherReferencedInstancesSequence") or [])]
    return [
        text(series, "SeriesInstanceUID")
        for study in studies
        for series in study.get("ReferencedSeriesSequence") or []
        if images & {text(image, "ReferencedSOPInstanceUID") for image in series.get("ReferencedInstanceSequence") or []}
    ]
