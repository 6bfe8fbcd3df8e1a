"""The error of registration on DIR-Lab's landmarks: how far from where an observer put it a landmark of T00 comes to lie in T50."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rt4d import provenance
from rt4d.commissioning import dirlab
from rt4d.commissioning.dirlab import EXTREME, PAIR, CaseFiles, PublishedCase, read_image, read_landmarks
from rt4d.errors import InputError, NotFoundError
from rt4d.geometry import Floats, Geometry
from rt4d.motion.recipe import read_recipe
from rt4d.phases import FourDCT, Phase, SeriesIdentity
from rt4d.rois import Progress
from rt4d.volumes import Volume

SCHEMA = "rt4d.dirlab/1"
RECIPE = "lung_4dct"
LIMIT_MM = 2.0
"""A mean error above this does not keep to AAPM TG-132 (Med Phys 44 (2017) e43)."""
DOUBT_MM = 0.3
"""A mean distance before registration that is so far from the published one means that images or landmarks were read wrongly."""

Mapping = Callable[[Volume, Volume, Floats], tuple[Floats, int]]
"""From the images of T00 and T50 and points of T00, shape (n, 3), to the points in T50, and how many of them lay outside what was registered."""


@dataclass(frozen=True, slots=True)
class Errors:
    """Distances in mm in five numbers; the standard deviation is that of a sample (n − 1)."""

    mean: float
    sd: float
    median: float
    p95: float
    maximum: float

    @classmethod
    def of(cls, distances_mm: Floats) -> Errors:
        p95 = float(np.percentile(distances_mm, 95))
        return cls(float(distances_mm.mean()), float(distances_mm.std(ddof=1)), float(np.median(distances_mm)), p95, float(distances_mm.max()))

    def to_dict(self) -> dict[str, float]:
        return {name: round(getattr(self, name), 4) for name in self.__slots__}


@dataclass(frozen=True, slots=True, eq=False)
class LandmarkCase:
    """One case measured. snapped: with each mapped point put on the nearest voxel centre first, as observers could only choose voxels.

    outside: landmarks beyond what was registered, where the field of its edge was taken. doubt: why the files may have been read wrongly, or ''.
    """

    number: int
    distances_mm: dict[str, Floats] = field(repr=False)
    outside: int
    seconds: float
    published_before_mm: float | None
    doubt: str

    @property
    def landmarks(self) -> int:
        return len(self.distances_mm["before"])

    @property
    def before(self) -> Errors:
        return Errors.of(self.distances_mm["before"])

    @property
    def after(self) -> Errors:
        return Errors.of(self.distances_mm["after"])

    @property
    def snapped(self) -> Errors:
        return Errors.of(self.distances_mm["snapped"])

    def to_dict(self) -> dict[str, Any]:
        """Errors in mm, seconds, and what is doubted."""
        return {
            "case": self.number,
            "landmarks": self.landmarks,
            "before_mm": self.before.to_dict(),
            "published_before_mm": self.published_before_mm,
            "after_mm": self.after.to_dict(),
            "after_snapped_mm": self.snapped.to_dict(),
            "outside_region": self.outside,
            "seconds": round(self.seconds, 1),
            "doubt": self.doubt,
        }


@dataclass(frozen=True, slots=True, eq=False)
class LandmarkTable:
    """The cases that are there, measured; missing: what is lacking, by number, of those that are not whole. recipe: its name and sha256."""

    cases: tuple[LandmarkCase, ...]
    missing: dict[int, str]
    recipe: tuple[str, str]

    @property
    def passed(self) -> bool:
        """Whether every case that is there was read rightly and its mean error keeps to 2 mm."""
        return all(not case.doubt and case.after.mean <= LIMIT_MM for case in self.cases)

    @property
    def together(self) -> LandmarkCase:
        """All landmarks as one case, of number 0."""
        return pooled(self.cases)

    def to_dict(self) -> dict[str, Any]:
        """Errors in mm by case and of all landmarks together."""
        return {
            "schema": SCHEMA,
            "verdict": "pass" if self.passed else "fail",
            "limit_mean_mm": LIMIT_MM,
            "recipe": {"name": self.recipe[0], "sha256": self.recipe[1]},
            "versions": provenance.versions(),
            "cases": [case.to_dict() for case in self.cases],
            "all": {key: value for key, value in self.together.to_dict().items() if key not in ("case", "published_before_mm", "doubt")},
            "missing": [{"case": number, "lacking": lacking} for number, lacking in self.missing.items()],
        }


def landmark_table(
    folder: str | Path,
    *,
    recipe: str | Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    published: Sequence[PublishedCase] | None = None,
) -> LandmarkTable:
    """Every case of DIR-Lab that is whole in a folder, measured. All files are looked at before the first registration begins.

    Refused: no case at all, none that is whole, or a file that is not what it must be (InputError and its kinds).
    """
    used = read_recipe(recipe or RECIPE)
    found = dirlab.find_cases(folder, dirlab.PUBLISHED if published is None else published)
    missing = {files.published.number: files.lacking for files in found if files.lacking}
    whole = [files for files in found if not files.lacking]
    if not whole:
        begun = [files for files in found if files.images or files.landmarks]
        said = "; ".join(f"case {files.published.number} without {files.lacking}" for files in begun)
        raise NotFoundError("No case of DIR-Lab is whole here", where=folder, found=said)
    for files in whole:
        for label in PAIR:
            dirlab.require_whole(files.images[label], files.published)
            read_landmarks(files.landmarks[label], files.published, count=files.count)
    cases = []
    for number, files in enumerate(whole):
        if progress is not None:
            progress("cases", number, len(whole))
        cases.append(landmark_case(files, recipe=recipe, workers=workers))
    if progress is not None:
        progress("cases", len(whole), len(whole))
    return LandmarkTable(tuple(cases), missing, (used.name, used.sha256))


def landmark_case(
    files: CaseFiles,
    *,
    recipe: str | Path | None = None,
    workers: int | None = None,
    register: Mapping | None = None,
) -> LandmarkCase:
    """T00 registered with T50 over both lungs (T00 stays, its points are taken to T50), and the errors on its landmarks.

    recipe: a name or folder for the lungs, 'lung_4dct' where not given. register: instead of that, whatever maps points of T00 to T50.
    Refused (InputError): a case that is not whole, files that are not what they must be.
    """
    case = files.published
    if files.lacking:
        raise InputError("A case of DIR-Lab is not whole", where=f"case {case.number}", found=f"no {files.lacking}")
    here, there = (read_landmarks(files.landmarks[label], case, count=files.count) for label in PAIR)
    fixed, moving = (read_image(files.images[label], case) for label in PAIR)
    began = time.perf_counter()
    if register is None:
        mapped, outside = _tracked(fixed, moving, here, recipe=recipe, workers=workers)
    else:
        mapped, outside = register(fixed, moving, here)
    seconds = time.perf_counter() - began
    distances = {"before": errors_mm(here, there), "after": errors_mm(mapped, there), "snapped": errors_mm(snapped(mapped, case.geometry), there)}
    published = case.before_mm if files.count == EXTREME else None
    return LandmarkCase(case.number, distances, outside, seconds, published, _doubt(float(distances["before"].mean()), published))


def errors_mm(points_mm: Floats, truth_mm: Floats) -> Floats:
    """The distance of each point from its truth in mm, shape (n,)."""
    return np.asarray(np.linalg.norm(points_mm - truth_mm, axis=-1))


def snapped(points_mm: Floats, geometry: Geometry) -> Floats:
    """The voxel centres nearest to points, shape (n, 3)."""
    return geometry.to_patient(np.rint(geometry.to_index(points_mm)))


def pooled(cases: Sequence[LandmarkCase]) -> LandmarkCase:
    """The landmarks of all cases as one, under number 0: each landmark counts once."""
    together = {name: np.concatenate([case.distances_mm[name] for case in cases]) for name in ("before", "after", "snapped")}
    return LandmarkCase(0, together, sum(case.outside for case in cases), sum(case.seconds for case in cases), None, "")


def _tracked(fixed: Volume, moving: Volume, points: Floats, *, recipe: str | Path | None, workers: int | None) -> tuple[Floats, int]:
    """Points of T00 in T50 by rt4d's own registration of a 4D-CT whose reference is T00."""
    from rt4d.motion import track

    phases = tuple(Phase(volume, _identity(volume.geometry), label=label) for label, volume in zip(PAIR, (fixed, moving), strict=True))
    motion = track(FourDCT(phases, PAIR[0]), whole_lung=True, recipe=recipe or RECIPE, workers=workers)
    outside = int(np.count_nonzero(~motion.region.contains(points)))
    if outside == 0:
        return motion.reference_to_phase(PAIR[1], points), 0
    motion.reference_to_phase(PAIR[1], points[motion.region.contains(points)])  # names the reason where the registration failed
    return points + motion.fields[PAIR[1]].near(points), outside


def _identity(geometry: Geometry) -> SeriesIdentity:
    """Of an image that is no DICOM series and is not written as one."""
    return SeriesIdentity("", "", "", ("",) * geometry.size[2])


def _doubt(before_mm: float, published_mm: float | None) -> str:
    if published_mm is None or abs(before_mm - published_mm) <= DOUBT_MM:
        return ""
    said = f"{before_mm:.2f} mm before registration, published {published_mm:.2f} mm"
    return f"{said}: images or landmarks were read wrongly, or are not DIR-Lab's"
