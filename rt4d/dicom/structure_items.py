"""The parts of a structure set: an ROI with its contours, and the references that lead from its frame of reference to every image."""

from __future__ import annotations

import numpy as np
from pydicom.charset import default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag

from rt4d.dicom.contours import contours_by_slice
from rt4d.dicom.object_file import code, item
from rt4d.errors import InputError
from rt4d.geometry import Floats
from rt4d.phases import CtImage
from rt4d.rois import Roi

DECIMALS = 4
"""Of a millimetre in contour coordinates: no contour comes nearer than 0.056 voxels to a voxel centre, so none is won or lost."""
STUDY_REFERENCE = "1.2.840.10008.3.1.2.3.1"
"""Detached Study Management: retired, and still what a reference to a study carries (PS3.3 C.8.8.5.4)."""

INTERPRETED_TYPES = (
    *("EXTERNAL", "PTV", "CTV", "GTV", "TREATED_VOLUME", "IRRAD_VOLUME", "OAR", "BOLUS", "AVOIDANCE", "ORGAN", "MARKER", "REGISTRATION"),
    *("ISOCENTER", "CONTRAST_AGENT", "CAVITY", "BRACHY_CHANNEL", "BRACHY_ACCESSORY", "BRACHY_SRC_APP", "BRACHY_CHNL_SHLD", "SUPPORT"),
    *("FIXATION", "DOSE_REGION", "CONTROL", "DOSE_MEASUREMENT", "DEVICE"),
)
"""The defined terms of RT ROI Interpreted Type (PS3.3 C.8.8.8.1)."""
THERAPEUTIC_ROLES = {
    "GTV": ("228791009", "SCT", "GTV"),
    "CTV": ("228792002", "SCT", "CTV"),
    "ITV": ("130056", "DCM", "ITV"),
    "PTV": ("228793007", "SCT", "PTV"),
}
"""CID 9534 Radiotherapy Targets. No interpreted type is for an ITV: it goes as CTV, on which ICRU 62 builds the ITV, and its code says ITV."""

_CONTOUR_DATA = Tag("ContourData")


def roi_items(roi: Roi, on: CtImage, *, number: int, observation: int, smooth: bool) -> tuple[Dataset, Dataset, Dataset]:
    """An ROI's items of the structure set ROI, the ROI contour and the RT ROI observations sequence."""
    return _roi(number, roi, on), _roi_contour(number, roi, on, smooth=smooth), _observation(number, observation, roi)


def referenced_frame(on: CtImage) -> Dataset:
    """frame of reference → study → series → every slice."""
    return item(FrameOfReferenceUID=on.geometry.frame_of_reference, RTReferencedStudySequence=Items([referenced_study(on)]))


def referenced_study(on: CtImage) -> Dataset:
    return item(
        ReferencedSOPClassUID=STUDY_REFERENCE,
        ReferencedSOPInstanceUID=on.identity.study_uid,
        RTReferencedSeriesSequence=Items([referenced_series(on)]),
    )


def referenced_series(on: CtImage) -> Dataset:
    images = [_image(on, z) for z in range(on.geometry.size[2])]
    return item(SeriesInstanceUID=on.identity.series_uid, ContourImageSequence=Items(images))


def _image(on: CtImage, z: int) -> Dataset:
    image = item(ReferencedSOPClassUID=on.identity.sop_class_uid, ReferencedSOPInstanceUID=on.identity.sop_instance_uids[z])
    if on.identity.frame_numbers is not None:
        image.ReferencedFrameNumber = on.identity.frame_numbers[z]
    return image


def _roi(number: int, roi: Roi, on: CtImage) -> Dataset:
    listed = item(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=on.geometry.frame_of_reference,
        ROIName=roi.name,
        ROIGenerationAlgorithm="AUTOMATIC",
    )
    if roi.description:
        listed.ROIDescription = roi.description[:1024]
    return listed


def _roi_contour(number: int, roi: Roi, on: CtImage, *, smooth: bool) -> Dataset:
    polygons = contours_by_slice(roi.mask.inside, smooth=smooth)
    slices = np.repeat([float(z) for z, _ in polygons], [len(corners) for _, corners in polygons])
    points_mm = on.geometry.to_patient(np.column_stack([np.concatenate([corners for _, corners in polygons]), slices]))
    parts = np.split(points_mm, np.cumsum([len(corners) for _, corners in polygons])[:-1])
    drawn = [_contour(part, _image(on, z), n) for n, ((z, _), part) in enumerate(zip(polygons, parts, strict=True), start=1)]
    return item(ReferencedROINumber=number, ROIDisplayColor=list(roi.colour), ContourSequence=Items(drawn))


def _contour(points_mm: Floats, image: Dataset, number: int) -> Dataset:
    contour = item(
        ContourNumber=number, ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=len(points_mm), ContourImageSequence=Items([image])
    )
    value = decimal_text(points_mm).encode("ascii")
    value += b" " * (len(value) % 2)
    contour.set_original_encoding(is_implicit_vr=True, is_little_endian=True, character_encoding=default_encoding)
    contour[_CONTOUR_DATA] = RawDataElement(_CONTOUR_DATA, "DS", len(value), value, 0, True, True)  # written as it is: no number is parsed again
    return contour


def decimal_text(numbers: Floats) -> str:
    """Numbers as DICOM decimal strings (DS) of at most 16 characters each, rounded to DECIMALS, joined by backslashes."""
    rounded = np.round(numbers, DECIMALS).ravel() + 0.0  # + 0.0: no '-0.0'
    if np.abs(rounded).max(initial=0) >= 1e9:
        raise InputError("A coordinate is too large to be written", expected="less than 10⁹ mm", found=f"{np.abs(rounded).max():.3g} mm")
    joined = "\\".join([*map(repr, rounded.tolist()), ""])  # repr: the shortest text of a number, and fast
    return joined.replace(".0\\", "\\")[:-1]


def _observation(number: int, observation: int, roi: Roi) -> Dataset:
    kind = "CTV" if roi.kind == "ITV" else roi.kind
    observed = item(ObservationNumber=observation, ReferencedROINumber=number, RTROIInterpretedType=kind, ROIInterpreter="")
    if role := THERAPEUTIC_ROLES.get(roi.kind):
        observed.TherapeuticRoleCategoryCodeSequence = Items([code("130041", "DCM", "RT Target")])
        observed.TherapeuticRoleTypeCodeSequence = Items([code(*role)])
    return observed
