"""What must hold before ROIs go into a DICOM object that refers to the slices of a CT."""

from __future__ import annotations

from collections.abc import Sequence

from rt4d import geometry as grids
from rt4d.errors import ContourError, DicomError, InputError
from rt4d.phases import CtImage
from rt4d.rois import Roi


def require_writable(on: CtImage, rois: Sequence[Roi], *, label: str, what: str) -> None:
    """Refuse what such an object cannot hold: no ROI, doubled names, empty masks, other grids, too long a label, a CT that names too little."""
    if not rois:
        raise ContourError(f"A {what} needs at least one ROI")
    if not 1 <= len(label) <= 16 or "\\" in label:
        raise InputError(f"A {what}'s label has 1 to 16 characters and no backslash", found=repr(label))
    if not on.geometry.frame_of_reference:
        raise DicomError(f"A CT without a frame of reference cannot carry a {what}", where=on.identity.series_uid, expected="FrameOfReferenceUID")
    if len(on.identity.sop_instance_uids) != on.geometry.size[2]:
        raise DicomError("A CT must name one image for each slice", expected=on.geometry.size[2], found=len(on.identity.sop_instance_uids))
    names = [roi.name.strip().strip("\0") for roi in rois]  # as they are read back; upper and lower case are told apart there
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ContourError(f"Two ROIs of one {what} have the same name", found=", ".join(doubled))
    for roi in rois:
        elsewhere = f"ROI {roi.name} lies on another grid than the CT"
        grids.require(on.geometry, roi.mask.geometry, what=elsewhere, do="Resample it onto the CT's grid first")
        if roi.mask.is_empty:
            raise ContourError(f"ROI {roi.name} is empty, so that there is nothing to write")
