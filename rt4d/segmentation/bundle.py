"""A segmentation model as a MONAI bundle folder, read strictly into a value: what is misspelt, missing, altered or foreign is refused.

Of a bundle rt4d reads two JSON files and plain weights; no code of it is ever run and none of its expressions is evaluated. One from
elsewhere is used only where it is named with its digest, `/path/to/bundle@sha256:<hex>`, which is that of the lines which

    sha256sum configs/metadata.json configs/inference.json models/fold0.pt …

prints for it in its own folder, the members in the order of metadata.json.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from rt4d.errors import InputError, NotFoundError
from rt4d.provenance import sha256
from rt4d.resources import data_folder
from rt4d.segmentation.network import DYNUNET, strides_of
from rt4d.segmentation.space import Space

DEFAULT = "gtv_lung"
METADATA, INFERENCE = "configs/metadata.json", "configs/inference.json"
SECTION = "rt4d"
KEYS = (
    "spacing_mm",
    "window_hu",
    "patch",
    "overlap",
    "threshold",
    "threshold_at_point",
    "faint_threshold",
    "candidate_score",
    "smallest_cm3",
    "coarse",
    "fine",
    "members",
    "sha256",
)
NAMED_DIGEST = re.compile(r"(?P<path>.+)@sha256:(?P<digest>[0-9a-fA-F]{64})")
LARGEST_JSON = 4 << 20
PATCH = (16, 256)
"""Voxels along each side of a patch."""
MOST_OVERLAP = 0.9
"""Of neighbouring patches, as a share of one."""
MOST_COARSE = 3.0
"""How much larger the voxels of the look from afar may be."""
LEAST_FINE = 0.4
"""How small those of the look from close by may be, in the network's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coarse:
    """A look at larger voxels too, for lesions that are large beside a patch: see `rt4d.segmentation.looks`.

    spacing_mm: of its voxels. from_cm3: what it finds from this size on has a say in outlines, where the share of it that the own look knows is at
    least known_from and below known_to. score_share: its part in every candidate's score, 0 to 1.
    """

    spacing_mm: float
    from_cm3: float
    known_from: float
    known_to: float
    score_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fine:
    """A look at smaller voxels too, for lesions that are small beside a voxel: see `rt4d.segmentation.looks`.

    spacing_mm: of its voxels. overlap: of neighbouring patches, as a share of one. to_cm3: below this size its probability counts. share: for how
    much of it, 0 to 1.
    """

    spacing_mm: float
    overlap: float
    to_cm3: float
    share: float


Look = TypeVar("Look", Coarse, Fine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A model ready to be used: what it sees (space, patch), when it says yes (thresholds), what it is (definition, members, digest).

    patch_voxels: x y z; overlap: of neighbouring patches, as a share of one. threshold: of the probability, without and at a point.
    faint_threshold: what reaches only this one is a candidate too, outlined from half its highest probability.
    candidate_score and smallest_cm3: at least, for a candidate to be kept. coarse, fine: looks at larger and at smaller voxels, None where there
    is no such look. members: files of weights whose mean answers.
    """

    name: str
    space: Space
    patch_voxels: tuple[int, int, int]
    overlap: float
    threshold: float
    threshold_at_point: float
    faint_threshold: float
    candidate_score: float
    smallest_cm3: float
    coarse: Coarse | None
    fine: Fine | None
    network_definition: Mapping[str, Any]
    members: tuple[Path, ...]
    sha256: str

    def __post_init__(self) -> None:
        least, most = PATCH
        given: object = self.patch_voxels
        whole = isinstance(given, tuple) and len(given) == 3 and all(type(n) is int and least <= n <= most for n in given)
        if not whole:
            raise InputError("patch must be three numbers of voxels", where=self.name, expected=f"{least} to {most}", found=self.patch_voxels)
        _require_levels(self.patch_voxels, self.network_definition, self.name)
        _require_share(self.overlap, "overlap", self.name, most=MOST_OVERLAP)
        _require_share(self.candidate_score, "candidate_score", self.name)
        for name in ("threshold", "threshold_at_point", "faint_threshold"):
            _require_share(getattr(self, name), name, self.name, zero=False)
        if not _is_number(self.smallest_cm3) or self.smallest_cm3 < 0:
            raise InputError("smallest_cm3 must be a number", where=self.name, expected="at least 0", found=self.smallest_cm3)
        if self.coarse is not None:
            self._require_coarse(self.coarse)
        if self.fine is not None:
            self._require_fine(self.fine)
        if not self.members:
            raise InputError("A bundle needs at least one file of weights", where=self.name)

    def _require_coarse(self, coarse: Coarse) -> None:
        own = self.space.spacing_mm
        if not own < coarse.spacing_mm <= MOST_COARSE * own:
            expected = f"above {own:g} and at most {MOST_COARSE * own:g}"
            raise InputError("coarse needs larger voxels", where=self.name, expected=expected, found=coarse.spacing_mm)
        for name in ("score_share", "known_from", "known_to"):
            _require_share(getattr(coarse, name), f"coarse.{name}", self.name)
        if coarse.known_from > coarse.known_to:
            expected = f"at most known_to, {coarse.known_to:g}"
            raise InputError("coarse.known_from is too high", where=self.name, expected=expected, found=coarse.known_from)

    def _require_fine(self, fine: Fine) -> None:
        own = self.space.spacing_mm
        if not LEAST_FINE * own <= fine.spacing_mm < own:
            expected = f"at least {LEAST_FINE * own:g} and below {own:g}"
            raise InputError("fine needs smaller voxels", where=self.name, expected=expected, found=fine.spacing_mm)
        _require_share(fine.overlap, "fine.overlap", self.name, most=MOST_OVERLAP)
        _require_share(fine.share, "fine.share", self.name)

    def __repr__(self) -> str:
        return f"Bundle({self.name}: {len(self.members)} members, sha256 {self.sha256[:12]})"


def read_bundle(name_or_path: str | Path = DEFAULT) -> Bundle:
    """The bundle of that name in `models/`, or in a folder, named with its digest: '/path/to/bundle@sha256:<hex>'.

    NotFoundError lists the bundles that come with rt4d. InputError names file and key of what is wrong, and tells the digest of a bundle
    from elsewhere that is not named with the one it has.
    """
    folder, wanted, own = _place(name_or_path)
    metadata, inference = (_read_json(_inside(folder, file), where=f"{folder.name}/{file}") for file in (METADATA, INFERENCE))
    said = _section(metadata, where=f"{folder.name}/{METADATA}, {SECTION}")
    members = _members(folder, said["members"], said["sha256"])
    digest = bundle_digest(folder, said["members"])
    if not own and wanted is None:
        do = f"If you trust it, name it with its digest: {folder}@sha256:{digest}"
        raise InputError("A bundle from elsewhere is used only where it is named with its sha256", where=folder, found=digest, do=do)
    if wanted is not None and wanted != digest:
        raise InputError("This is not the bundle of that digest", where=folder, expected=wanted, found=digest, do="Ask where it was changed")
    return Bundle(
        name=folder.resolve().name,
        space=_space(said, where=f"{folder.name}/{METADATA}"),
        patch_voxels=tuple(said["patch"]) if isinstance(said["patch"], list) else said["patch"],
        overlap=said["overlap"],
        threshold=said["threshold"],
        threshold_at_point=said["threshold_at_point"],
        faint_threshold=said["faint_threshold"],
        candidate_score=said["candidate_score"],
        smallest_cm3=said["smallest_cm3"],
        coarse=_other_look(said, "coarse", Coarse, size="from_cm3", where=f"{folder.name}/{METADATA}"),
        fine=_other_look(said, "fine", Fine, size="to_cm3", where=f"{folder.name}/{METADATA}"),
        network_definition=_definition(inference, where=f"{folder.name}/{INFERENCE}"),
        members=members,
        sha256=digest,
    )


def bundle_names() -> tuple[str, ...]:
    """The bundles that come with rt4d."""
    return tuple(sorted(path.parent.parent.name for path in data_folder("models").glob(f"*/{METADATA}")))


def bundle_digest(folder: Path, members: list[str]) -> str:
    """The digest of a bundle: of the lines that `sha256sum` prints for metadata.json, inference.json and the members."""
    lines = [f"{sha256(_inside(folder, file))}  {file}\n" for file in (METADATA, INFERENCE, *members)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _place(name_or_path: str | Path) -> tuple[Path, str | None, bool]:
    """The bundle's folder, the digest that it is named with, and whether it came with rt4d."""
    named = NAMED_DIGEST.fullmatch(str(name_or_path))
    path = named["path"] if named else str(name_or_path)
    wanted = named["digest"].lower() if named else None
    if path in bundle_names():
        return data_folder("models") / path, wanted, True
    if Path(path).is_dir():
        return Path(path), wanted, False
    expected = " or ".join([*bundle_names(), "/path/to/bundle@sha256:<hex>"])
    do = "Give a bundle of your own with --bundle (rt4d train makes one), or the physician's contour to rt4d itv with --gtv RTSTRUCT"
    raise NotFoundError("No segmentation model of that name", expected=expected, found=path, do=do)


def _inside(folder: Path, file: object) -> Path:
    """The path of one of the bundle's own files: below its folder, also when links are followed, and there."""
    if not isinstance(file, str) or "\\" in file or "\n" in file or PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
        raise InputError("A bundle names files within its own folder", where=folder.name, expected="models/fold0.pt", found=file)
    path = folder / file
    if not path.is_file():
        raise NotFoundError("A file of the bundle is missing", where=folder.name, expected=file)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError("A file of the bundle lies outside its folder", where=folder.name, found=file)
    return path


def _read_json(path: Path, *, where: str) -> dict[str, Any]:
    if path.stat().st_size > LARGEST_JSON:
        raise InputError("This JSON file is too large", where=where, expected=f"at most {LARGEST_JSON >> 20} MiB")
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError("Not a JSON file", where=where, found=error) from error
    if not isinstance(said, dict):
        raise InputError("Not a JSON file of keys and values", where=where, found=type(said).__name__)
    return said


def _section(metadata: dict[str, Any], *, where: str) -> dict[str, Any]:
    """What metadata.json says for rt4d, with every key that it must have and no other."""
    said = metadata.get(SECTION)
    if not isinstance(said, dict):
        do = "A MONAI bundle needs this section to be used by rt4d: see models/README.md"
        raise InputError("metadata.json says nothing for rt4d", where=where, do=do)
    for key in said:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1)
            raise InputError("A bundle has no such key", where=where, found=key, do=f"Did you mean {near[0]}?" if near else "")
    if missing := [key for key in KEYS if key not in said]:
        raise InputError("A bundle lacks a key", where=where, expected=", ".join(missing))
    return said


def _members(folder: Path, files: object, digests: object) -> tuple[Path, ...]:
    """The files of weights, each with the digest that metadata.json tells."""
    if not isinstance(files, list) or not isinstance(digests, dict) or len(set(map(str, files))) != len(files):
        raise InputError("members must be a list of files and sha256 their digests", where=folder.name)
    paths = tuple(_inside(folder, file) for file in files)
    if set(files) != set(digests):
        raise InputError("Each member needs its digest, and nothing else", where=folder.name, expected=", ".join(files), found=", ".join(digests))
    for file, path in zip(files, paths, strict=True):
        if (found := sha256(path)) != digests[file]:
            do = "The file was changed or did not arrive whole: install or copy it again"
            raise InputError("A file of weights is not the one that the bundle was made with", where=file, expected=digests[file], found=found, do=do)
    return paths


def _definition(inference: dict[str, Any], *, where: str) -> dict[str, Any]:
    found = inference.get("network_def")
    if not isinstance(found, dict) or not isinstance(found.get("_target_"), str):
        raise InputError("inference.json defines no network", where=where, expected='"network_def": {"_target_": …}')
    return found


def _space(said: dict[str, Any], *, where: str) -> Space:
    window = said["window_hu"]
    if not _is_number(said["spacing_mm"]) or not isinstance(window, list) or not all(map(_is_number, window)):
        raise InputError("spacing_mm must be a number and window_hu two", where=where, found=f"{said['spacing_mm']}, {window}")
    return Space(spacing_mm=float(said["spacing_mm"]), window_hu=tuple(map(float, window)))  # type: ignore[arg-type]  # Space counts them


def _other_look(section: Mapping[str, Any], name: str, kind: type[Look], *, size: str, where: str) -> Look | None:
    """What the section says of a look at other voxels; None where it says that there is none."""
    said = section[name]
    if said is None:
        return None
    names = {each.name for each in fields(kind)}
    if not isinstance(said, dict) or set(said) != names or not all(map(_is_number, said.values())) or said[size] < 0:
        expected = f"numbers: {', '.join(sorted(names))}"
        raise InputError(f"{name} must be null, or say what that look needs", where=where, expected=expected, found=said)
    return kind(**said)


def _require_levels(patch_voxels: tuple[int, ...], definition: Mapping[str, Any], where: str) -> None:
    """Refuse a patch that the network cannot make coarser as often as it does, down to two voxels along each side: one has no spread to divide by."""
    levels = strides_of(definition) if definition.get("_target_") == DYNUNET else ()  # another network is not on the list, and never built
    for axis, voxels in enumerate(patch_voxels):
        coarsest = math.prod(level[2 - axis] for level in levels)
        if voxels % coarsest or voxels < 2 * coarsest:
            expected = f"multiples of {coarsest}, at least {2 * coarsest}"
            raise InputError("The network cannot halve this patch", where=where, expected=expected, found=patch_voxels)


def _require_share(value: object, name: str, where: str, *, most: float = 1.0, zero: bool = True) -> None:
    """Refuse what is no number from 0 to `most`; and zero itself, where that is asked."""
    if not isinstance(value, int | float) or not _is_number(value) or not 0 <= value <= most or (value == 0 and not zero):
        raise InputError(f"{name} must be a share", where=where, expected=f"from {'' if zero else 'above '}0 to {most:g}", found=value)


def _is_number(value: object) -> bool:
    """Whether it is one that is finite: JSON also knows whole numbers beyond every floating one."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
