"""The main job for one patient, from a folder of DICOM files to a folder of results. The command line, a cohort and a DICOM node all call it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

from rt4d import geometry as grids
from rt4d.dicom.fourdct import read_4dct
from rt4d.dicom.object_file import require_same_patient
from rt4d.dicom.roi_names import Naming
from rt4d.dicom.series import read_ct
from rt4d.drawn import DrawnTarget, drawn_targets
from rt4d.errors import DicomError, GeometryError, InputError
from rt4d.geometry import Triple
from rt4d.motion import Motion, read_recipe, track
from rt4d.motion.quality import Check, checks
from rt4d.outputs import require_new_folder
from rt4d.phases import CtImage, FourDCT
from rt4d.provenance import Stopwatch
from rt4d.resampling import resample_mask
from rt4d.rois import Progress
from rt4d.segmentation.bundle import DEFAULT, Bundle, read_bundle
from rt4d.segmentation.segmenting import Segmentation
from rt4d.segmented import SegmentedPhase, phase_agreement, segmented_phases, segmented_targets
from rt4d.target import ITV, MipCrossCheck, expand, itv, mip_cross_check
from rt4d.volumes import Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class ItvRequest:
    """What is asked of the main job. Paths are the user's own; everything else as on the command line.

    name_patient: whether report.html names the patient; no other file does, DICOM apart.
    """

    folder: Path
    out: Path
    gtv: tuple[Path, ...] = ()
    roi: tuple[str, ...] = ()
    point_mm: Triple | None = None
    keep: tuple[int, ...] = ()
    bundle: str | None = None
    reference: str | None = None
    recipe: str | None = None
    whole_lung: bool = False
    margin_mm: Triple | None = None
    planning: Path | None = None
    names: Naming = "full"
    name_patient: bool = False
    projections: bool = False
    segment_phases: bool = False
    assume_same_frame: bool = False
    interpolate: bool = False
    workers: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TargetResult:
    """One target: what was drawn, how it moves, its ITV, and what was checked.

    segmented: what the segmenter drew on each phase of the union, None where nothing; None in all where it was not asked. For comparison only.
    """

    drawn: DrawnTarget
    motion: Motion
    itv: ITV
    checks: tuple[Check, ...]
    mip: MipCrossCheck
    segmented: Mapping[str, SegmentedPhase | None] | None = None

    @property
    def passed(self) -> bool:
        """Whether no phase failed and every carried one was checked and passed: what was not checked has not passed."""
        carried = set(self.itv.phases) - set(self.drawn.masks)
        all_checked = carried <= {check.phase for check in self.checks}
        return all_checked and not self.itv.failed and all(check.verdict == "pass" for check in self.checks)


@dataclass(frozen=True, slots=True, eq=False)
class ItvResult:
    """All targets of a patient and what they were made from; the segmentation where the GTV is no one's contour; the model where one was used."""

    request: ItvRequest
    ct: FourDCT
    planning: CtImage | None
    targets: tuple[TargetResult, ...]
    segmentation: Segmentation | None = None
    model: Bundle | None = None

    @property
    def passed(self) -> bool:
        return all(target.passed for target in self.targets)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found odd but harmless, and accepted."""
        notes = [*self.ct.notes, *(note for target in self.targets for note in target.drawn.notes)]
        if self.planning is not None and not self.ct.geometry.frame_of_reference:
            notes.append("The 4D-CT names no frame of reference: taken to lie in that of the planning CT because told so")
        return tuple(dict.fromkeys(notes))


def plan_itv(request: ItvRequest, *, watch: Stopwatch, progress: Progress | None = None) -> ItvResult:
    """The ITV of every target that is asked for. Nothing is written.

    Raises InputError and its kinds where the input or the call is refused.
    """
    require_new_folder(request.out, not_inside=request.folder)
    _require_one_source(request)
    model = _model(request)
    if request.recipe is not None:
        read_recipe(request.recipe)  # a misspelt one is refused before minutes are spent on reading
    with watch.stage("read"):
        ct = read_4dct(request.folder, reference=request.reference, workers=request.workers, progress=progress)
        planning = _read_planning(request, ct)
        _require_frame(planning or ct.reference)
    with watch.stage("contours" if request.gtv else "segmentation"):
        segmentation, drawn = _drawn_or_segmented(request, ct, planning, progress=progress)
        _require_room(request, ct, planning, drawn)
    with watch.stage("registration"):
        motions = _track(request, ct, drawn, progress=progress)
    with watch.stage("targets"):
        numbers = [None] if len(drawn) == 1 else range(1, len(drawn) + 1)
        targets = [_target(request, ct, *each) for each in zip(drawn, motions, numbers, strict=True)]
    if request.segment_phases:
        with watch.stage("segmented_phases"):
            targets = [_compared(request, ct, each, progress=progress) for each in targets]
    return ItvResult(request, ct, planning, tuple(targets), segmentation, model)


def _require_one_source(request: ItvRequest) -> None:
    """Refuse a GTV that is to come from a contour and from the segmenter at once."""
    bundle = request.bundle is not None and not request.segment_phases
    if request.gtv and (request.point_mm is not None or request.keep or bundle):
        do = "Give --gtv, or else --point, --keep or --bundle (which goes with --gtv where --segment-phases is given)"
        raise InputError("A GTV comes from a contour or from the segmenter", do=do)
    if request.roi and not request.gtv:
        raise InputError("ROI names need their structure set", found=", ".join(request.roi), do="Give it with --gtv RS.dcm")
    if request.point_mm is not None and request.keep:
        raise InputError("A point and numbers of candidates exclude one another", do="Give one of --point and --keep")


def _model(request: ItvRequest) -> Bundle | None:
    """The segmenter's model where one is needed; one that cannot be used is refused here, before the CT is read."""
    return read_bundle(request.bundle or DEFAULT) if request.segment_phases or not request.gtv else None


def _drawn_or_segmented(
    request: ItvRequest, ct: FourDCT, planning: CtImage | None, *, progress: Progress | None
) -> tuple[Segmentation | None, list[DrawnTarget]]:
    if request.gtv:
        return None, drawn_targets(
            ct,
            request.gtv,
            names=request.roi,
            folder=request.folder,
            planning=planning,
            assume_same_frame=request.assume_same_frame,
            interpolate_missing=request.interpolate,
        )
    return segmented_targets(ct, bundle=request.bundle, point_mm=request.point_mm, keep=request.keep, progress=progress)


def _require_room(request: ItvRequest, ct: FourDCT, planning: CtImage | None, drawn: Sequence[DrawnTarget]) -> None:
    """Refuse what could not be written in the end, before minutes are spent on registration."""
    for target in drawn:
        for label, mask in target.masks.items():
            if mask.touches_edge:
                what = f"{target.name} reaches the edge of the CT, where part of it may be missing"
                raise GeometryError(what, where=f"phase {label}", do="Give a CT that holds all of it")
        gtv = _drawn_reference(ct, target)
        if request.margin_mm is not None:
            expand(gtv, request.margin_mm)
        if planning is not None:
            resample_mask(gtv, planning.geometry)


def _read_planning(request: ItvRequest, ct: FourDCT) -> CtImage | None:
    """The CT that the structure set is written for: of the same patient and in the same frame of reference."""
    if request.planning is None:
        return None
    planning = read_ct(request.planning)
    require_same_patient(planning.identity.patient, ct.reference, what="The planning CT", where=planning.identity.series_uid)
    what = "The planning CT lies in another frame of reference than the 4D-CT"
    do = "Give the planning CT of the same session, or register them first"
    grids.require_same_frame(ct.geometry, planning.geometry, what=what, do=do)
    if not ct.geometry.frame_of_reference and not request.assume_same_frame:
        do = "Give --assume-same-frame where you know that both lie in one"
        raise GeometryError("The 4D-CT names no frame of reference", expected=f"{planning.geometry.frame_of_reference}, the planning CT's", do=do)
    return planning


def _require_frame(on: CtImage) -> None:
    """Refuse a CT that no structure set can refer to."""
    if not on.geometry.frame_of_reference:
        do = "Export it again with its FrameOfReferenceUID"
        raise DicomError("A CT without a frame of reference cannot carry a structure set", where=on.identity.series_uid, do=do)


def _track(request: ItvRequest, ct: FourDCT, drawn: Sequence[DrawnTarget], *, progress: Progress | None) -> list[Motion]:
    """One motion per target, focused on it; or one for all of the lungs. Phases that were drawn are not registered."""
    focuses = [_drawn_reference(ct, target) for target in drawn]
    if not request.whole_lung:
        return [
            track(ct, focus=focus, recipe=request.recipe, skip=target.masks, workers=request.workers, progress=progress)
            for focus, target in zip(focuses, drawn, strict=True)
        ]
    skip = frozenset.intersection(*(frozenset(target.masks) for target in drawn))
    everywhere = reduce(Mask.__or__, focuses)
    motion = track(ct, focus=everywhere, recipe=request.recipe, whole_lung=True, skip=skip, workers=request.workers, progress=progress)
    return [motion] * len(drawn)


def _drawn_reference(ct: FourDCT, target: DrawnTarget) -> Mask:
    return target.masks[ct.reference_label]


def _target(request: ItvRequest, ct: FourDCT, drawn: DrawnTarget, motion: Motion, number: int | None) -> TargetResult:
    gtv = _drawn_reference(ct, drawn)
    others = {label: mask for label, mask in drawn.masks.items() if label != ct.reference_label}
    masks = motion.carry(gtv, drawn=others)
    target = itv(masks, margin_mm=request.margin_mm, number=number)
    target = replace(target, source=drawn.source)
    result = TargetResult(drawn, motion, target, checks(motion, ct, gtv, masks=masks), mip_cross_check(ct, target))
    return replace(result, itv=target.with_verdict(verified=result.passed))


def _compared(request: ItvRequest, ct: FourDCT, target: TargetResult, *, progress: Progress | None) -> TargetResult:
    """The same result, and beside it what the segmenter draws on every phase of the union; nothing of it enters the union or the verdict."""
    drawn = segmented_phases(ct, target.itv.phases, bundle=request.bundle, progress=progress)
    return replace(target, segmented=phase_agreement(target.itv.phases, drawn))
