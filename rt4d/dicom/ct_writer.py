"""CT Image Storage series out of a volume and its identity: generated phases, and average, MIP and minimum CTs.

What is written: DICOM PS3.3 A.3 (CT Image IOD), one file per slice, explicit little endian, 16 bits.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

from rt4d import __version__
from rt4d.dicom.object_file import position_reference, set_patient_and_study
from rt4d.errors import InputError
from rt4d.geometry import Geometry
from rt4d.phases import CtImage, SeriesIdentity

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
IMPLEMENTATION_UID = generate_uid(entropy_srcs=["rt4d implementation"])


def write_ct_series(
    image: CtImage,
    folder: str | Path,
    *,
    series_description: str | None = None,
    image_comments: str | None = None,
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL"),
    series_number: int = 1,
    unsigned: bool = False,
    workers: int | None = None,
) -> list[Path]:
    """The files of a series, in the order of the array's z, in a folder that is made where it is missing.

    HU are rounded to whole numbers; stored signed with intercept 0, or `unsigned` with intercept −1024 as most scanners do (lower values are then
    refused). Positions come from the geometry, uneven slices included. series_description: the identity's own where None.
    Raises InputError where the identity does not name one UID per slice or where HU do not fit.
    """
    stored, intercept = _stored(image.volume.hu, unsigned=unsigned)
    identity, geometry = image.identity, image.geometry
    if identity.frame_numbers is not None or len(set(identity.sop_instance_uids)) != geometry.size[2]:
        found = f"{len(set(identity.sop_instance_uids))} UIDs for {geometry.size[2]} slices"
        raise InputError("A series is written with one UID per slice", found=found, do="Make it a new identity with derived_identity or new_identity")
    description = (identity.series_description if series_description is None else series_description)[:64]
    template = _template(image, intercept, stored.dtype, written=description + (image_comments or ""))
    template.ImageType = list(image_type)
    template.SeriesDescription = description
    template.SeriesNumber = series_number
    if image_comments:
        template.ImageComments = image_comments
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)

    def write(k: int) -> Path:
        path = out / f"CT_{k + 1:04d}.dcm"
        dcmwrite(path, _slice(template, image, k, stored[k]), enforce_file_format=True)
        return path

    with ThreadPoolExecutor(max_workers=workers or 2) as pool:
        return list(pool.map(write, range(geometry.size[2])))


def new_identity(
    geometry: Geometry,
    *,
    patient_id: str = "RT4D",
    description: str = "",
    study_uid: str | None = None,
    patient_position: str = "HFS",
    seed: str | None = None,
) -> SeriesIdentity:
    """An identity for a new series on that grid. Its UIDs come from `seed` where one is given, else they are fresh."""

    def made(part: str) -> str:
        return uid(None if seed is None else f"{seed} {part}")

    return SeriesIdentity(
        study_uid=study_uid or made("study"),
        series_uid=made("series"),
        sop_class_uid=CT_IMAGE_STORAGE,
        sop_instance_uids=tuple(made(f"slice {k}") for k in range(geometry.size[2])),
        patient={"PatientID": patient_id, "PatientName": patient_id.replace("-", "^", 1)},
        series_description=description,
        patient_position=patient_position,
    )


def derived_identity(identity: SeriesIdentity, *, description: str, slices: int | None = None) -> SeriesIdentity:
    """An identity for a series computed from another: the same patient and study, new UIDs for series and images."""
    count = len(identity.sop_instance_uids) if slices is None else slices
    fresh = tuple(uid() for _ in range(count))
    return replace(
        identity,
        series_uid=uid(),
        sop_class_uid=CT_IMAGE_STORAGE,
        sop_instance_uids=fresh,
        frame_numbers=None,
        series_description=description,
    )


def uid(seed: str | None = None) -> str:
    """A UID: always the same for a seed, a fresh one without."""
    return str(generate_uid(prefix=None) if seed is None else generate_uid(entropy_srcs=[seed]))


def _stored(hu: npt.NDArray[np.generic], *, unsigned: bool) -> tuple[npt.NDArray[np.generic], int]:
    """Whole numbers as they go into the file (shape z y x), and the intercept that makes them HU."""
    whole = hu if np.issubdtype(hu.dtype, np.integer) else np.rint(hu)
    intercept, kind = (-1024, np.dtype("<u2")) if unsigned else (0, np.dtype("<i2"))
    low, high = np.iinfo(kind).min + intercept, np.iinfo(kind).max + intercept
    if not np.isfinite(whole).all() or whole.min() < low or whole.max() > high:
        raise InputError("HU do not fit into 16 bits", expected=f"{low} to {high}", found=f"{whole.min():g} to {whole.max():g}")
    return (whole if intercept == 0 else whole.astype(np.int32) - intercept).astype(kind, copy=False), intercept


def _template(image: CtImage, intercept: int, kind: np.dtype[np.generic], *, written: str) -> Dataset:
    """All that the slices of the series share."""
    dataset, now = Dataset(), datetime.now(UTC)
    set_patient_and_study(dataset, image.identity, written=written)
    _set_frame(dataset, image)
    dataset.SeriesDate = dataset.ContentDate = dataset.AcquisitionDate = now.strftime("%Y%m%d")
    dataset.SeriesTime = dataset.ContentTime = dataset.AcquisitionTime = now.strftime("%H%M%S")
    dataset.Modality = "CT"
    dataset.Manufacturer = "rt4d"
    dataset.ManufacturerModelName = "rt4d"
    dataset.DeviceSerialNumber = "0"
    dataset.SoftwareVersions = __version__
    dataset.BodyPartExamined = "CHEST"
    dataset.KVP = ""
    dataset.AcquisitionNumber = ""
    dataset.SeriesInstanceUID = image.identity.series_uid
    dataset.PatientPosition = image.identity.patient_position or "HFS"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = int(kind.kind == "i")
    dataset.RescaleIntercept = str(intercept)
    dataset.RescaleSlope = "1"
    dataset.RescaleType = "HU"
    dataset.WindowCenter, dataset.WindowWidth = "-300", "1800"
    return dataset


def _set_frame(dataset: Dataset, image: CtImage) -> None:
    geometry, axes = image.geometry, image.geometry.matrix
    dataset.FrameOfReferenceUID = geometry.frame_of_reference or uid(f"{image.identity.series_uid} frame")
    dataset.PositionReferenceIndicator = position_reference(image.identity)
    dataset.ImageOrientationPatient = [_ds(v) for v in (*axes[:, 0], *axes[:, 1])]
    dataset.PixelSpacing = [_ds(geometry.spacing_mm[1]), _ds(geometry.spacing_mm[0])]
    dataset.SliceThickness = _ds(geometry.spacing_mm[2])
    dataset.Rows, dataset.Columns = geometry.size[1], geometry.size[0]


def _slice(template: Dataset, image: CtImage, k: int, pixels: npt.NDArray[np.generic]) -> Dataset:
    dataset = Dataset()
    dataset.update(template)
    instance = UID(image.identity.sop_instance_uids[k])
    position = image.geometry.to_patient((0, 0, k))
    dataset.SOPClassUID, dataset.SOPInstanceUID = UID(CT_IMAGE_STORAGE), instance
    dataset.InstanceNumber = k + 1
    dataset.ImagePositionPatient = [_ds(v) for v in position]
    dataset.SliceLocation = _ds(float(position @ image.geometry.normal))
    dataset.add_new(0x7FE00010, "OW", pixels.tobytes())
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID, meta.ImplementationVersionName = IMPLEMENTATION_UID, f"RT4D_{__version__}"[:16]
    dataset.file_meta = meta
    return dataset


def _ds(value: float) -> str:
    """A number as DICOM's decimal string: 16 characters at most, −0 as 0."""
    return str(format_number_as_ds(float(value) + 0.0))
