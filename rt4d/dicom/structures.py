"""Structure sets read as masks on the grid of a CT (`read_rtstruct`), and written (`write_rtstruct`, in structure_writer)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar, overload

from pydicom.dataset import Dataset

from rt4d.dicom import filling
from rt4d.dicom.crossing import voxels_shared
from rt4d.dicom.filling import PartialVolume, Region
from rt4d.dicom.headers import quiet
from rt4d.dicom.interpolating import gaps_between, slices_at_the_ends
from rt4d.dicom.object_file import require_patient
from rt4d.dicom.placing import Placed, empty_slices_within, place
from rt4d.dicom.rasterise import Boundary, is_traced, runs_through_centres, without_repeats
from rt4d.dicom.structure_file import (
    CLOSED,
    RoiSummary,
    StructureSetSummary,
    contours_of,
    geometric_type,
    open_rtstruct,
    points_of,
    summarise_rtstruct,
)
from rt4d.dicom.structure_writer import write_rtstruct
from rt4d.errors import ContourError, DicomError, NotFoundError
from rt4d.geometry import Floats
from rt4d.phases import CtImage
from rt4d.volumes import Mask

__all__ = ["PartialVolume", "RoiSummary", "StructureSet", "StructureSetSummary", "read_rtstruct", "summarise_rtstruct", "write_rtstruct"]

T = TypeVar("T")

TRACERS = ("rt-utils", "Qurit")
"""Writers known to trace a mask's outermost voxels from centre to centre, by manufacturer or model."""


class StructureSet(Mapping[str, Mask]):
    """The ROIs of a structure set as masks on the grid of one CT, made when asked for and kept.

    Iteration gives the ROIs that have closed contours and a name of their own; `names` gives all. A name is looked up exactly, else
    without regard to case and spaces where only one ROI fits (noted). Asking for an ROI raises NotFoundError (no such name) or
    ContourError (two of that name, nothing closed, outside or partly outside the image, between its slices, across them, or on
    another frame of reference); the others stay usable.
    """

    def __init__(
        self,
        summary: StructureSetSummary,
        contours: Mapping[int, list[Dataset]],
        *,
        on: CtImage,
        where: str = "",
        notes: tuple[str, ...] = (),
        assume_same_frame: bool = False,
        boundary: Boundary | None = None,
        interpolate_missing: bool = False,
    ) -> None:
        self.summary, self.on = summary, on
        self._contours, self._where = contours, where
        self._notes = dict.fromkeys(notes)
        self._assume_same_frame, self._boundary, self._interpolate_missing = assume_same_frame, boundary, interpolate_missing
        self._masks: dict[int, Mask] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all ROIs, those without closed contours too, in the order of the file."""
        return self.summary.names

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found odd but could be read; it grows as ROIs are asked for."""
        return tuple(self._notes)

    def contours(self, name: str) -> list[Floats]:
        """The closed contours of an ROI in patient coordinates, each (n, 3), as they stand in the file."""
        return list(self._points(self._roi(name)).values())

    def partial_volume(self, name: str) -> PartialVolume:
        """The share of each voxel that lies inside an ROI, for small volumes; of an ROI that was traced through voxel centres, whole voxels."""
        return filling.partial_volume_of(self.region(self._roi(name)))

    def __getitem__(self, name: str) -> Mask:
        roi = self._roi(name)
        if roi.number not in self._masks:
            self._masks[roi.number] = filling.mask_of(self.region(roi))
        return self._masks[roi.number]

    def __iter__(self) -> Iterator[str]:
        return iter([roi.name for roi in self.summary.rois if roi.contour_count and self.names.count(roi.name) == 1])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._candidates(name))

    @overload
    def get(self, name: str, /) -> Mask | None: ...
    @overload
    def get(self, name: str, /, default: Mask) -> Mask: ...
    @overload
    def get(self, name: str, /, default: T) -> Mask | T: ...
    def get(self, name: str, /, default: object = None) -> object:
        """The mask of an ROI, or `default` where there is none of that name; an ROI that cannot be used is refused all the same."""
        if name not in self:
            return default
        return self[name]

    def __repr__(self) -> str:
        return f"StructureSet({self.summary.label!r}: {', '.join(self) or 'no ROI with closed contours'})"

    def find(self, name: str) -> list[RoiSummary]:
        """The ROIs that a name means: those of exactly that name, else the one that has it but for case and spaces. Raises NotFoundError."""
        exact = [roi for roi in self.summary.rois if roi.name == name]
        return exact or [self._roi(name)]

    def region(self, roi: RoiSummary) -> Region:
        """An ROI's contours on the slices of the CT, repeats left out, and whether voxel centres on them belong. Raises ContourError."""
        self._require_number(roi)
        self._require_frame(roi)
        contours = self._points(roi)
        if not contours:
            others = ", ".join(f"{count} {kind}" for kind, count in roi.other_contours)
            raise ContourError(f"ROI {roi.name} is empty", where=self._where, expected="closed planar contours", found=others or "no contours")
        placed = self._without_repeats(place(contours, self.on.geometry, name=roi.name, between_slices=self._interpolate_missing), roi)
        polygons = [points for plane in (*placed.by_slice.values(), *placed.between.values()) for points in plane]
        traced = is_traced(polygons, by_known_tracer=any(tracer in self.summary.written_by for tracer in TRACERS))
        boundary: Boundary = self._boundary or ("inclusive" if traced else "half-open")
        self._note_boundary(roi, polygons, boundary)
        region = self._with_gaps(placed, roi, boundary=boundary, traced=traced)
        self._note_crossings(region)
        return region

    def _candidates(self, name: str) -> list[RoiSummary]:
        exact = [roi for roi in self.summary.rois if roi.name == name]
        return exact or [roi for roi in self.summary.rois if _loosely(roi.name) == _loosely(name)]

    def _roi(self, name: str) -> RoiSummary:
        """The one ROI that is meant."""
        found = self._candidates(name)
        if not found:
            raise NotFoundError("No ROI of that name", where=self._where, expected=f"one of {', '.join(self.names) or '(none)'}", found=name)
        if len(found) > 1:
            several = ", ".join(f"number {roi.number} {roi.name!r}" for roi in found)
            raise ContourError(f"Several ROIs are called {name}", where=self._where, found=several, do="Give them names of their own")
        roi = found[0]
        self._require_number(roi)
        if roi.name != name:
            self._note(f"ROI {name} was taken to mean {roi.name!r}")
        return roi

    def _points(self, roi: RoiSummary) -> dict[int, Floats]:
        """The points of the ROI's closed contours that have any, by the contour's number in the file; other kinds beside them are noted."""
        for kind, count in roi.other_contours if roi.contour_count else ():
            self._note(f"ROI {roi.name}: {count} contour{'s' if count > 1 else ''} {kind} left out")
        found = {}
        for number, contour in enumerate(self._contours.get(roi.number, []), start=1):
            if geometric_type(contour) in CLOSED:
                try:
                    points = points_of(contour)
                except ContourError as error:
                    raise ContourError(f"Contour {number} of ROI {roi.name}: {error.what}", where=self._where, found=error.found) from error
                if len(points):
                    found[number] = points
        return found

    def _without_repeats(self, placed: Placed, roi: RoiSummary) -> Placed:
        once = Placed(
            {z: without_repeats(polygons) for z, polygons in placed.by_slice.items()},
            {offset: without_repeats(polygons) for offset, polygons in placed.between.items()},
        )
        if repeats := _count(placed) - _count(once):
            self._note(f"ROI {roi.name}: {repeats} contours stored more than once, counted once")
        return once

    def _note_boundary(self, roi: RoiSummary, polygons: list[Floats], boundary: Boundary) -> None:
        if boundary == "inclusive":
            why = "as asked" if self._boundary else "it was traced through them"
            self._note(f"ROI {roi.name}: voxel centres on the contour belong to it ({why})")
        elif not self._boundary and runs_through_centres(polygons):
            what = "its contours run along voxel centres as a drawn box does: of centres on them, those on two of its sides belong"
            self._note(f"ROI {roi.name}: {what} (all would with boundary inclusive)")
        if tiny := sum(len(points) < 3 for points in polygons):
            what = "mark the voxel centres on them" if boundary == "inclusive" else "left out"
            self._note(f"ROI {roi.name}: {tiny} contours of one or two points {what}")

    def _note_crossings(self, region: Region) -> None:
        size = region.on.size
        shared = [voxels_shared(polygons, (size[1], size[0]), on_centre=region.on_centre) for polygons in region.by_slice.values()]
        if crossed := sum(n > 0 for n in shared):
            where = f"contours cross on {crossed} slice{'s' if crossed > 1 else ''}"
            what = f"the {sum(shared) * region.on.voxel_volume_mm3 / 1000:.3g} cm³ that lie in two of them are outside, as in a hole"
            self._note(f"ROI {region.name}: {where}; {what}: look whether that is meant")

    def _with_gaps(self, placed: Placed, roi: RoiSummary, *, boundary: Boundary, traced: bool) -> Region:
        """The region; where it was asked for with the slices between drawn planes, else these are noted."""
        on = self.on.geometry
        if not self._interpolate_missing:
            if gap := empty_slices_within(placed.by_slice):
                what = f"has no contour on {gap} of the slices between its first and its last"
                self._note(f"ROI {roi.name} {what}: look whether that is meant (rt4d itv and rt4d contours fill them with --interpolate)")
            return Region(roi.name, on, placed.by_slice, (), boundary, traced)
        planes = {float(on.offsets_mm[z]): polygons for z, polygons in placed.by_slice.items()} | placed.between
        gaps = gaps_between(planes, on, drawn=list(placed.by_slice))
        by_slice = {**(slices_at_the_ends(planes, on) if placed.between else {}), **placed.by_slice}
        if filled := sum(len(gap.slices) for gap in gaps) + len(by_slice) - len(placed.by_slice):
            off = f" ({len(placed.between)} of its planes lie between slices)" if placed.between else ""
            self._note(f"ROI {roi.name} was interpolated on {filled} slices on which it has no contour{off}")
        return Region(roi.name, on, by_slice, gaps, boundary, traced)

    def _require_number(self, roi: RoiSummary) -> None:
        if [other.number for other in self.summary.rois].count(roi.number) > 1:
            what = f"Several ROIs have number {roi.number}, so that their contours cannot be told apart"
            raise ContourError(what, where=self._where, found=roi.name)

    def _require_frame(self, roi: RoiSummary) -> None:
        mine = self.on.geometry.frame_of_reference
        if not self._assume_same_frame and (not mine or roi.frame_of_reference != mine):
            raise _another_frame(f"ROI {roi.name}", self._where, expected=mine, found=roi.frame_of_reference)

    def _note(self, note: str) -> None:
        self._notes.setdefault(note)


def read_rtstruct(
    path: str | Path, *, on: CtImage, assume_same_frame: bool = False, boundary: Boundary | None = None, interpolate_missing: bool = False
) -> StructureSet:
    """The ROIs of a structure set as masks on the grid of the CT that it was drawn on; each is rasterised when asked for.

    A structure set on the CT's own frame of reference is read, also where the images that it references are absent or others (noted).
    Another frame, or none, is refused (ContourError) unless `assume_same_frame`; planes must lie on the CT's slices all the same.
    Another patient is always refused. boundary: whether voxel centres on a contour belong ('inclusive') or only those on one side
    ('half-open'); None decides for each ROI (see rasterise.is_traced). interpolate_missing: fill slices without a contour between the first
    and the last plane of an ROI by shape, from the planes about them, also from planes between slices (noted); otherwise slices without
    a contour are noted and planes between slices refused. Raises DicomError where the file is no structure set or cut short.
    """
    path = Path(path)
    dataset = open_rtstruct(path)
    summary = summarise_rtstruct(dataset)
    with quiet():  # pydicom warns of malformed values in elements that are none of our business
        require_patient(dataset, on, what="The structure set", where=path.name)
        if summary.rois and "ROIContourSequence" not in dataset:
            raise DicomError(
                "A structure set without contours", where=path.name, expected="ROIContourSequence", do="It may be cut short: export it again"
            )
        contours = contours_of(dataset)
    notes = [*summary.notes, *_frame_notes(summary, on, path.name, assume_same_frame=assume_same_frame), *_reference_notes(summary, on)]
    return StructureSet(
        summary,
        contours,
        on=on,
        where=path.name,
        notes=tuple(notes),
        assume_same_frame=assume_same_frame,
        boundary=boundary,
        interpolate_missing=interpolate_missing,
    )


def _frame_notes(summary: StructureSetSummary, on: CtImage, where: str, *, assume_same_frame: bool) -> list[str]:
    mine = on.geometry.frame_of_reference
    if mine and mine in summary.frames_of_reference:
        return []
    if not assume_same_frame:
        raise _another_frame("The structure set", where, expected=mine, found=", ".join(summary.frames_of_reference))
    frames = ", ".join(summary.frames_of_reference) or "no frame"
    return [f"{where} is on frame of reference {frames}, the CT on {mine or 'none'}: taken as the same because told so"]


def _another_frame(what: str, where: str, *, expected: str, found: str) -> ContourError:
    return ContourError(
        f"{what} lies in another frame of reference than the CT",
        where=where,
        expected=expected or "a CT that names its frame of reference (this one names none)",
        found=found or "none named",
        do="Give the CT that it was drawn on, or --assume-same-frame (assume_same_frame=True) where you know that both are one",
    )


def _reference_notes(summary: StructureSetSummary, on: CtImage) -> list[str]:
    named, here = set(summary.referenced_sop_uids), set(on.identity.sop_instance_uids)
    if not named:
        return ["The structure set references no images; its contours were placed by their position"]
    if not named & here:
        return ["The structure set references images that are not of this CT; its contours were placed by their position"]
    return []


def _count(placed: Placed) -> int:
    return sum(len(polygons) for polygons in (*placed.by_slice.values(), *placed.between.values()))


def _loosely(name: str) -> str:
    return "".join(name.split()).casefold()
