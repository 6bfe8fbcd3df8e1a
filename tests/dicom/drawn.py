"""CTs and structure sets as tests need them, made with pydicom alone so that they owe nothing to the code under test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from rt4d.geometry import Geometry
from rt4d.phases import CtImage, SeriesIdentity
from rt4d.rois import Roi
from rt4d.volumes import Mask, Volume
from tests.conftest import POSES

CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
FRAME = "1.2.826.0.1.3680043.8.498.1"
UNEVEN = (0.0, 2.0, 5.0, 6.5, 9.5, 12.5, 15.5, 18.0)
PATIENT = {
    "PatientName": "Phantom^Rose",
    "PatientID": "P-1",
    "PatientBirthDate": "19500101",
    "PatientSex": "F",
    "StudyDate": "20260102",
    "StudyTime": "101112",
}


@dataclass(frozen=True)
class Drawn:
    """An ROI to put into a hand-made structure set; each contour is (n, 3) in patient coordinates."""

    name: str
    contours: Sequence[np.ndarray]
    kind: str = "GTV"
    number: int = 1
    geometric_type: str = "CLOSED_PLANAR"
    frame: str | None = FRAME


def grid(pose: str = "HFS", size: tuple[int, int, int] = (12, 10, 8), *, uneven: bool = False, frame: str = FRAME) -> Geometry:
    return Geometry(size, (1.0, 1.5, 3.0), (-20.0, 30.0, -100.0), POSES[pose], frame, UNEVEN if uneven else None)


def ct_image(geometry: Geometry, patient: dict[str, str] | None = None, *, multi_frame: bool = False) -> CtImage:
    """A CT in memory with an identity of its own."""
    n = geometry.size[2]
    uids = (generate_uid(),) * n if multi_frame else tuple(generate_uid() for _ in range(n))
    frames = tuple(range(1, n + 1)) if multi_frame else None
    sop_class = "1.2.840.10008.5.1.4.1.1.2.1" if multi_frame else CT_STORAGE
    identity = SeriesIdentity(generate_uid(), generate_uid(), sop_class, uids, frames, PATIENT if patient is None else patient)
    return CtImage(Volume(np.zeros(geometry.shape, np.int16), geometry), identity)


def ball(on: CtImage, radius_mm: float = 4.0, name: str = "GTV", **kwargs: object) -> Roi:
    """A ball in the middle of the CT as an ROI."""
    geometry = on.geometry
    centre = geometry.to_patient((np.array(geometry.size) - 1) / 2)
    return Roi(name, Mask(((geometry.centres() - centre) ** 2).sum(axis=-1) < radius_mm**2, geometry), **kwargs)


def write_ct(ct: CtImage, folder: Path) -> Path:
    """The CT as one plain DICOM file per slice."""
    folder.mkdir(parents=True, exist_ok=True)
    matrix, positions = ct.geometry.matrix, ct.geometry.to_patient([[0, 0, z] for z in range(ct.geometry.size[2])])
    for z, uid in enumerate(ct.identity.sop_instance_uids):
        slice_ = _file(CT_STORAGE, uid, explicit=True)
        for keyword, value in ct.identity.patient.items():
            setattr(slice_, keyword, value)
        slice_.StudyID = slice_.AccessionNumber = slice_.ReferringPhysicianName = ""
        slice_.Modality, slice_.SeriesNumber, slice_.InstanceNumber = "CT", "1", str(z + 1)
        slice_.StudyInstanceUID, slice_.SeriesInstanceUID = ct.identity.study_uid, ct.identity.series_uid
        slice_.FrameOfReferenceUID = ct.geometry.frame_of_reference
        slice_.ImagePositionPatient = [f"{value:.6g}" for value in positions[z]]
        slice_.ImageOrientationPatient = [f"{value:.10g}" for value in (*matrix[:, 0], *matrix[:, 1])]
        slice_.PixelSpacing = [ct.geometry.spacing_mm[1], ct.geometry.spacing_mm[0]]
        slice_.SliceThickness = ct.geometry.spacing_mm[2]
        slice_.Rows, slice_.Columns = ct.geometry.size[1], ct.geometry.size[0]
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 16, 15, 1
        slice_.RescaleSlope, slice_.RescaleIntercept = 1, 0
        slice_.PixelData = np.ascontiguousarray(ct.volume.hu[z], dtype="<i2").tobytes()
        slice_.save_as(folder / f"{z:03d}.dcm", enforce_file_format=True)
    return folder


def structure_set(
    on: CtImage, *rois: Drawn, references: bool = True, frame: str | None = FRAME, patient: dict[str, str] | None = None
) -> FileDataset:
    """A structure set with these ROIs, as any writer might make it."""
    dataset = _file(RT_STRUCTURE_SET, generate_uid(), explicit=False)
    for keyword, value in (PATIENT if patient is None else patient).items():
        setattr(dataset, keyword, value)
    dataset.Modality, dataset.StructureSetLabel = "RTSTRUCT", "drawn"
    dataset.Manufacturer = "nobody"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = on.identity.study_uid, generate_uid()
    if frame is not None:
        images = [_image(uid) for uid in on.identity.sop_instance_uids] if references else []
        series = _item(SeriesInstanceUID=on.identity.series_uid, ContourImageSequence=Items(images))
        study = _item(RTReferencedSeriesSequence=Items([series]))
        dataset.ReferencedFrameOfReferenceSequence = Items([_item(FrameOfReferenceUID=frame, RTReferencedStudySequence=Items([study]))])
    dataset.StructureSetROISequence = Items([_listed(roi) for roi in rois])
    dataset.ROIContourSequence = Items([_contoured(roi) for roi in rois])
    dataset.RTROIObservationsSequence = Items(
        [_item(ObservationNumber=n, ReferencedROINumber=roi.number, RTROIInterpretedType=roi.kind) for n, roi in enumerate(rois, start=1)]
    )
    return dataset


def listing_another(dataset: FileDataset, other: CtImage) -> FileDataset:
    """The structure set with a second series in its list of references."""
    listed = dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence
    more = structure_set(other).ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    listed.insert(0, more)
    return dataset


def referring(dataset: FileDataset, *uids: str) -> FileDataset:
    """The structure set whose first ROI has contours that name these images, in turn."""
    for contour, uid in zip(dataset.ROIContourSequence[0].ContourSequence, uids, strict=True):
        contour.ContourImageSequence = Items([_image(uid)])
    return dataset


def saved(dataset: FileDataset, path: Path) -> Path:
    dataset.save_as(path, enforce_file_format=True)
    return path


def polygon(geometry: Geometry, xy: Sequence[Sequence[float]], z: float) -> np.ndarray:
    """A polygon given in index coordinates of slice z, in patient coordinates (n, 3)."""
    corners = np.asarray(xy, dtype=float)
    return geometry.to_patient(np.column_stack([corners, np.full(len(corners), float(z))]))


def box(x0: float, y0: float, x1: float, y1: float) -> list[list[float]]:
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def without_uids(ct: CtImage) -> CtImage:
    """The same CT as an archive re-numbers it."""
    return CtImage(ct.volume, replace(ct.identity, sop_instance_uids=tuple(generate_uid() for _ in ct.identity.sop_instance_uids)))


def _file(sop_class: str, uid: str, *, explicit: bool) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, uid
    return dataset


def _listed(roi: Drawn) -> Dataset:
    item = _item(ROINumber=roi.number, ROIName=roi.name)
    if roi.frame is not None:
        item.ReferencedFrameOfReferenceUID = roi.frame
    return item


def _contoured(roi: Drawn) -> Dataset:
    drawn = [
        _item(ContourGeometricType=roi.geometric_type, NumberOfContourPoints=len(points), ContourData=[f"{value:.6g}" for value in np.ravel(points)])
        for points in roi.contours
    ]
    return _item(ReferencedROINumber=roi.number, ContourSequence=Items(drawn))


def _image(uid: str) -> Dataset:
    return _item(ReferencedSOPClassUID=CT_STORAGE, ReferencedSOPInstanceUID=uid)


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item
