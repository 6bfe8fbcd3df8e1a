"""The CT series of a folder that a structure set was drawn on."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from rt4d.dicom.folder import read_folder
from rt4d.dicom.headers import Slice
from rt4d.dicom.phase_labels import kind_of
from rt4d.dicom.series import group_by_series, named, read_ct, require_ct
from rt4d.dicom.structure_file import StructureSetSummary
from rt4d.errors import ContourError
from rt4d.phases import CtImage
from rt4d.rois import Progress


class CtFolder:
    """The CTs of a folder for the structure sets that were drawn on them; headers are read once, and each series once when asked for."""

    def __init__(self, folder: str | Path, *, progress: Progress | None = None) -> None:
        self._folder, self._progress = folder, progress
        self._read: dict[str | None, CtImage] = {}

    def referenced_by(self, summary: StructureSetSummary) -> CtImage:
        """The only CT in the folder; of several series the one that the structure set references, by its images, else by the series.

        Raises ContourError where it references none or several of them; everything that `read_ct` refuses is refused.
        """
        uid = self._referenced_uid(summary) if len(self._by_series) > 1 else None
        if uid not in self._read:
            self._read[uid] = read_ct(self._folder, series_uid=uid, progress=self._progress)
        return self._read[uid]

    @cached_property
    def _by_series(self) -> dict[str, list[Slice]]:
        contents = read_folder(self._folder, progress=self._progress)
        return group_by_series(one for one in require_ct(contents) if kind_of(one) != "localizer")

    def _referenced_uid(self, summary: StructureSetSummary) -> str:
        hits = _referenced(self._by_series, summary)
        if len(hits) != 1:
            listed = "; ".join(named(self._by_series[uid]) for uid in hits or self._by_series)
            raise ContourError(
                "There are several CT series in the folder",
                where=self._folder,
                expected="one that the structure set references",
                found=f"it references {'several' if hits else 'none'} of them: {listed}",
                do="Give the folder of the series that it was drawn on",
            )
        return hits[0]


def read_referenced_ct(folder: str | Path, summary: StructureSetSummary, *, progress: Progress | None = None) -> CtImage:
    """The CT in a folder; of several series the one that the structure set references (see CtFolder.referenced_by)."""
    return CtFolder(folder, progress=progress).referenced_by(summary)


def _referenced(by_series: dict[str, list[Slice]], summary: StructureSetSummary) -> list[str]:
    images = set(summary.referenced_sop_uids)
    hits = [uid for uid, slices in by_series.items() if any(one.file.sop_uid in images for one in slices)]
    return hits or [uid for uid in by_series if uid in summary.referenced_series_uids]
