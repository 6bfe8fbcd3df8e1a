"""What a physician drew, and on which image: structure sets become targets with a mask for each phase that was drawn on.

A structure set belongs to the image whose slices it references. One that references none that is here (archives re-number them) is
taken as drawn on the reference phase, where its planes lie on the slices, else on the planning CT.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rt4d import geometry as grids
from rt4d.dicom.inventory import scan
from rt4d.dicom.series import read_ct
from rt4d.dicom.structures import StructureSet, StructureSetSummary, read_rtstruct, summarise_rtstruct
from rt4d.errors import ContourError, GeometryError, InputError, NotFoundError
from rt4d.phases import CtImage, FourDCT, Phase, label_of
from rt4d.resampling import resample_mask
from rt4d.volumes import Mask

PHASE_AT_END = re.compile(r"(?:^|[_\s-]|(?<!\d)\.|T|c)(\d{1,3}(?:[p.,]\d{1,2})?)(In|Ex)?\s*%?$")
PROJECTIONS = {"mip": "a maximum intensity projection", "minip": "a minimum intensity projection"}
"""CTs that show where the tumour is in any phase (or in all): what is drawn on them is no GTV of one phase."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnTarget:
    """One target as drawn: its name, and its mask on the phases' grid by the label of each phase that it was drawn on; source: by whom."""

    name: str
    masks: Mapping[str, Mask]
    notes: tuple[str, ...] = ()
    source: str = "drawn"


@dataclass(frozen=True, slots=True, eq=False)
class _Sheet:
    """One structure set and the image that it was drawn on; `phase` is the label that stands for it. what: that image in words, '' for a phase."""

    path: Path
    contours: StructureSet
    on: CtImage
    phase: str
    what: str
    notes: tuple[str, ...]


def drawn_targets(
    ct: FourDCT,
    paths: Sequence[Path],
    *,
    names: Sequence[str] = (),
    folder: Path | None = None,
    planning: CtImage | None = None,
    assume_same_frame: bool = False,
    interpolate_missing: bool = False,
) -> list[DrawnTarget]:
    """The targets in one or more structure sets, in the order of `names` (exact, or with * where the name tells the phase: 'GTV_T*').

    Without names the only ROI of each, or the only one whose type or name says GTV. `folder` is searched for other CT series (average) that a
    structure set may reference. interpolate_missing: as for `read_rtstruct`. Raises ContourError or NotFoundError where it cannot be told which
    ROI or which image is meant, where a structure set holds none that is meant, and where the reference phase is not among those drawn on.
    """
    if doubled := sorted({name for name in names if list(names).count(name) > 1}):
        raise InputError("An ROI is asked for twice", found=", ".join(doubled), do="Name it once")
    read = partial(read_rtstruct, assume_same_frame=assume_same_frame, interpolate_missing=interpolate_missing)
    sheets = [_sheet(ct, path, folder=folder, planning=planning, read=read) for path in paths]
    wanted = [(name, [name] * len(sheets)) for name in names] or [_only_gtvs(ct, sheets)]
    used: set[int] = set()
    targets = [_target(ct, name, zip(sheets, patterns, strict=True), used) for name, patterns in wanted]
    for number, sheet in enumerate(sheets):
        if number not in used:
            raise ContourError(
                "A structure set holds no ROI that is asked for",
                where=sheet.path.name,
                expected=", ".join(names),
                found=", ".join(sheet.contours.names),
                do="Name its ROI with --roi too ('GTV_*' where the names tell the phase), or leave the file out",
            )
    for target in targets:
        if ct.reference_label not in target.masks:
            raise ContourError(
                f"ROI {target.name} was not drawn on the reference phase {ct.reference_label}",
                found=f"drawn on phase {' '.join(target.masks)}",
                do=f"Give --reference {next(iter(target.masks))}, or the structure set of phase {ct.reference_label} too",
            )
    return targets


def _sheet(ct: FourDCT, path: Path, *, folder: Path | None, planning: CtImage | None, read: Callable[..., StructureSet]) -> _Sheet:
    summary = summarise_rtstruct(path)
    if (phase := _referenced_phase(ct, summary, path)) is not None:
        return _Sheet(path, contours := read(path, on=phase), phase, phase.label, "", contours.notes)
    what, image = "the planning CT", _referenced_ct(summary, planning)
    if image is None:
        what, image = _referenced_in(folder, summary, path)
    if image is not None:
        note = f"{path.name} was drawn on {what}, which is no phase of the 4D-CT; taken as the GTV of the reference phase {ct.reference_label}"
    elif planning is not None and not _lies_on_slices(read(path, on=ct.reference)):
        what, image = "the planning CT", planning
        note = f"{path.name} references no image that is here; its planes lie on the planning CT's slices, so it is read there"
    else:
        note = f"{path.name} references no image that is here; taken as drawn on the reference phase {ct.reference_label}"
    contours = read(path, on=image or ct.reference)
    return _Sheet(path, contours, image or ct.reference, ct.reference_label, what, (note, *contours.notes))


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
    if len(hits) > 1 and summary.referenced_frames:  # all phases are frames of one image
        frames = set(summary.referenced_frames)
        hits = [phase for phase in hits if frames & set(zip(phase.identity.sop_instance_uids, phase.identity.frame_numbers or (), strict=False))]
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


def _referenced_in(folder: Path | None, summary: StructureSetSummary, path: Path) -> tuple[str, CtImage | None]:
    """Another CT series of the folder (average) that the structure set references, in words and as it is."""
    if folder is None or not summary.referenced_series_uids:
        return "", None
    here = [series for series in scan(folder).series if series.modality == "CT" and series.series_uid in summary.referenced_series_uids]
    if len(here) != 1:
        return "", None
    if here[0].role in PROJECTIONS:
        raise ContourError(
            f"A structure set was drawn on {PROJECTIONS[here[0].role]}, which shows no single place of the tumour",
            where=path.name,
            expected="a GTV drawn on a phase, on the average or on the planning CT",
            do="Draw it on the reference phase",
        )
    what = "the average CT" if here[0].role == "average" else "another CT of the folder"
    return what, read_ct(folder, series_uid=here[0].series_uid)


def _target(ct: FourDCT, name: str, sheets: Iterable[tuple[_Sheet, str]], used: set[int]) -> DrawnTarget:
    """The target of that name from every sheet, by the pattern that goes with each; the numbers of the sheets that it came from go into `used`."""
    masks: dict[str, Mask] = {}
    notes: dict[str, None] = {}
    known: set[str] = set()
    source = "drawn"
    for number, (sheet, pattern) in enumerate(sheets):
        known.update(sheet.contours.names)
        for phase, roi in _matches(ct, pattern, sheet).items():
            if phase in masks:
                raise ContourError(f"ROI {name} is drawn twice on phase {phase}", where=sheet.path.name, do="Give one structure set per phase")
            before = sheet.contours.notes
            masks[phase] = _on_phase_grid(ct, sheet, roi)
            notes |= dict.fromkeys([*sheet.notes, *(note for note in sheet.contours.notes if note not in before)])
            if (told := _label_at_end(roi)) in ct.labels and told != phase:
                notes[f"ROI {roi} is taken as that of phase {phase}, as its structure set is; its name ends in another phase, {told}"] = None
            if phase == ct.reference_label and sheet.what:
                source = f"drawn on {sheet.what}"
            used.add(number)
    if not masks:
        raise NotFoundError("No ROI of that name", expected=f"one of {', '.join(sorted(known))}", found=name, do="Give --roi NAME as it stands there")
    return DrawnTarget(name, {label: masks[label] for label in ct.labels if label in masks}, tuple(notes), source)


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
    if "*" not in pattern or pattern in sheet.contours.names:
        return {sheet.phase: pattern} if _has(sheet.contours, pattern) or not len(sheet.contours) else {}
    fits = re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)
    found = [name for name in sheet.contours if fits.fullmatch(name)]
    if len(found) == 1 and _label_at_end(found[0]) in (*ct.labels, ""):
        return {_label_at_end(found[0]) or sheet.phase: found[0]}
    by_phase: dict[str, str] = {}
    for name in found:
        label = _label_at_end(name)
        if label not in ct.labels or label in by_phase:
            raise ContourError(
                f"{pattern} matches ROIs whose names do not each end in a phase of this 4D-CT",
                where=sheet.path.name,
                expected=f"a name for each that ends in one of {' '.join(ct.labels)}",
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
    """The label of the phase in which an ROI's name ends, '' where it ends in none."""
    found = PHASE_AT_END.search(name)
    percent = float(re.sub("[p,]", ".", found[1])) if found else 101.0
    return label_of(percent, (found and found[2]) or "") if percent <= 100 else ""


def _only_gtvs(ct: FourDCT, sheets: Sequence[_Sheet]) -> tuple[str, list[str]]:
    """The ROIs that are meant when none is named, one of each structure set; and the name of that on the reference phase."""
    names = [_only_gtv(sheet) for sheet in sheets]
    on_reference = [name for sheet, name in zip(sheets, names, strict=True) if sheet.phase == ct.reference_label]
    return (on_reference or names)[0], names


def _only_gtv(sheet: _Sheet) -> str:
    """The only ROI, but for the patient's outline, or the only GTV."""
    rois = [roi for roi in sheet.contours.summary.rois if roi.contour_count and roi.kind != "EXTERNAL"]
    if not rois:
        raise ContourError("A structure set without any closed contour of a target", where=sheet.path.name, found=", ".join(sheet.contours.names))
    gtvs = [roi for roi in rois if roi.kind == "GTV" or roi.name.upper().startswith("GTV")]
    chosen = rois if len(rois) == 1 else gtvs
    if len(chosen) != 1:
        names = ", ".join(roi.name for roi in rois)
        raise InputError("Which ROI is the GTV?", where=sheet.path.name, found=names, do="Name it with --roi (several are allowed)")
    return chosen[0].name
