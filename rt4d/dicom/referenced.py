"""The CT series of a folder that a structure set was drawn on."""

from __future__ import annotations

from pathlib import Path

from rt4d.dicom.folder import read_folder
from rt4d.dicom.headers import Slice
from rt4d.dicom.phase_labels import kind_of
from rt4d.dicom.series import group_by_series, named, read_ct, require_ct
from rt4d.dicom.structure_file import StructureSetSummary
from rt4d.errors import ContourError
from rt4d.phases import CtImage
from rt4d.rois import Progress


def read_referenced_ct(folder: str | Path, summary: StructureSetSummary, *, progress: Progress | None = None) -> CtImage:
    """The CT in a folder; of several series the one that the structure set references, by its images, else by the series.

    Raises ContourError where it references none or several of them; everything that `read_ct` refuses is refused.
    """
    contents = read_folder(folder, progress=progress)
    by_series = group_by_series(one for one in require_ct(contents) if kind_of(one) != "localizer")
    if len(by_series) < 2:
        return read_ct(folder, progress=progress)
    hits = _referenced(by_series, summary)
    if len(hits) != 1:
        raise ContourError(
            "There are several CT series in the folder",
            where=contents.folder,
            expected="one that the structure set references",
            found=f"it references {'several' if hits else 'none'} of them: {'; '.join(named(by_series[uid]) for uid in hits or by_series)}",
            do="Give the folder of the series that it was drawn on",
        )
    return read_ct(folder, series_uid=hits[0], progress=progress)


def _referenced(by_series: dict[str, list[Slice]], summary: StructureSetSummary) -> list[str]:
    images = set(summary.referenced_sop_uids)
    hits = [uid for uid, slices in by_series.items() if any(one.file.sop_uid in images for one in slices)]
    return hits or [uid for uid in by_series if uid in summary.referenced_series_uids]
