"""Patches to learn from: where they lie, what was clicked, and what the network should answer. Patch number n of a seed is always the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d.geometry import Geometry, Triple
from rt4d.segmentation.cases import FULL_SHARE, Case, read_case
from rt4d.segmentation.space import Space, click_channel, normalised
from rt4d.segmentation.training.augmentation import AIR_HU, Pose, other_contrast, other_scanner, random_pose, straight, taken

Array = npt.NDArray[np.float32]

NEAR_A_LESION, CLICKED = 2 / 3, 0.35
"""Shares of the patches: about a lesion; and, of those that hold tumour, with a click."""
LEAST_LUNG, LUNG_HU = 0.25, -400
"""A lesion with less lung than this share in the shell 2 to 3 voxels around it lies in soft tissue: without contrast nobody sees where."""
UNKNOWN = -1.0
"""The label of voxels that the network is not judged by."""
INNER_SHARE, INNER_SMOOTH = 0.98, 5.0
"""A voxel lies inside a lesion from this share on; a lesion of so many voxels inside weighs a half."""
SMALL_FIRST = -0.5
"""Power of its volume by which one of a case's lesions is chosen: of 1 cm³ ten times as often as of 100, which lies in more patches anyway."""
LARGE_FIRST = 0.25
"""The same of patches seen from afar, which are there for large ones."""
OFF_CENTRE = 0.3
"""How far from a patch's middle the lesion's voxel may lie, in edges."""
BODY_HU = -350
CACHE_BYTES = 1_500_000_000
"""Of cases kept in memory by each process that makes patches."""


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """image: CT in [0, 1] and click, shape (2, z, y, x). label: each voxel's share of (the clicked) lesion, or UNKNOWN, shape (1, z, y, x)."""

    image: Array
    label: Array
    is_clicked: bool

    @property
    def inner(self) -> Array:
        """What each voxel weighs in the mean over the lesions' insides, shape (1, z, y, x); for each lesion 1 in all, for a tiny one less.

        Shared out among the voxels wholly inside it (Kofler et al., blob loss, 2023): none for those at the edge, so that no outline is drawn wider.
        """
        lesions, count = ndimage.label(self.label >= INNER_SHARE, structure=np.ones((3,) * 4))
        weights = 1 / (np.bincount(lesions.ravel(), minlength=count + 1) + INNER_SMOOTH)
        weights[0] = 0
        return np.asarray(weights[lesions], dtype=np.float32)


class Patches:
    """Patch n of an endless row, for any n ≥ 0: each case comes once before any comes again, in an order that the seed tells."""

    def __init__(self, paths: Sequence[Path], *, space: Space, edge: int, seed: int) -> None:
        self._paths, self._space, self._edge, self._seed = tuple(paths), space, edge, seed
        self._kept: OrderedDict[Path, tuple[Case, tuple[int, ...]]] = OrderedDict()

    def __getitem__(self, number: int) -> Patch:
        rng = np.random.default_rng((self._seed, number))
        turn, place = divmod(number, len(self._paths))
        order = np.random.default_rng((self._seed, turn, 1)).permutation(len(self._paths))
        case, buried = self._case(self._paths[order[place]])
        return random_patch(case, rng, space=self._space, edge=self._edge, buried=buried)

    def _case(self, path: Path) -> tuple[Case, tuple[int, ...]]:
        if path not in self._kept:
            case = read_case(path)
            self._kept[path] = case, buried_lesions(case)
            while len(self._kept) > 1 and sum(4 * case.hu.size for case, _ in self._kept.values()) > CACHE_BYTES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(path)
        return self._kept[path]


def buried_lesions(case: Case) -> tuple[int, ...]:
    """The lesions (1..n) with less than a quarter of lung around them, as nodes in the mediastinum."""
    return tuple(number for number in range(1, case.lesion_count + 1) if _lung_about(case, number) < LEAST_LUNG)


def _lung_about(case: Case, lesion: int) -> float:
    """The share of lung in the shell around a lesion."""
    box = ndimage.find_objects(case.owner == lesion, max_label=1)[0]
    window = tuple(slice(max(side.start - 4, 0), side.stop + 4) for side in box)
    inside = case.owner[window] == lesion
    shell = ndimage.binary_dilation(inside, iterations=3) & ~ndimage.binary_dilation(inside)
    return float((case.hu[window][shell] < LUNG_HU).mean())


def random_patch(case: Case, rng: np.random.Generator, *, space: Space, edge: int, buried: Sequence[int] = ()) -> Patch:
    """A patch of a case, about a lesion or anywhere in the body, as another scanner may have shown it, some of those with tumour clicked.

    Without a click, buried lesions are unknown: the network learns neither to mark nor to pass over what cannot be seen.
    """
    pose = random_pose(rng)
    centre = _centre(case, rng, edge, pose)
    hu = other_scanner(taken(case.hu, centre, pose, edge=edge, outside=AIR_HU), rng, spacing_mm=space.spacing_mm * pose.voxel)
    lesion = _lesion_to_click(case, centre, edge, rng) if rng.random() < CLICKED else None
    patch = _patch(case, hu, centre, pose, lesion=lesion, rng=rng, space=space)
    label = patch.label
    if buried and not patch.is_clicked:
        unknown = taken(np.isin(case.owner, buried).astype(np.uint8), centre, pose, edge=edge, outside=0.0) > 0
        label = np.where(unknown, np.float32(UNKNOWN), label)
    return Patch(np.stack([other_contrast(patch.image[0], rng), patch.image[1]]), label, patch.is_clicked)


def lesion_patch(case: Case, lesion: int, *, clicked: bool, seed: int, space: Space, edge: int) -> Patch:
    """The patch about a lesion (1..n) as it is in the case, with a click in it or without: what a validation looks at."""
    centre = np.argwhere(case.owner == lesion).mean(axis=0)
    hu = taken(case.hu, centre, straight(), edge=edge, outside=AIR_HU)
    rng = np.random.default_rng((seed, lesion))
    return _patch(case, hu, centre, straight(), lesion=lesion if clicked else None, rng=rng, space=space)


def _patch(
    case: Case, hu: Array, centre: npt.NDArray[np.float64], pose: Pose, *, lesion: int | None, rng: np.random.Generator, space: Space
) -> Patch:
    """Image and label of a patch whose HU are there; a click where a lesion is named that reaches into it."""
    edge = hu.shape[0]
    share = _share(case, lesion, centre, pose, edge)
    places = np.argwhere(share >= 0.5)
    if lesion is not None and not len(places):  # turned out of the patch, or of partial voxels only: as without a click
        share, lesion = _share(case, None, centre, pose, edge), None
    spacing_mm = space.spacing_mm * pose.voxel
    grid = Geometry((edge,) * 3, (spacing_mm,) * 3)
    click = click_channel(grid, _click(places, rng, spacing_mm) if lesion is not None else None)
    return Patch(np.stack([normalised(hu, space), click]), np.ascontiguousarray(share[None]), lesion is not None)


def _share(case: Case, lesion: int | None, centre: npt.NDArray[np.float64], pose: Pose, edge: int) -> Array:
    """The share of each voxel that is the lesion, or any of them."""
    values = case.lesions if lesion is None else np.where(case.owner == lesion, case.lesions, np.uint8(0))
    return taken(values, centre, pose, edge=edge, outside=0.0) / np.float32(FULL_SHARE)


def _click(places: npt.NDArray[np.intp], rng: np.random.Generator, spacing_mm: float) -> Triple:
    """A point somewhere in one of the voxels (z y x), mm on the patch's own grid."""
    z, y, x = (places[rng.integers(len(places))] + rng.uniform(-0.5, 0.5, 3)) * spacing_mm
    return float(x), float(y), float(z)


def _centre(case: Case, rng: np.random.Generator, edge: int, pose: Pose) -> npt.NDArray[np.float64]:
    """The voxel (z y x) about which the patch lies."""
    if case.lesion_count and rng.random() < NEAR_A_LESION:
        often = np.power(case.volumes_cm3, SMALL_FIRST if pose.voxel == 1 else LARGE_FIRST)
        places = np.argwhere(case.owner == 1 + rng.choice(case.lesion_count, p=often / often.sum()))
        return np.asarray(places[rng.integers(len(places))] + rng.uniform(-OFF_CENTRE, OFF_CENTRE, 3) * edge * pose.voxel)
    coarse = case.hu[::4, ::4, ::4] > BODY_HU
    if not coarse.any():
        return np.asarray(rng.uniform(0, case.hu.shape))
    low, high = zip(*((4 * places.min(), 4 * places.max()) for places in coarse.nonzero()), strict=True)
    return np.asarray(rng.uniform(low, np.array(high) + 1))


def _lesion_to_click(case: Case, centre: npt.NDArray[np.float64], edge: int, rng: np.random.Generator) -> int | None:
    """One of the lesions that reach into the middle of the patch, each as likely."""
    corner = np.round(centre).astype(int) - edge // 2
    window = tuple(slice(max(a, 0), max(a + edge, 0)) for a in corner)
    held = np.unique(case.owner[window])
    held = held[held > 0]
    return int(rng.choice(held)) if held.size else None
