"""The ROIs of a structure set as image files, one each, on the grid of its CT: what `rt4d contours` leaves in a folder."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rt4d import geometry as grids
from rt4d.dicom import filling
from rt4d.dicom.structure_file import RoiSummary
from rt4d.dicom.structures import StructureSet
from rt4d.errors import ContourError, GeometryError
from rt4d.geometry import Geometry
from rt4d.images import write_mask, write_volume
from rt4d.rois import Progress
from rt4d.volumes import Volume

SCHEMA = "rt4d.contours/1"
_LONGEST = 100
"""Characters of a file's name, without its end: file systems take 255 bytes, and DICOM names have 64."""
_DEVICE = re.compile(r"(CON|PRN|AUX|NUL|COM[1-9]|LPT[1-9])(\.|$)", re.IGNORECASE)
"""What Windows takes for a device, whatever follows after a dot."""


@dataclass(frozen=True, slots=True)
class RoiFile:
    """One file and the ROI in it. boundary: whether voxel centres on its contours belong ('inclusive') or half of them ('half-open')."""

    file: str
    roi: str
    number: int
    kind: str
    volume_cm3: float
    boundary: str


@dataclass(frozen=True, slots=True)
class SkippedRoi:
    """An ROI without a file. is_trouble: it has closed contours, or was asked for by name, and could not be used all the same."""

    roi: str
    number: int
    why: str
    is_trouble: bool


@dataclass(frozen=True, slots=True)
class RoiFiles:
    """What was written and what was not."""

    written: tuple[RoiFile, ...]
    skipped: tuple[SkippedRoi, ...]
    notes: tuple[str, ...]
    ct_series_uid: str
    partial_volume: bool

    @property
    def passed(self) -> bool:
        return not any(skipped.is_trouble for skipped in self.skipped)

    def to_dict(self) -> dict[str, Any]:
        """The contract of contours.json."""
        return {
            "schema": SCHEMA,
            "files": {written.file: written.roi for written in self.written},
            "rois": [asdict(written) for written in self.written],
            "skipped": [{"roi": skipped.roi, "number": skipped.number, "why": skipped.why} for skipped in self.skipped],
            "partial_volume": self.partial_volume,
            "ct_series_uid": self.ct_series_uid,
            "notes": list(self.notes),
        }


def write_roi_files(
    contours: StructureSet, folder: Path, *, names: Sequence[str] = (), partial_volume: bool = False, progress: Progress | None = None
) -> RoiFiles:
    """Write `<roi>.nii.gz` for each ROI (of `names`, where given) and contours.json into a folder; what was written and skipped.

    Masks are 0 and 1 (uint8), partial volumes fractions (float32). An ROI that cannot be used is skipped and does not lose the others.
    Raises GeometryError on uneven slices, NotFoundError where a name is none, ContourError where no ROI could be written.
    """
    require_nifti(contours.on.geometry)
    rois = list(dict.fromkeys(roi for name in names for roi in contours.find(name))) or list(contours.summary.rois)
    taken: set[str] = set()
    written, skipped = [], []
    for done, roi in enumerate(rois, start=1):
        try:
            written.append(_write(contours, roi, folder, taken, partial_volume=partial_volume))
        except ContourError as error:
            skipped.append(SkippedRoi(roi.name, roi.number, str(error), bool(roi.contour_count or names)))
        if progress:
            progress("writing ROIs", done, len(rois))
    if not written:
        why = "; ".join(each.why for each in skipped[:3]) + (f"; and {len(skipped) - 3} more" if len(skipped) > 3 else "")
        raise ContourError("No ROI of the structure set could be written", found=why or "it lists none")
    files = RoiFiles(tuple(written), tuple(skipped), contours.notes, contours.on.identity.series_uid, partial_volume)
    (folder / "contours.json").write_text(json.dumps(files.to_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return files


def require_nifti(geometry: Geometry) -> None:
    """Refuse a CT on uneven slices, whose positions a NIfTI file cannot say."""
    try:
        grids.require_even(geometry, what="A NIfTI file")
    except GeometryError as error:
        do = "Add the missing slices; or use rt4d.read_rtstruct in Python, whose masks keep each slice's own position"
        raise GeometryError(error.what, expected=error.expected, found=error.found, do=do) from error


def _write(contours: StructureSet, roi: RoiSummary, folder: Path, taken: set[str], *, partial_volume: bool) -> RoiFile:
    region = contours.region(roi)
    if partial_volume:
        part = filling.partial_volume_of(region)
        name = f"{free_stem(roi.name, taken)}.nii.gz"
        write_volume(folder / name, Volume(part.fraction, part.geometry))
        return RoiFile(name, roi.name, roi.number, roi.kind, part.volume_cm3, region.boundary)
    mask = filling.mask_of(region)
    name = f"{free_stem(roi.name, taken)}.nii.gz"
    write_mask(folder / name, mask)
    return RoiFile(name, roi.name, roi.number, roi.kind, mask.volume_cm3, region.boundary)


def free_stem(name: str, taken: set[str]) -> str:
    """A file's name, without ending, of plain characters that none has yet, on file systems that do not tell case either.

    None is a device of Windows or begins or ends with a dot.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]|^\.+|\.+$", lambda found: "_" * len(found.group()), name[:_LONGEST]) or "_"
    if _DEVICE.match(plain):
        plain = f"_{plain}"
    several, stem = 1, plain
    while stem.casefold() in taken:
        several += 1
        stem = f"{plain}_{several}"
    taken.add(stem.casefold())
    return stem
