"""track: every phase of a 4D-CT registered with its reference phase, side by side, around a target or over the lungs."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from rt4d import geometry as grids
from rt4d.errors import ContourError, InputError, NotFoundError, OutputError
from rt4d.geometry import Geometry
from rt4d.motion import jobs, processes
from rt4d.motion.contrast import soft_tissue_gain
from rt4d.motion.fields import DisplacementField
from rt4d.motion.motion import Motion
from rt4d.motion.recipe import Recipe, read_recipe
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
    there = _Direction(folder / "there", ct, region, mask, recipe, gain)
    back = _Direction(folder / "back", ct, region, mask, recipe.the_other_way(), gain)
    for label in labels:
        there.write(label, reference=ct.reference_label, other=label)
        if recipe.back:
            back.write(label, reference=label, other=ct.reference_label)
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
        there.geometry,
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


class _Direction:
    """The jobs of one direction: each registers `other`, shown `reach_mm` further, with what the region shows of `reference`."""

    def __init__(self, folder: Path, ct: FourDCT, region: Box, mask: Mask | None, recipe: Recipe, gain: float) -> None:
        folder.mkdir()
        self.jobs: dict[str, Path] = {}
        self.geometry = jobs.prepared_geometry(ct.geometry.crop(*region), recipe)
        self._folder, self._ct, self._region, self._recipe, self._gain = folder, ct, region, recipe, gain
        self._mask = mask.crop(*region) if mask else None
        self._shared: dict[str, dict[str, Any]] = {}

    def write(self, label: str, *, reference: str, other: str) -> None:
        """The job of one phase; what jobs have in common is written once."""
        if reference not in self._shared:
            common = self._folder / f"of {reference}"
            common.mkdir()
            self._shared[reference] = jobs.shared_files(common, self._prepared(reference, self._region), self._mask, self._recipe)
        self.jobs[label] = self._folder / label
        shown = self._prepared(other, _reaching(self._ct.geometry, self._region, self._recipe))
        jobs.write_job(self.jobs[label], shown, self.geometry, self._shared[reference])

    def answers(self, died: dict[Path, str]) -> tuple[dict[str, DisplacementField], dict[str, str]]:
        """The fields by phase, and by phase why there is none."""
        found = {label: jobs.answer(job, died, self.geometry) for label, job in self.jobs.items()}
        fields = {label: each for label, each in found.items() if isinstance(each, DisplacementField)}
        return fields, {label: each for label, each in found.items() if isinstance(each, str)}

    def _prepared(self, label: str, box: Box) -> Volume:
        return jobs.prepared(self._ct[label].volume.crop(*box), self._recipe, soft_tissue_gain=self._gain)


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
