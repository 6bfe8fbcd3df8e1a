"""One CT series from a folder: found, sorted, checked, read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from rt4d.dicom.folder import Contents, read_folder
from rt4d.dicom.headers import Slice
from rt4d.dicom.phase_labels import kind_of
from rt4d.dicom.pixels import read_hu, require_readable
from rt4d.dicom.stacking import stack
from rt4d.errors import DicomError, NotFoundError
from rt4d.phases import CtImage, SeriesIdentity
from rt4d.rois import Progress
from rt4d.volumes import Volume


def read_ct(folder: str | Path, *, series_uid: str | None = None, progress: Progress | None = None) -> CtImage:
    """The one CT series in a folder (planning CT, average CT); of several, the one named by `series_uid`.

    Everything else in the folder (structure sets, scouts) is passed over. Slices at uneven distances keep their own positions. Values
    are Hounsfield units, int16, padding and all below −1024 as −1024. Refused, by file name: no or several series, slices that are no
    stack, values that are no Hounsfield units, files without UIDs or that are cut off.
    """
    contents = read_folder(folder, progress=progress)
    by_series = group_by_series(s for s in require_ct(contents) if kind_of(s) != "localizer")
    if series_uid is not None and series_uid not in by_series:
        raise NotFoundError("No CT series of that UID in the folder", expected=f"one of {_listed(by_series)}", found=series_uid)
    if series_uid is None and len(by_series) > 1:
        raise DicomError(
            "There are several CT series in the folder",
            where=contents.folder,
            expected="one",
            found=_listed(by_series),
            do="Give the folder of one series, or choose by series_uid",
        )
    if not by_series:
        raise DicomError("There is no CT series in the folder but scouts", where=contents.folder, found=contents.inventory)
    uid = series_uid or next(iter(by_series))
    slices = by_series[uid]
    require_one_patient(slices)
    geometry, ordered = stack(slices, what="the CT series")
    require_readable(ordered)
    hu = np.empty(geometry.shape, np.int16)
    read_hu(list(zip(ordered, hu, strict=True)), progress=progress)
    return CtImage(Volume(hu, geometry), identity_of(ordered))


def require_ct(contents: Contents) -> tuple[Slice, ...]:
    """The CT slices of a folder; refused where there is none, and where a file is broken, for it may be one of them."""
    if contents.unreadable:
        broken = contents.unreadable[0]
        others = f" (and {len(contents.unreadable) - 1} more)" if len(contents.unreadable) > 1 else ""
        what = f"A DICOM file cannot be read{others}"
        raise DicomError(what, where=broken.name, found=broken.reason, do="Copy or export it again; if it is none of the CT's, move it away")
    if contents.slices:
        return contents.slices
    what = "There is no CT in the folder" if contents.files or contents.others else "The folder is empty"
    do = "Give the folder that holds the DICOM files of the CT"
    raise NotFoundError(what, where=contents.folder, expected="CT images", found=contents.inventory, do=do)


def group_by_series(slices: Iterable[Slice]) -> dict[str, list[Slice]]:
    by_series: dict[str, list[Slice]] = {}
    for one in slices:
        by_series.setdefault(one.file.series_uid, []).append(one)
    return by_series


def require_one_patient(slices: Sequence[Slice]) -> None:
    """Refuse images of two patients, naming files and no patient. A file that names none is taken to be of the same."""
    for keyword, place in (("PatientID", _patient_id), ("PatientName", _patient_name)):
        known: dict[str, Slice] = {}
        for one in slices:
            if identity := place(one):
                known.setdefault(identity, one)
        if len(known) > 1:
            first, second, *_ = known.values()
            raise DicomError(
                "Images of two patients lie in one folder",
                where=f"{first.name} and {second.name}",
                found=f"different {keyword}",
                do="Keep one patient in the folder",
            )


def identity_of(ordered: Sequence[Slice]) -> SeriesIdentity:
    """The DICOM identity of a stack; the patient's attributes are those of the first file that names one."""
    file = ordered[0].file
    naming = next((one.file for one in ordered if any(one.file.patient_key)), file)
    return SeriesIdentity(
        study_uid=file.study_uid,
        series_uid=file.series_uid,
        sop_class_uid=file.sop_class_uid,
        sop_instance_uids=tuple(one.file.sop_uid for one in ordered),
        frame_numbers=None if ordered[0].frame is None else tuple(one.frame or 1 for one in ordered),
        patient=naming.patient,
        series_description=file.series_description,
        patient_position=file.patient_position,
    )


def named(slices: Sequence[Slice]) -> str:
    """A series in a message: what it calls itself, how many slices, one of its files."""
    one = slices[0]
    description = f"'{one.file.series_description}' " if one.file.series_description else ""
    return f"{description}({len(slices)} slices, {one.file.name} …, {one.file.series_uid})"


def _listed(by_series: dict[str, list[Slice]]) -> str:
    return "; ".join(named(slices) for slices in by_series.values())


def _patient_id(one: Slice) -> str:
    return one.file.patient_key[0]


def _patient_name(one: Slice) -> str:
    return one.file.patient_key[1]
