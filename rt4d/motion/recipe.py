"""Registration recipes: a folder with recipe.toml and elastix parameter maps, read strictly into a value.

A recipe is called by its name (a folder in `registration/`) or by the path of a folder, so that a clinic can commission its own.
"""

from __future__ import annotations

import difflib
import hashlib
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from rt4d.errors import NotFoundError, RecipeError
from rt4d.motion.parameters import ParameterMap, read_parameter_map
from rt4d.provenance import sha256
from rt4d.resources import data_folder

ROOM_MM = 10.0
"""So much farther than in the reference, lungs or target are sought in a phase."""
LARGEST = sys.float_info.max
HU = (-32768.0, 32767.0)
"""What a voxel can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a sound registration of any two images keeps to; each with its source in the recipe's README.

    jacobian_nonpositive_percent and inverse_residual_mm: at most. similarity (normalised cross-correlation after registration) and similarity_gain
    (after less before): at least.
    """

    jacobian_nonpositive_percent: float
    similarity: float
    similarity_gain: float
    inverse_residual_mm: float

    def __post_init__(self) -> None:
        for name in _names(type(self)):
            value = getattr(self, name)
            if name in _PAIRS:
                _require_rising_pair(value, name, such_as="[0.5, 2.0]")
                object.__setattr__(self, name, (float(value[0]), float(value[1])))
            else:
                at_least, at_most = _RANGES.get(name, (0.0, LARGEST))
                _require_number(value, name, at_least=at_least, at_most=at_most)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetLimits(Limits):
    """And what the phases of a 4D-CT keep to around a target.

    jacobian_gtv, jacobian_lung: 1st percentile at least, 99th at most. gtv_volume_change_percent, gtv_mean_hu_change (and what coarse voxels add),
    residual_shift_mm, vessel_residual_mm (median), both_directions_mm (95th percentile), bones_shift_mm: at most.
    trajectory_deviations: how many standard deviations a phase may lie from where the others expect it; phase_order: the decimal logarithm of the
    odds that phases were exchanged, at most;
    cycle_gap: the longest gap between phases, in usual ones; duplicated_phase: the correlation of the raw voxels of two phases, at most.
    """

    jacobian_gtv: tuple[float, float]
    jacobian_lung: tuple[float, float]
    gtv_volume_change_percent: float
    gtv_mean_hu_change: float
    residual_shift_mm: float
    vessel_residual_mm: float
    both_directions_mm: float
    bones_shift_mm: float
    trajectory_deviations: float
    phase_order: float
    cycle_gap: float
    duplicated_phase: float


_PAIRS = ("jacobian_gtv", "jacobian_lung")
_RANGES = {
    "jacobian_nonpositive_percent": (0.0, 100.0),
    "similarity": (0.0, 1.0),
    "similarity_gain": (-1.0, 1.0),
    "duplicated_phase": (0.0, 1.0),
}
"""Of limits that cannot be any number from 0: beyond, a check could not fail, or never pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How the phases of a 4D-CT are registered.

    region: 'focus' (the target's box and `margin_mm`) or 'lungs' (the lungs' box and `margin_mm`). reach_mm: how much further than the
    region each phase is shown, so the largest motion that can be followed. clip_hu: Hounsfield units outside are cut off first.
    coarsest_mm: voxels smaller than this are averaged, a whole number of them along each axis; 0 keeps the CT's own.
    grid_voxels: control points lie at least so many (averaged) voxels apart along each axis, whatever the parameter map says: motion that is
    finer than the image shows is folding, not anatomy.
    mask_mm: samples are taken within the target or the lungs grown by this, from stage `mask_from` on (the first is 1); None: everywhere.
    soft_tissue_gain: so many times its contrast is given to soft tissue where a target lies wholly in it (rt4d.motion.contrast); 1: never.
    search_mm: so far along each axis the target is sought in each phase as a rigid whole, before anything bends (rt4d.motion.searching); 0: not.
    back: so much of the iterations is spent on registering each phase in the other direction too, for the check that both agree; 0: none.
    files: the SHA-256 of each file that it was read from, by the file's name; no key of recipe.toml.
    """

    name: str
    purpose: str
    region: Literal["focus", "lungs"]
    margin_mm: float
    reach_mm: float
    clip_hu: tuple[float, float]
    parameter_maps: tuple[ParameterMap, ...]
    limits: Limits
    coarsest_mm: float = 0.0
    grid_voxels: float = 0.0
    mask_mm: float | None = None
    mask_from: int = 1
    soft_tissue_gain: float = 1.0
    back: float = 0.0
    search_mm: float = 0.0
    files: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        for name in ("name", "purpose"):
            _require_words(getattr(self, name), name)
        if self.region not in ("focus", "lungs"):
            raise RecipeError("A recipe's region is unknown", where=self.name, expected="focus or lungs", found=self.region)
        for name in ("margin_mm", "reach_mm", "coarsest_mm", "grid_voxels", "back", "search_mm"):
            _require_number(getattr(self, name), name, at_least=0.0)
        if self.mask_mm is not None:
            _require_number(self.mask_mm, "mask_mm", at_least=0.0)
        _require_number(self.soft_tissue_gain, "soft_tissue_gain", at_least=1.0)
        _require_rising_pair(self.clip_hu, "clip_hu", such_as="[-1000, 400]", at_least=HU[0], at_most=HU[1])
        if not self.parameter_maps:
            raise RecipeError("A recipe needs at least one elastix parameter map", where=self.name)
        _require_stage(self.mask_from, "mask_from", stages=len(self.parameter_maps))

    @property
    def target_limits(self) -> TargetLimits:
        """The limits of the checks around a target; RecipeError where the recipe has none, being for two scans and no 4D-CT."""
        if isinstance(self.limits, TargetLimits):
            return self.limits
        missing = ", ".join(_names(TargetLimits)[len(_names(Limits)) :])
        what = "This recipe has no limits for the checks around a target"
        raise RecipeError(what, where=f"{self.name}, [limits]", expected=missing, do="Take a recipe for a 4D-CT, such as lung_focus")

    def the_other_way(self) -> Recipe:
        """How a phase is registered with the reference: quicker, and with samples farther out, since what moves may lie there."""
        maps = tuple(one.with_iterations(self.back) for one in self.parameter_maps)
        return replace(self, parameter_maps=maps, mask_mm=None if self.mask_mm is None else self.mask_mm + ROOM_MM)

    @property
    def sha256(self) -> str:
        """A fingerprint of all that shapes a result or a verdict: two recipes of one name that differ are told apart by it.

        Of every key but the name and the purpose, with its name, numbers in their shortest exact form.
        """
        parts = [f"{name} {_exactly(getattr(self, name))}" for name in _names(Recipe) if name not in ("name", "purpose", "files")]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def __repr__(self) -> str:
        return f"Recipe({self.name}: {self.region}, {len(self.parameter_maps)} stages)"


def read_recipe(name_or_folder: str | Path) -> Recipe:
    """The recipe of that name in `registration/`, or in that folder. NotFoundError lists what there is; RecipeError names key and file."""
    folder = _folder(name_or_folder)
    path = folder / "recipe.toml"
    try:
        content = path.read_bytes()
        said = tomllib.loads(content.decode("utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError("A recipe's folder has no recipe.toml", where=folder) from error
    except ValueError as error:  # also of text that is not UTF-8, and of numbers too long to be read
        raise RecipeError("recipe.toml is not TOML", where=path, found=error) from error
    limits = said.get("limits", {})
    if not isinstance(limits, dict):
        raise RecipeError("limits must be a table", where=path, expected="[limits] and a line for each", found=limits)
    kind = TargetLimits if said.get("region") == "focus" or set(limits) - set(_names(Limits)) else Limits
    _require_keys(said, Recipe, where=str(path))
    _require_keys(limits, kind, where=f"{path}, [limits]")
    files = _parameter_files(said["parameter_maps"], folder)
    maps = tuple(read_parameter_map(file) for file in files)
    hashes = {path.name: hashlib.sha256(content).hexdigest()} | {file.name: sha256(file) for file in files}
    clip = said["clip_hu"]
    values = {**said, "parameter_maps": maps, "clip_hu": tuple(clip) if isinstance(clip, list) else clip, "files": hashes}
    try:
        return Recipe(**{**values, "limits": kind(**limits)})
    except RecipeError as error:
        raise RecipeError(error.what, where=path, expected=error.expected, found=error.found, do=error.do) from error


def recipe_names() -> tuple[str, ...]:
    """The recipes that come with rt4d."""
    return tuple(sorted(path.parent.name for path in data_folder("registration").glob("*/recipe.toml")))


def without_path(name_or_folder: str | Path | None) -> str | None:
    """How a record tells which recipe was asked for: rt4d's own by name; else 'own folder', whose path may name a patient."""
    return None if name_or_folder is None else str(name_or_folder) if name_or_folder in recipe_names() else "own folder"


def _folder(name_or_folder: str | Path) -> Path:
    if isinstance(name_or_folder, str) and name_or_folder in recipe_names():
        return data_folder("registration") / name_or_folder
    if Path(name_or_folder).is_dir():
        return Path(name_or_folder)
    expected = f"one of {', '.join(recipe_names())}, or a folder with recipe.toml"
    raise NotFoundError("No registration recipe of that name", expected=expected, found=name_or_folder)


def _parameter_files(said: object, folder: Path) -> list[Path]:
    """The paths of the parameter maps that recipe.toml lists."""
    if not isinstance(said, list):
        where = folder / "recipe.toml"
        raise RecipeError("parameter_maps must be a list of files", where=where, expected='["bspline.txt"]', found=said)
    return [_inside(folder, file) for file in said]


def _inside(folder: Path, file: object) -> Path:
    """The path of a parameter map, which must lie in the recipe's own folder."""
    if not isinstance(file, str) or Path(file).name != file or not (folder / file).is_file():
        raise RecipeError("A parameter map must be a file in the recipe's folder", where=folder, found=file)
    return folder / file


def _require_keys(said: Mapping[str, Any], value: type, *, where: str) -> None:
    """Refuse keys that the value does not have, and the lack of those it must have."""
    known = [name for name in _names(value) if name != "files"]
    optional = {"coarsest_mm", "grid_voxels", "mask_mm", "mask_from", "soft_tissue_gain", "back", "search_mm"}
    for key in said:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise RecipeError("A recipe has no such key", where=where, found=key, do=f"Did you mean {near[0]}?" if near else "")
    if missing := [key for key in known if key not in said and key not in optional]:
        raise RecipeError("A recipe lacks a key", where=where, expected=", ".join(missing))


def _names(value: type) -> list[str]:
    return [each.name for each in fields(value)]


def _exactly(value: object) -> str:
    """A recipe's value as text that is the same for the same value: 25 and 25.0 are one."""
    if isinstance(value, ParameterMap):
        return value.text()
    if isinstance(value, Limits):
        return "\n".join(f"{name} {_exactly(getattr(value, name))}" for name in _names(type(value)))
    if isinstance(value, tuple):
        return " ".join(_exactly(each) for each in value)
    return repr(float(value)) if isinstance(value, int | float) else str(value)


def _require_words(value: object, name: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise RecipeError(f"{name} must be words", expected=f'{name} = "…"', found=value)


def _require_stage(value: object, name: str, *, stages: int) -> None:
    """A mask from a stage that never comes would be used in none."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= stages:
        raise RecipeError(f"{name} must be a stage's number", expected=f"a whole number from 1 to {stages}", found=value)


def _require_rising_pair(value: object, name: str, *, such_as: str, at_least: float = 0.0, at_most: float = LARGEST) -> None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise RecipeError(f"{name} must be two numbers", expected=such_as, found=value)
    for each in value:
        _require_number(each, name, at_least=at_least, at_most=at_most)
    if not value[0] < value[1]:
        raise RecipeError(f"{name} must be two rising numbers", expected=such_as, found=value)


def _require_number(value: object, name: str, *, at_least: float, at_most: float = LARGEST) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not at_least <= value <= at_most:
        expected = f"from {at_least:g} to {at_most:g}" if at_most < LARGEST else f"a finite one, at least {at_least:g}"
        raise RecipeError(f"{name} must be a number", expected=expected, found=value)
