"""DICOM Segmentation objects (PS3.3 A.51) written: one BINARY segment per mask, built by highdicom.

A frame for each slice that a segment has voxels on, with that slice's own position, so uneven and oblique stacks need no more than even ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

from rt4d import __version__
from rt4d.dicom.headers import quiet
from rt4d.dicom.object_file import item, position_reference, referenced_series, save_whole, set_patient_and_study, set_series_and_equipment
from rt4d.dicom.structure_items import THERAPEUTIC_ROLES
from rt4d.dicom.writable import require_writable
from rt4d.phases import CtImage
from rt4d.rois import Roi

if TYPE_CHECKING:
    from highdicom.seg import Segmentation, SegmentDescription

_ABNORMAL = ("49755003", "SCT", "Morphologically Abnormal Structure")
_SPATIAL = ("309825002", "SCT", "Spatial and Relational Concept")
_ANATOMICAL = ("91723000", "SCT", "Anatomical Structure")
_TISSUE = ("85756007", "SCT", "Tissue")
_DEFORMABLE_MODELS = ("123111", "DCM", "Deformable Models")


def write_seg(path: str | Path, *, on: CtImage, rois: Sequence[Roi], label: str = "rt4d") -> Path:
    """A binary segmentation of the masks, one segment each, on the slices of `on`; reading it back gives exactly these masks. Returns its path.

    Segments may overlap. The masks lie on the grid of `on` (GeometryError otherwise). Refused: no ROI, two of one name, an empty mask, a
    label over 16 characters, a CT without a frame of reference. What was at `path` is replaced, and only once the new file is whole.
    """
    require_writable(on, rois, label=label, what="segmentation")
    with quiet():
        dataset = _segmentation(on, rois, label)
    return save_whole(dataset, Path(path), what="The segmentation")


def _segmentation(on: CtImage, rois: Sequence[Roi], label: str) -> Segmentation:
    from highdicom.seg import Segmentation

    used = np.flatnonzero(np.any([roi.mask.inside.any(axis=(1, 2)) for roi in rois], axis=0)).tolist()
    made = Segmentation(
        source_images=[_source(on, z) for z in used],
        pixel_array=np.stack([roi.mask.inside[used] for roi in rois], axis=-1),
        segmentation_type="BINARY",
        segment_descriptions=[_description(number, roi) for number, roi in enumerate(rois, start=1)],
        series_instance_uid=generate_uid(prefix=None),
        series_number=1,
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=1,
        manufacturer="rt4d",
        manufacturer_model_name="rt4d",
        software_versions=__version__,
        device_serial_number="0",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        content_label="SEGMENTATION",
        content_description=label,
    )
    set_patient_and_study(made, on.identity, written="".join([label, *(roi.name + roi.description for roi in rois)]))
    set_series_and_equipment(made, modality="SEG", description=label)
    made.PositionReferenceIndicator = position_reference(on.identity)
    made.ReferencedSeriesSequence = [referenced_series(on.identity)]
    measures = made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SpacingBetweenSlices = _decimals(on.geometry.spacing_mm[2:])[0]  # highdicom's would be that between the slices that hold voxels
    if not on.geometry.is_even:
        del measures.SpacingBetweenSlices
    _refer_to_slices(made, on)
    return made


def _source(on: CtImage, z: int) -> Dataset:
    """What highdicom asks of one slice, and nothing of the patient: that is set by ourselves, malformed values left out."""
    geometry = on.geometry
    nothing = dict.fromkeys(("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"), "")
    source = item(**nothing, StudyDate=None, StudyTime=None, ReferringPhysicianName="", Modality="CT")
    source.SOPClassUID, source.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", _placeholder(on, z)
    source.StudyInstanceUID, source.SeriesInstanceUID = on.identity.study_uid, on.identity.series_uid
    source.FrameOfReferenceUID = geometry.frame_of_reference
    source.Columns, source.Rows = geometry.size[:2]
    source.ImagePositionPatient = _decimals(geometry.to_patient((0, 0, z)))
    source.ImageOrientationPatient = _decimals(geometry.matrix[:, :2].T)
    source.PixelSpacing = _decimals((geometry.spacing_mm[1], geometry.spacing_mm[0]))
    source.SliceThickness = _decimals(geometry.spacing_mm[2:])[0]
    return source


def _placeholder(on: CtImage, z: int) -> str:
    """The UID by which highdicom knows a slice: its own; of a multi-frame CT, whose slices share one, that and the slice."""
    return on.identity.sop_instance_uids[z] if on.identity.frame_numbers is None else f"2.25.{z + 1}"


def _refer_to_slices(made: Dataset, on: CtImage) -> None:
    """Let every reference to a slice of the CT name the class of its file, and in a multi-frame one the frame."""
    slices = {_placeholder(on, z): z for z in range(on.geometry.size[2])}
    derivations = [derivation for group in made.PerFrameFunctionalGroupsSequence for derivation in group.DerivationImageSequence]
    named = [*made.SourceImageSequence, *(source for derivation in derivations for source in derivation.SourceImageSequence)]
    for source in {id(source): source for source in named}.values():  # frames of one slice share the item
        z = slices[source.ReferencedSOPInstanceUID]
        source.ReferencedSOPClassUID = on.identity.sop_class_uid
        source.ReferencedSOPInstanceUID = on.identity.sop_instance_uids[z]
        if on.identity.frame_numbers is not None:
            source.ReferencedFrameNumber = on.identity.frame_numbers[z]


def _description(number: int, roi: Roi) -> SegmentDescription:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription
    from highdicom.sr import CodedConcept

    category, kind = _codes(roi.kind)
    described = SegmentDescription(
        segment_number=number,
        segment_label=roi.name,
        segmented_property_category=CodedConcept(*category),
        segmented_property_type=CodedConcept(*kind),
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(name="rt4d", family=CodedConcept(*_DEFORMABLE_MODELS), version=__version__),
        display_color=CIELabColor.from_rgb(*roi.colour),
    )
    if roi.description:
        described.SegmentDescription = roi.description[:1024]
    return described


def _codes(kind: str) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """Category (CID 7150) and type of a segment: of targets those of CID 9534 Radiotherapy Targets, of organs and the rest something general."""
    if kind in THERAPEUTIC_ROLES:
        return (_ABNORMAL if kind == "GTV" else _SPATIAL), THERAPEUTIC_ROLES[kind]
    return (_ANATOMICAL, _ANATOMICAL) if kind in ("ORGAN", "OAR", "AVOIDANCE", "EXTERNAL") else (_TISSUE, _TISSUE)


def _decimals(numbers: Any) -> list[str]:
    return [str(format_number_as_ds(float(number) + 0.0)) for number in np.ravel(numbers)]
