"""How well the network does on patients that it has not seen: about lesions while it learns, on whole scans in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from rt4d.segmentation.cases import FULL_SHARE, Case, read_case
from rt4d.segmentation.space import normalised
from rt4d.segmentation.training.devices import Place
from rt4d.segmentation.training.loss import foreground
from rt4d.segmentation.training.options import Options
from rt4d.segmentation.training.patches import lesion_patch

STRATA_CM3 = (0.0, 1.0, 10.0, 50.0, float("inf"))
FOUND, TRUE = 0.1, 0.1
"""A lesion is found where this share of it is marked, by marks of which this share lies on lesions: marking everything finds nothing."""
SMALLEST_CM3 = 0.2
"""Marks below it count as noise."""
OVERLAP = 0.5
EVERYWHERE = np.ones((3, 3, 3), bool)
Answer = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Looked:
    """One held-back lesion: its volume; Dice with a click in it, and without one. On a whole scan: whether it was found."""

    volume_cm3: float
    clicked: float
    unclicked: float
    is_found: bool = True


def stratum(volume_cm3: float) -> str:
    """The size class of a lesion in words."""
    for low, high in pairwise(STRATA_CM3):
        if volume_cm3 < high:
            return f"under {high:g} cm³" if low == 0 else f"{low:g} cm³ and more" if np.isinf(high) else f"{low:g} to {high:g} cm³"
    raise AssertionError


def by_stratum(looked: Sequence[Looked]) -> dict[str, dict[str, float]]:
    """Per size class, from small to large: how many lesions, their median Dice, and the share that was found."""
    ordered = sorted(looked, key=lambda one: one.volume_cm3)
    table = {}
    for name in dict.fromkeys(stratum(one.volume_cm3) for one in ordered):
        inside = [one for one in ordered if stratum(one.volume_cm3) == name]
        table[name] = {
            "lesions": len(inside),
            "dice": round(float(np.median([one.unclicked for one in inside])), 4),
            "dice_clicked": round(float(np.median([one.clicked for one in inside])), 4),
            "found": round(float(np.mean([one.is_found for one in inside])), 4),
        }
    return table


def chosen_lesions(paths: Sequence[Path], *, count: int, seed: int) -> list[tuple[Path, int]]:
    """Which held-back lesions are looked at while the network learns: always the same ones, from as many cases as there are."""
    each = [[(path, lesion) for lesion in range(1, read_case(path).lesion_count + 1)] for path in paths]
    rng = np.random.default_rng(seed)
    shuffled = [[lesions[i] for i in rng.permutation(len(lesions))] for lesions in each]
    order = rng.permutation(len(shuffled))
    longest = max((len(lesions) for lesions in shuffled), default=0)
    return [shuffled[i][turn] for turn in range(longest) for i in order if turn < len(shuffled[i])][:count]


@torch.inference_mode()
def look_at_patches(network: torch.nn.Module, lesions: Sequence[tuple[Path, int]], *, options: Options, where: Place) -> list[Looked]:
    """Dice about each of the lesions, with a click and without."""
    network.eval()
    looked = []
    for path, lesion in lesions:
        case = read_case(path)
        clicked, unclicked = (_dice_of_patch(network, case, lesion, clicked=each, options=options, where=where) for each in (True, False))
        looked.append(Looked(case.volumes_cm3[lesion - 1], clicked, unclicked))
    return looked


def score(looked: Sequence[Looked]) -> float:
    """The number by which the best weights are chosen: the mean Dice, clicked and not."""
    return float(np.mean([(one.clicked + one.unclicked) / 2 for one in looked])) if looked else 0.0


@torch.inference_mode()
def look_at_scan(network: torch.nn.Module, path: Path, *, options: Options, where: Place) -> tuple[list[Looked], int]:
    """Every lesion of a whole scan, found without a click and then with one, and how many marks lie on no lesion."""
    network.eval()
    case = read_case(path)
    marks, count = ndimage.label(scan_answer(network, case, options=options, where=where) > 0.5, structure=EVERYWHERE)
    sizes, on_lesions = (np.bincount(marks[part], minlength=count + 1) for part in (marks > 0, (marks > 0) & (case.lesions > 0)))
    is_true = on_lesions > TRUE * sizes
    false = ~is_true & (sizes * case.geometry.voxel_volume_mm3 >= 1000 * SMALLEST_CM3)
    looked = []
    for lesion, volume in enumerate(case.volumes_cm3, start=1):
        own = (case.lesions >= FULL_SHARE / 2) & (case.owner == lesion)
        touching = np.unique(marks[own & (marks > 0)])
        clicked = _dice_of_patch(network, case, lesion, clicked=True, options=options, where=where)
        is_found = int((is_true[marks] & own).sum()) > FOUND * int(own.sum())
        looked.append(Looked(volume, clicked, dice(np.isin(marks, touching), own), is_found))
    return looked, int(false.sum())


def scan_answer(network: torch.nn.Module, case: Case, *, options: Options, where: Place) -> Answer:
    """How surely each voxel of a whole case is GTV when nothing is clicked: windows blended by a Gaussian."""
    from monai.inferers.utils import sliding_window_inference

    image = torch.from_numpy(np.stack([normalised(case.hu, options.space), np.zeros(case.hu.shape, np.float32)]))[None]
    with where.mixed():
        answer = sliding_window_inference(image.to(where.device), (options.patch,) * 3, 1, network, overlap=OVERLAP, mode="gaussian")
    assert isinstance(answer, torch.Tensor)
    return np.asarray(foreground(answer)[0, 0].cpu().numpy())


def dice(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    """2 |A ∩ B| / (|A| + |B|); 1 where both are empty."""
    together = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / together if together else 1.0


def _dice_of_patch(network: torch.nn.Module, case: Case, lesion: int, *, clicked: bool, options: Options, where: Place) -> float:
    patch = lesion_patch(case, lesion, clicked=clicked, seed=options.seed, space=options.space, edge=options.patch)
    with where.mixed():
        answer = network(torch.from_numpy(patch.image)[None].to(where.device))
    return dice(foreground(answer)[0, 0].cpu().numpy() > 0.5, patch.label[0] >= 0.5)
