"""track: every phase of a 4D-CT registered with its reference phase, side by side, around a target or over the lungs."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rt4d import geometry as grids
from rt4d.errors import ContourError, InputError, NotFoundError, OutputError
from rt4d.geometry import Floats, Geometry
from rt4d.motion import jobs, processes
from rt4d.motion.contrast import soft_tissue_gain
from rt4d.motion.fields import DisplacementField
from rt4d.motion.motion import Motion
from rt4d.motion.recipe import Recipe, read_recipe
from rt4d.motion.searching import target_shift_mm
from rt4d.phases import FourDCT
from rt4d.rois import Progress
from rt4d.volumes import Mask, Volume

STAGE = "registering phases"
Box = tuple[tuple[int, int, int], tuple[int, int, int]]
"""Start and size, indices x y z."""


def track(
    ct: FourDCT,
    *,
    focus: Mask | None = None,
    recipe: str | Path | None = None,
    whole_lung: bool = False,
    skip: Collection[str] = (),
    workers: int | None = None,
    progress: Progress | None = None,
) -> Motion:
    """The motion of a 4D-CT: its reference phase registered with every other phase by elastix, and each of those with it, for a check.

    focus: the target on the reference phase; what is registered is its box and the recipe's margin (several targets far apart are
    better tracked one by one). whole_lung: the lungs instead. recipe: a name or a folder; 'lung_focus' or 'lung_4dct' where not given.
    skip: labels of phases that need no registration, because they were drawn.
    workers: registrations side by side, one thread each; the cores there are where not given. The result does not depend on it.

    A phase whose registration failed has no field; `Motion.failed` says why. Refused: no focus, an empty one, one on another grid.
    """
    chosen = read_recipe(recipe or ("lung_4dct" if whole_lung else "lung_focus"))
    _require_what_the_recipe_needs(ct, focus, chosen, whole_lung=whole_lung)
    if workers is not None and workers < 1:
        raise InputError("At least one worker is needed", found=workers)
    if unknown := set(skip) - set(ct.labels):
        raise NotFoundError("No phase of that label", expected=f"one of {', '.join(ct.labels)}", found=", ".join(sorted(unknown)))
    skipped = frozenset(skip) - {ct.reference_label}
    region, mask = _region(ct, focus, chosen)
    gain = soft_tissue_gain(ct.reference.volume, focus, chosen)
    folder = Path(tempfile.mkdtemp(prefix="rt4d-registration-"))
    try:
        crew = workers or processes.cores()
        return _track_in(folder, ct, region, mask, chosen, focus=focus, gain=gain, skipped=skipped, workers=crew, progress=progress)
    except OSError as error:
        raise OutputError("The registration's temporary files could not be written", where=folder.parent, found=error.strerror) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _require_what_the_recipe_needs(ct: FourDCT, focus: Mask | None, recipe: Recipe, *, whole_lung: bool) -> None:
    grids.require_even(ct.geometry, what="Registration")
    if whole_lung and recipe.region != "lungs":
        raise InputError("whole_lung needs a recipe for the lungs", found=f"{recipe.name}, whose region is {recipe.region}")
    if recipe.region == "lungs":
        return
    if focus is None:
        expected = "focus=the target on the reference phase, or whole_lung=True"
        raise InputError("Registration needs to know what to follow", expected=expected)
    grids.require(ct.geometry, focus.geometry, what="The focus lies on another grid than the 4D-CT")
    if focus.is_empty:
        raise ContourError("The focus is empty", where=f"phase {ct.reference_label}", do="Check that the contour lies within the 4D-CT")


def _region(ct: FourDCT, focus: Mask | None, recipe: Recipe) -> tuple[Box, Mask | None]:
    """Start and size of what is registered, on the 4D-CT's grid, and where samples may be taken (None: everywhere)."""
    if recipe.region == "focus":
        assert focus is not None
        return focus.box(recipe.margin_mm), None if recipe.mask_mm is None else focus
    from rt4d.anatomy import lungs

    found = lungs(ct.reference.volume) if focus is None else lungs(ct.reference.volume) | focus
    if found.is_empty:
        raise InputError("No lungs were found on the reference phase", where=f"phase {ct.reference_label}", do="Track the target alone: focus=mask")
    return found.box(recipe.margin_mm), None if recipe.mask_mm is None else found


def _track_in(
    folder: Path,
    ct: FourDCT,
    region: Box,
    mask: Mask | None,
    recipe: Recipe,
    *,
    focus: Mask | None,
    gain: float,
    skipped: frozenset[str],
    workers: int,
    progress: Progress | None,
) -> Motion:
    """Write the jobs, have them done, read the fields."""
    labels = [label for label in ct.labels if label != ct.reference_label and label not in skipped]
    there = _Direction(folder / "there", ct, mask, recipe, gain)
    back = _Direction(folder / "back", ct, mask, recipe.the_other_way(), gain)
    for label in labels:
        shift = _first_shift(ct, label, focus, recipe)
        moved = moved_box(region, shift, ct.geometry)
        there.write(label, region, moved, reference=ct.reference_label, other=label, shift=shift)
        if recipe.back:
            back.write(label, moved, region, reference=label, other=ct.reference_label, shift=(-shift[0], -shift[1], -shift[2]))
    clock = _Clock({label: [each.jobs[label] for each in (there, back) if label in each.jobs] for label in labels}, progress)
    died = processes.run(clock.folders, workers=workers, done=clock.done)
    fields, failed = there.answers(died)
    back_fields, back_failed = back.answers(died)
    return Motion(
        ct.reference_label,
        ct.labels,
        fields,
        failed,
        ct.geometry,
        jobs.prepared_geometry(ct.geometry.crop(*region), recipe),
        recipe,
        clock.seconds,
        skipped,
        back={label: _near(field, fields[label], focus) for label, field in back_fields.items() if label in fields},
        back_failed={label: why for label, why in back_failed.items() if label in fields},
    )


def _near(back: DisplacementField, there: DisplacementField, focus: Mask | None) -> DisplacementField:
    """What of a field back may be asked for: where the focus lies in the phase. All of it where there is no focus."""
    if focus is None:
        return back
    start, size = back.geometry.box_around(there.map(focus.points_mm), max(back.geometry.spacing_mm))
    part = back.crop(start, size)
    return DisplacementField(part.vectors_mm.copy(), part.geometry)


def _first_shift(ct: FourDCT, label: str, focus: Mask | None, recipe: Recipe) -> tuple[int, int, int]:
    """By how many voxels along x y z the phase is shifted before its registration: where the target is found as a rigid whole, if it is sought."""
    if focus is None or recipe.search_mm == 0 or recipe.region != "focus":
        return 0, 0, 0
    found_mm = target_shift_mm(ct.reference.volume, ct[label].volume, focus, reach_mm=recipe.search_mm, clip_hu=recipe.clip_hu)
    x, y, z = (round(shift / spacing) for shift, spacing in zip(found_mm, ct.geometry.spacing_mm, strict=True))
    return x, y, z


def moved_box(box: Box, shift: Sequence[int], whole: Geometry) -> Box:
    """The box so many voxels on, cut off at the grid's edges."""
    ends = [(max(0, a + n), min(whole_n, a + size + n)) for a, size, n, whole_n in zip(*box, shift, whole.size, strict=True)]
    (i, n), (j, m), (k, o) = ((begin, end - begin) for begin, end in ends)
    return (i, j, k), (n, m, o)


class _Direction:
    """The jobs of one direction: each registers `other`, shown `reach_mm` further, with what its region shows of `reference`."""

    def __init__(self, folder: Path, ct: FourDCT, mask: Mask | None, recipe: Recipe, gain: float) -> None:
        folder.mkdir()
        self.jobs: dict[str, Path] = {}
        self._folder, self._ct, self._mask, self._recipe, self._gain = folder, ct, mask, recipe, gain
        self._shared: dict[str, dict[str, Any]] = {}
        self._ends: dict[str, tuple[Geometry, Floats]] = {}

    def write(self, label: str, region: Box, beyond: Box, *, reference: str, other: str, shift: tuple[int, int, int]) -> None:
        """The job of one phase, which begins with the other image's box `beyond` laid over the region; what jobs have in common is written once."""
        geometry = self._ct.geometry
        on = jobs.prepared_geometry(geometry.crop(*region), self._recipe)
        if reference not in self._shared:
            common = self._folder / f"of {reference}"
            common.mkdir()
            mask = self._masked(region, reference, shift)
            self._shared[reference] = jobs.shared_files(common, self._prepared(reference, region), mask, self._recipe)
        self.jobs[label] = self._folder / label
        shift_mm = geometry.matrix @ (np.array(shift) * geometry.spacing_mm)
        self._ends[label] = on, shift_mm
        shown = self._prepared(other, _reaching(geometry, beyond, self._recipe))
        ox, oy, oz = np.array(shown.geometry.origin_mm) - shift_mm
        jobs.write_job(self.jobs[label], Volume(shown.hu, replace(shown.geometry, origin_mm=(ox, oy, oz))), on, self._shared[reference])

    def answers(self, died: dict[Path, str]) -> tuple[dict[str, DisplacementField], dict[str, str]]:
        """The fields by phase, and by phase why there is none."""
        fields: dict[str, DisplacementField] = {}
        failed: dict[str, str] = {}
        for label, job in self.jobs.items():
            on, shift_mm = self._ends[label]
            answer = jobs.answer(job, died, on)
            if isinstance(answer, str):
                failed[label] = answer
            else:
                fields[label] = DisplacementField(answer.vectors_mm + shift_mm.astype(np.float32), on)
        return fields, failed

    def _masked(self, region: Box, reference: str, shift: tuple[int, int, int]) -> Mask | None:
        """Where samples are taken: around the target, which in a phase lies where it was found."""
        if self._mask is None:
            return None
        if reference == self._ct.reference_label:
            return self._mask.crop(*region)
        whole = self._mask.inside
        inside = np.zeros_like(whole)
        there, here = zip(*(_overlap(n, size) for n, size in zip(shift[::-1], whole.shape, strict=True)), strict=True)
        inside[there] = whole[here]
        return Mask(inside, self._mask.geometry).crop(*region)

    def _prepared(self, label: str, box: Box) -> Volume:
        return jobs.prepared(self._ct[label].volume.crop(*box), self._recipe, soft_tissue_gain=self._gain)


def _overlap(back: int, size: int) -> tuple[slice, slice]:
    """Along one axis: where voxels that move back by so many come to lie, and which of them these are; the others leave the grid."""
    return slice(max(-back, 0), max(size - max(back, 0), 0)), slice(max(back, 0), max(size - max(-back, 0), 0))


def _reaching(whole: Geometry, region: Box, recipe: Recipe) -> Box:
    """The region and the recipe's reach all round, clipped to the grid, beginning a whole number of averaged voxels away."""
    start, size = [], []
    for axis, factor in enumerate(jobs.factors(whole, recipe)):
        reach = int(np.ceil(recipe.reach_mm / whole.spacing_mm[axis]))
        before = min(reach, region[0][axis]) // factor * factor
        first = region[0][axis] - before
        start.append(first)
        size.append(min(region[0][axis] + region[1][axis] + reach, whole.size[axis]) - first)
    return (start[0], start[1], start[2]), (size[0], size[1], size[2])


class _Clock:
    """Tells how far the registrations are, and keeps when each phase was done, both ways."""

    def __init__(self, by_phase: dict[str, list[Path]], progress: Progress | None) -> None:
        self.folders = [folder for folders in by_phase.values() for folder in folders]
        self._open = {label: set(folders) for label, folders in by_phase.items()}
        self._progress = progress
        self._began = time.perf_counter()
        self.seconds: dict[str, float] = {}
        if progress:
            progress(STAGE, 0, len(self._open))

    def done(self, folder: Path) -> None:
        label = next(label for label, folders in self._open.items() if folder in folders)
        self._open[label].remove(folder)
        if self._open[label]:
            return
        self.seconds[label] = time.perf_counter() - self._began
        if self._progress:
            self._progress(STAGE, len(self.seconds), len(self._open))
