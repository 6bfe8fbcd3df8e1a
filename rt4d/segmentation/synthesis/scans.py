"""One synthetic scan from one seed: a chest, its distractors, its tumours, and the CT that shows them; written as a training case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d.segmentation.cases import FULL_SHARE, Case
from rt4d.segmentation.synthesis.chests import Chest, image, lay_out
from rt4d.segmentation.synthesis.distractors import add_distractors, collapse_behind
from rt4d.segmentation.synthesis.fields import Array, log_uniform
from rt4d.segmentation.synthesis.hosts import Host
from rt4d.segmentation.synthesis.inserting import Ground, Kind, Placed, ground_of, place, push_aside
from rt4d.segmentation.synthesis.material import POOLS, MaskShape, Nodule, of_pool
from rt4d.segmentation.synthesis.painting import paint_tumour
from rt4d.segmentation.synthesis.scanning import scanned
from rt4d.segmentation.synthesis.shapes import Form, any_pose, form_of_mask, lobulated
from rt4d.segmentation.synthesis.transplanting import transplant

COUNTS = (0.1, 0.52, 0.23, 0.1, 0.05)
"""How often a scan has 0, 1, 2, 3, 4 tumours."""
KINDS: dict[Kind, tuple[float, float, float]] = {
    "parenchymal": (0.22, 0.4, 80.0),
    "pleural": (0.24, 0.8, 320.0),
    "basal": (0.09, 4.0, 450.0),
    "central": (0.27, 4.0, 400.0),
    "apical": (0.06, 2.0, 150.0),
    "nodal": (0.12, 0.8, 30.0),
}
"""How often, and from what to what volume in cm³."""
Bytes = npt.NDArray[np.uint8]

SMALLEST_PIECE_CM3 = 0.05
SMALL: dict[Kind, float] = {"parenchymal": 0.6, "pleural": 0.4}
SMALL_CM3 = (0.25, 6.0)
"""Small lesions more, where they are asked for: how often each kind is drawn, and the volumes of all."""
TRIES, SHRINK = 6, 0.85
"""How often room is looked for, and by how much the tumour is smaller each time."""


def make_scan(seed: int, *, host: Host, shapes: Sequence[MaskShape] = (), nodules: Sequence[Nodule] = (), small: int = 0) -> Case:
    """A case with 0 to 4 tumours, everything drawn from the seed. Without shapes they are parametric, without nodules their texture is.

    small: so many lesions below 6 cm³ more, as far as there is room: real nodules in one half, if there are any, drawn ones in the other.

    `patient` names the shapes and patients that went in; they come from one of five pools, the seed's own, so that scans can be split
    into folds without sharing any. `made` says how it was made: each lesion's kind, material and volume in cm³, and the distractors.
    """
    rng = np.random.default_rng([seed, 11])
    shapes, nodules = of_pool(shapes, seed % POOLS), of_pool(nodules, seed % POOLS)
    chest = lay_out(host, rng)
    ground = ground_of(chest)
    planned = _planned(chest, ground, shapes, rng, small=small)
    for placed, _ in planned:
        _push(chest, placed, rng)
    image(chest, host, rng)
    distractors = add_distractors(chest, ground, rng)
    used, shares, looks = _painted(chest, planned, nodules, rng)
    lone = _transplanted(chest, ground, nodules, shares, rng, small=small) if nodules else []
    hu = np.clip(np.rint(scanned(chest.hu, rng)), -1024, 3071).astype(np.int16)
    lesions, owner = _labelled(shares, chest)
    made: dict[str, Any] = {
        "seed": seed, "pool": seed % POOLS, "lesions": looks + lone, "distractors": distractors, "contrast_hu": round(chest.contrast_hu),
    }  # fmt: skip
    names = sorted({form.name for _, form in planned if form.name != "parametric"} | set(used) | {one["material"] for one in lone})
    patient = "+".join(names) or f"synthetic-{seed}"
    return Case(hu=hu, lesions=lesions, owner=owner, geometry=chest.geometry, patient=patient, host=host.name, made=made)


def _planned(
    chest: Chest, ground: Ground, shapes: Sequence[MaskShape], rng: np.random.Generator, *, small: int
) -> list[tuple[Placed, Form]]:
    """The tumours that found room, none on another one."""
    planned: list[tuple[Placed, Form]] = []
    taken = np.zeros(chest.tissue.shape, dtype=bool)
    usual = int(rng.choice(len(COUNTS), p=COUNTS))
    for number in range(usual + small // 2):
        if number < usual:
            kind = _any_kind(rng, with_nodes=number > 0)
            volume = _any_volume(kind, rng)
        else:
            kind = list(SMALL)[int(rng.choice(len(SMALL), p=list(SMALL.values())))]
            volume = log_uniform(rng, *SMALL_CM3)
        for attempt in range(TRIES):
            form = _any_form(kind, shapes, rng)
            turn = 40.0 if form.name != "parametric" and rng.random() < 0.6 else 180.0
            pose = any_pose(rng, turn_degrees=turn, wild=1.7 if kind == "central" else 1.0)
            placed = place(chest, ground, kind, volume * SHRINK**attempt, form, pose, rng)
            if placed is not None and not (taken[placed.window] & (placed.share > 0)).any():
                taken[placed.window] |= placed.share > 0
                planned.append((placed, form))
                break
    return planned


def _any_kind(rng: np.random.Generator, *, with_nodes: bool) -> Kind:
    """A kind as often as `KINDS` says; beside another tumour it is a node three times as often."""
    kinds = list(KINDS)
    often = np.array([KINDS[kind][0] * (3 if with_nodes and kind == "nodal" else 1) for kind in kinds])
    return kinds[int(rng.choice(len(kinds), p=often / often.sum()))]


def _any_volume(kind: Kind, rng: np.random.Generator) -> float:
    """Log-uniform over the kind's range, and half of the time in its upper two thirds."""
    _, low, high = KINDS[kind]
    if rng.random() < 0.5:
        low = float(np.exp(np.log(low) + (np.log(high) - np.log(low)) / 3))
    return log_uniform(rng, low, high)


def _any_form(kind: Kind, shapes: Sequence[MaskShape], rng: np.random.Generator) -> Form:
    """A real shape three times out of four (a node: once in three), else a parametric one."""
    if shapes and rng.random() < (0.33 if kind == "nodal" else 0.75):
        return form_of_mask(shapes[int(rng.integers(len(shapes)))], largest_only=kind != "central" or rng.random() < 0.7)
    return lobulated(rng)


def _push(chest: Chest, placed: Placed, rng: np.random.Generator) -> None:
    often, low, high = {"nodal": (0.9, 0.4, 0.9), "central": (0.5, 0.15, 0.5)}.get(placed.kind, (0.25, 0.1, 0.4))
    if rng.random() < often:
        push_aside(chest, placed, float(rng.uniform(low, high)))


def _painted(
    chest: Chest, planned: Sequence[tuple[Placed, Form]], nodules: Sequence[Nodule], rng: np.random.Generator
) -> tuple[list[str], Array, list[dict[str, Any]]]:
    """The patients whose texture was used, the tumours' shares, and what each is."""
    shares = np.zeros(chest.hu.shape, dtype=np.float32)
    used, looks = [], []
    for placed, _ in planned:
        if placed.lung and rng.random() < (0.25 if placed.kind == "central" else 0.12):
            collapse_behind(chest, placed, rng)
    for placed, form in planned:
        nodule = nodules[int(rng.integers(len(nodules)))] if nodules and rng.random() < 0.35 else None
        look = paint_tumour(chest, placed, nodule, rng)
        if nodule is not None:
            used.append(nodule.patient)
        shares[placed.window] = np.maximum(shares[placed.window], placed.share)
        kind = {"kind": placed.kind, "material": form.name, "asked_cm3": round(placed.asked_cm3, 2), "drawn_cm3": round(placed.volume_cm3, 2)}
        looks.append(kind | {"solid_hu": round(look.base_hu), "glass": round(look.glass, 2), "cavity": look.cavity > 0})
    return used, shares, looks


def _transplanted(
    chest: Chest, ground: Ground, nodules: Sequence[Nodule], shares: Array, rng: np.random.Generator, *, small: int
) -> list[dict[str, Any]]:
    """In a third of the scans that have a tumour one real nodule more; and half of the small ones that were asked for."""
    asked = [log_uniform(rng, 0.4, 12.0)] if shares.any() and rng.random() <= 0.3 else []
    asked += [log_uniform(rng, *SMALL_CM3) for _ in range(small - small // 2)]
    lone = []
    for volume in asked:
        set_in = transplant(chest, ground, nodules, volume, rng)
        if set_in is None:
            continue
        nodule, share = set_in
        np.maximum(shares, share, out=shares)
        drawn = float(share.sum()) * chest.geometry.voxel_volume_mm3 / 1000
        lone.append({"kind": "nodule", "material": nodule.patient, "drawn_cm3": round(drawn, 2)})
    return lone


def _labelled(shares: Array, chest: Chest) -> tuple[Bytes, Bytes]:
    """The shares as bytes and whose each voxel is: what touches is one lesion, specks are none."""
    lesions = np.rint(np.clip(shares, 0, 1) * FULL_SHARE).astype(np.uint8)
    labels, count = ndimage.label(lesions > 0, structure=np.ones((3, 3, 3)))
    volumes = np.bincount(labels.ravel(), weights=lesions.ravel(), minlength=count + 1) / FULL_SHARE * chest.geometry.voxel_volume_mm3 / 1000
    kept = [n for n in range(1, count + 1) if volumes[n] >= SMALLEST_PIECE_CM3]
    number = np.zeros(count + 1, dtype=np.uint8)
    number[kept] = np.arange(1, len(kept) + 1)
    owner = number[labels]
    return lesions * (owner > 0), owner
