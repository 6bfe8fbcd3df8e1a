"""Masks written as an RT Structure Set (DICOM PS3.3 A.19) that planning systems accept: whole or not at all, exact when read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ImplicitVRLittleEndian, generate_uid

from rt4d.dicom.object_file import position_reference, refusing, save_whole, set_patient_and_study, set_series_and_equipment
from rt4d.dicom.roi_names import Naming, named
from rt4d.dicom.structure_adding import added_to, open_to_add
from rt4d.dicom.structure_file import RT_STRUCTURE_SET
from rt4d.dicom.structure_items import INTERPRETED_TYPES, THERAPEUTIC_ROLES, referenced_frame, roi_items
from rt4d.dicom.writable import require_writable
from rt4d.errors import ContourError
from rt4d.phases import CtImage
from rt4d.rois import Roi


def write_rtstruct(
    path: str | Path,
    *,
    on: CtImage,
    rois: Sequence[Roi],
    label: str = "rt4d",
    names: Naming = "full",
    into: str | Path | None = None,
    smooth: bool = True,
) -> Path:
    """A structure set of the masks, drawn on the slices of `on`; reading it back gives exactly these masks. Returns its path.

    names: 'full' as given, 'short' in at most 16 characters, 'tg263' with targets named after AAPM TG-263; where a name changes, the ROI
    description begins with the one that was given. into: a structure set of the same patient and frame of reference, all of which the
    new file takes over as it is, its label too, the ROIs being added (see `structure_adding`). smooth: lines as a person would draw them;
    otherwise the outlines of the voxels, in steps, which programs that move each point to the nearest voxel centre (rt-utils) read exactly too.
    The masks lie on the grid of `on` (GeometryError otherwise). Refused: no ROI, two of one name, an empty mask, an unknown kind, a
    label over 16 characters, a CT without a frame of reference. What was at `path` is replaced, and only once the new file is whole
    (OutputError where it cannot be).
    """
    require_writable(on, rois, label=label, what="structure set")
    _require_known_kinds(rois)
    if into is None:
        return save_whole(_dataset(on, _renamed(rois, names), label, smooth=smooth), Path(path), what="The structure set")
    existing = open_to_add(into, on=on)
    with refusing("The structure set to add to", existing.where):
        dataset = added_to(existing, _renamed(rois, names, beside=existing.names), on=on, smooth=smooth)
        return save_whole(dataset, Path(path), what="The structure set")


def _renamed(rois: Sequence[Roi], names: Naming, *, beside: Sequence[str] = ()) -> list[Roi]:
    """The ROIs under the names that go into the file, told by what was given where that is another."""
    renamed = []
    for roi, name in zip(rois, named([roi.name for roi in rois], names, beside=beside), strict=True):
        told = f"{roi.name}: {roi.description}" if roi.description else roi.name
        renamed.append(roi if name == roi.name else replace(roi, name=name, description=told))
    return renamed


def _require_known_kinds(rois: Sequence[Roi]) -> None:
    for roi in rois:
        if roi.kind and roi.kind not in (*INTERPRETED_TYPES, *THERAPEUTIC_ROLES):
            raise ContourError(f"ROI {roi.name} is of an unknown kind", expected=f"ITV or one of {', '.join(INTERPRETED_TYPES)}", found=roi.kind)


def _dataset(on: CtImage, rois: Sequence[Roi], label: str, *, smooth: bool) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(RT_STRUCTURE_SET)
    meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)
    meta.TransferSyntaxUID = ImplicitVRLittleEndian  # the explicit ones cannot hold a contour of more than 64 KiB
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = RT_STRUCTURE_SET, meta.MediaStorageSOPInstanceUID
    set_patient_and_study(dataset, on.identity, written="".join([label, *(roi.name + roi.description for roi in rois)]))
    _structure_set(dataset, label)
    dataset.FrameOfReferenceUID = on.geometry.frame_of_reference
    dataset.PositionReferenceIndicator = position_reference(on.identity)
    dataset.ReferencedFrameOfReferenceSequence = Items([referenced_frame(on)])
    items = [roi_items(roi, on, number=number, observation=number, smooth=smooth) for number, roi in enumerate(rois, start=1)]
    dataset.StructureSetROISequence, dataset.ROIContourSequence, dataset.RTROIObservationsSequence = map(Items, zip(*items, strict=True))
    dataset.ApprovalStatus = "UNAPPROVED"
    return dataset


def _structure_set(dataset: Dataset, label: str) -> None:
    set_series_and_equipment(dataset, modality="RTSTRUCT", description=label)
    del dataset.ContentDate, dataset.ContentTime, dataset.DeviceSerialNumber
    dataset.OperatorsName = ""
    dataset.StructureSetLabel = label
    dataset.StructureSetDate, dataset.StructureSetTime = dataset.SeriesDate, dataset.SeriesTime
