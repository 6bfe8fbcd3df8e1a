"""track: every phase of a 4D-CT registered with its reference phase, side by side, around a target or over the lungs."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path

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
from rt4d.volumes import Mask

STAGE = "registering phases"


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
    """The motion of a 4D-CT: its reference phase registered with every other phase by elastix.

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
        return _track_in(folder, ct, region, mask, chosen, gain=gain, skipped=skipped, workers=workers or processes.cores(), progress=progress)
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


def _region(ct: FourDCT, focus: Mask | None, recipe: Recipe) -> tuple[tuple[tuple[int, int, int], tuple[int, int, int]], Mask | None]:
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
    region: tuple[tuple[int, int, int], tuple[int, int, int]],
    mask: Mask | None,
    recipe: Recipe,
    *,
    gain: float,
    skipped: frozenset[str],
    workers: int,
    progress: Progress | None,
) -> Motion:
    """Write the jobs, have them done, read the fields."""
    labels = [label for label in ct.labels if label != ct.reference_label and label not in skipped]
    reference = jobs.prepared(ct.reference.volume.crop(*region), recipe, soft_tissue_gain=gain)
    shared = jobs.shared_files(folder, reference, mask.crop(*region) if mask else None, recipe)
    folders = {label: folder / label for label in labels}
    for label in labels:
        phase = ct[label].volume.crop(*_reaching(ct.geometry, region, recipe))
        jobs.write_job(folders[label], jobs.prepared(phase, recipe, soft_tissue_gain=gain), reference.geometry, shared)
    clock = _Clock(folders, progress)
    died = processes.run(folders.values(), workers=workers, done=clock.done)
    fields: dict[str, DisplacementField] = {}
    failed: dict[str, str] = {}
    for label in labels:
        answer = jobs.answer(folders[label], died, reference.geometry)
        if isinstance(answer, DisplacementField):
            fields[label] = answer
        else:
            failed[label] = answer
    return Motion(ct.reference_label, ct.labels, fields, failed, ct.geometry, reference.geometry, recipe, clock.seconds, skipped)


def _reaching(whole: Geometry, region: tuple[Sequence[int], Sequence[int]], recipe: Recipe) -> tuple[list[int], list[int]]:
    """The region and the recipe's reach all round, clipped to the grid, beginning a whole number of averaged voxels away."""
    start, size = [], []
    for axis, factor in enumerate(jobs.factors(whole, recipe)):
        reach = int(np.ceil(recipe.reach_mm / whole.spacing_mm[axis]))
        before = min(reach, region[0][axis]) // factor * factor
        first = region[0][axis] - before
        start.append(first)
        size.append(min(region[0][axis] + region[1][axis] + reach, whole.size[axis]) - first)
    return start, size


class _Clock:
    """Tells how far the registrations are, and keeps when each ended."""

    def __init__(self, folders: dict[str, Path], progress: Progress | None) -> None:
        self._labels = {folder: label for label, folder in folders.items()}
        self._progress = progress
        self._began = time.perf_counter()
        self.seconds: dict[str, float] = {}
        if progress:
            progress(STAGE, 0, len(self._labels))

    def done(self, folder: Path) -> None:
        self.seconds[self._labels[folder]] = time.perf_counter() - self._began
        if self._progress:
            self._progress(STAGE, len(self.seconds), len(self._labels))
