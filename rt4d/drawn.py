"""What a physician drew, and on which image: structure sets become targets with a mask for each phase that was drawn on.

A structure set belongs to the image whose slices it references. One that references none that is here (archives re-number them) is
taken as drawn on the reference phase, where its planes lie on the slices, else on the planning CT.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from rt4d import geometry as grids
from rt4d.dicom.inventory import scan
from rt4d.dicom.series import read_ct
from rt4d.dicom.structures import StructureSet, StructureSetSummary, read_rtstruct, summarise_rtstruct
from rt4d.errors import ContourError, GeometryError, InputError, NotFoundError
from rt4d.phases import CtImage, FourDCT, Phase
from rt4d.resampling import resample_mask
from rt4d.volumes import Mask

PHASE_AT_END = re.compile(r"(?:^|[_\s.-]|T|c)(\d{1,3}(?:p\d+)?(?:In|Ex)?)\s*%?$")


@dataclass(frozen=True, slots=True, eq=False)
class DrawnTarget:
    """One target as drawn: its name, and its mask on the phases' grid by the label of each phase that it was drawn on; source: by whom."""

    name: str
    masks: Mapping[str, Mask]
    notes: tuple[str, ...] = ()
    source: str = "drawn"


@dataclass(frozen=True, slots=True, eq=False)
class _Sheet:
    """One structure set and the image that it was drawn on; `phase` is the label that stands for it."""

    path: Path
    contours: StructureSet
    on: CtImage
    phase: str
    notes: tuple[str, ...]


def drawn_targets(
    ct: FourDCT,
    paths: Sequence[Path],
    *,
    names: Sequence[str] = (),
    folder: Path | None = None,
    planning: CtImage | None = None,
    assume_same_frame: bool = False,
) -> list[DrawnTarget]:
    """The targets in one or more structure sets, in the order of `names` (exact, or with * where the name tells the phase: 'GTV_T*').

    Without names the only ROI, or the only one whose type or name says GTV. `folder` is searched for other CT series (average) that a structure
    set may reference. Raises ContourError or NotFoundError where it cannot be told which ROI or which image is meant, and where the reference
    phase is not among those drawn on.
    """
    sheets = [_sheet(ct, path, folder=folder, planning=planning, assume_same_frame=assume_same_frame) for path in paths]
    patterns = list(names) or [_only_gtv(sheets[0])]
    targets = [_target(ct, pattern, sheets) for pattern in patterns]
    for target in targets:
        if ct.reference_label not in target.masks:
            raise ContourError(
                f"ROI {target.name} was not drawn on the reference phase {ct.reference_label}",
                found=f"drawn on phase {' '.join(target.masks)}",
                do=f"Give --reference {next(iter(target.masks))}, or the structure set of phase {ct.reference_label} too",
            )
    return targets


def _sheet(ct: FourDCT, path: Path, *, folder: Path | None, planning: CtImage | None, assume_same_frame: bool) -> _Sheet:
    summary = summarise_rtstruct(path)
    image = _referenced_phase(ct, summary, path) or _referenced_ct(summary, planning) or _referenced_in(folder, summary)
    if image is not None:
        contours = read_rtstruct(path, on=image, assume_same_frame=assume_same_frame)
        return _Sheet(path, contours, image, image.label if isinstance(image, Phase) else ct.reference_label, contours.notes)
    contours = read_rtstruct(path, on=ct.reference, assume_same_frame=assume_same_frame)
    if planning is not None and not _lies_on_slices(contours):
        contours = read_rtstruct(path, on=planning, assume_same_frame=assume_same_frame)
        note = f"{path.name} references no image that is here; its planes lie on the planning CT's slices, so it is read there"
        return _Sheet(path, contours, planning, ct.reference_label, (note, *contours.notes))
    note = f"{path.name} references no image that is here; taken as drawn on the reference phase {ct.reference_label}"
    return _Sheet(path, contours, ct.reference, ct.reference_label, (note, *contours.notes))


def _lies_on_slices(contours: StructureSet) -> bool:
    """Whether at least one ROI can be read on this image's slices."""
    for name in contours:
        try:
            return not contours[name].is_empty
        except (ContourError, GeometryError):
            continue
    return False


def _referenced_phase(ct: FourDCT, summary: StructureSetSummary, path: Path) -> Phase | None:
    """The phase whose images a structure set references; None where it references no phase."""
    images = set(summary.referenced_sop_uids)
    hits = [phase for phase in ct if images & set(phase.identity.sop_instance_uids)]
    if not hits:
        series = set(summary.referenced_series_uids)
        hits = [phase for phase in ct if phase.identity.series_uid in series]
    if len(hits) > 1:
        raise ContourError(
            "A structure set references images of several phases, so that it cannot be told which one was drawn on",
            where=path.name,
            found=f"phases {' '.join(phase.label for phase in hits)}",
            do="Export it again with the series that it was drawn on",
        )
    return hits[0] if hits else None


def _referenced_ct(summary: StructureSetSummary, image: CtImage | None) -> CtImage | None:
    if image is None:
        return None
    same_series = image.identity.series_uid in summary.referenced_series_uids
    return image if same_series or set(summary.referenced_sop_uids) & set(image.identity.sop_instance_uids) else None


def _referenced_in(folder: Path | None, summary: StructureSetSummary) -> CtImage | None:
    """Another CT series of the folder (average, maximum intensity) that the structure set references."""
    if folder is None or not summary.referenced_series_uids:
        return None
    here = [series.series_uid for series in scan(folder).series if series.modality == "CT" and series.series_uid in summary.referenced_series_uids]
    return read_ct(folder, series_uid=here[0]) if len(here) == 1 else None


def _target(ct: FourDCT, pattern: str, sheets: Sequence[_Sheet]) -> DrawnTarget:
    masks: dict[str, Mask] = {}
    notes: list[str] = []
    for sheet in sheets:
        for phase, name in _matches(ct, pattern, sheet).items():
            if phase in masks:
                raise ContourError(f"ROI {pattern} is drawn twice on phase {phase}", where=sheet.path.name, do="Give one structure set per phase")
            masks[phase] = _on_phase_grid(ct, sheet, name)
            notes.extend(note for note in sheet.notes if note not in notes)
    if not masks:
        known = sorted({name for sheet in sheets for name in sheet.contours})
        raise NotFoundError("No ROI of that name", expected=f"one of {', '.join(known)}", found=pattern, do="Give --roi NAME as it stands there")
    return DrawnTarget(pattern, {label: masks[label] for label in ct.labels if label in masks}, tuple(notes))


def _on_phase_grid(ct: FourDCT, sheet: _Sheet, name: str) -> Mask:
    """The ROI on the phases' grid: as it is where it was drawn on a phase, resampled from another CT of the same frame of reference."""
    mask = sheet.contours[name]
    if isinstance(sheet.on, Phase):
        return mask
    grids.require_same_frame(
        ct.geometry, mask.geometry, what=f"{sheet.path.name} was drawn on a CT in another frame of reference than the 4D-CT", do="Register them first"
    )
    return resample_mask(mask, ct.geometry, keep_volume=True)


def _matches(ct: FourDCT, pattern: str, sheet: _Sheet) -> dict[str, str]:
    """ROI names of one structure set by the phase that each was drawn on."""
    if "*" not in pattern:
        if len(sheet.contours) and not _has(sheet.contours, pattern):
            return {}
        return {sheet.phase: pattern}
    found = [name for name in sheet.contours if fnmatchcase(name, pattern)]
    if len(found) <= 1:
        return {sheet.phase: found[0]} if found else {}
    by_phase: dict[str, str] = {}
    for name in found:
        label = _label_at_end(name)
        if label not in ct.labels or label in by_phase:
            raise ContourError(
                f"{pattern} matches several ROIs whose names do not each end in a phase",
                where=sheet.path.name,
                found=", ".join(found),
                do="Give the exact name with --roi",
            )
        by_phase[label] = name
    return by_phase


def _has(contours: StructureSet, name: str) -> bool:
    try:
        return name in contours
    except ContourError:
        return True  # ambiguous: said when it is asked for


def _label_at_end(name: str) -> str:
    found = PHASE_AT_END.search(name)
    return found[1].zfill(2) if found else ""


def _only_gtv(sheet: _Sheet) -> str:
    """The ROI that is meant when none is named: the only one, or the only GTV."""
    rois = [roi for roi in sheet.contours.summary.rois if roi.contour_count]
    if not rois:
        raise ContourError("A structure set without any closed contour", where=sheet.path.name)
    gtvs = [roi for roi in rois if roi.kind == "GTV" or roi.name.upper().startswith("GTV")]
    chosen = rois if len(rois) == 1 else gtvs
    if len(chosen) != 1:
        names = ", ".join(roi.name for roi in rois)
        raise InputError("Which ROI is the GTV?", where=sheet.path.name, found=names, do="Name it with --roi (several are allowed)")
    return chosen[0].name
