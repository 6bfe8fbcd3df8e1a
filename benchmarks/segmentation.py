"""How well the segmenter finds and outlines tumours: on synthetic scans of held-back shapes and textures, and on real planning CTs.

    python benchmarks/synthetic_scans.py DATA HELD --scans 120 --seed 900000 --part held
    python benchmarks/segmentation.py scans HELD [--bundle NAME] [--figures FILE.json]
    python benchmarks/segmentation.py real DATA [--bundle NAME] [--figures FILE.json]

The whole of `rt4d.segment` is run, as a user would. A candidate is *on* a lesion where at least a tenth of it lies there. A lesion is *found* where a
kept candidate on it holds at least a tenth of it. False positives: kept candidates that are on no lesion. DSC, surface DSC (2 mm) and HD95 are those
of the union of the candidates on a lesion; a lesion that was not found counts with DSC 0 and no HD95. 'At a point' is `--point` at the voxel deepest
inside the lesion. Intervals are exact (Clopper-Pearson) for shares, and by bootstrap over scans for false positives per scan. A lesion here is a
connected piece; of the real CTs it is the physician's whole GTV (ROI), in one piece or ten. Chests `generated-…` are formulas of their own seeds;
`thorax_no_tumour` is the one real chest, which training saw too, bent otherwise.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from itv import real_ct
from scipy import ndimage, stats

import rt4d
from rt4d.agreement import dice, surface_distances
from rt4d.errors import InputError
from rt4d.geometry import Triple
from rt4d.segmentation.cases import FULL_SHARE, read_case
from rt4d.segmentation.training.folds import case_paths
from rt4d.volumes import Mask, Volume

ON, FOUND, TOLERANCE_MM = 0.1, 0.1, 2.0
STRATA_CM3 = ((0.0, 1.0), (1.0, 5.0), (5.0, 30.0), (30.0, 100.0), (100.0, 1000.0))
SEED = 5
Scan = tuple[str, Volume, list[Mask]]


@dataclass(frozen=True)
class Lesion:
    """One lesion of one scan: what came out without any input, and at a point."""

    scan: str
    volume_cm3: float
    found: bool
    dice: float
    surface_dice: float | None
    hd95_mm: float | None
    dice_at_point: float


def looked_at(scan: str, image: Volume, lesions: Sequence[Mask], *, bundle: str | None) -> tuple[list[Lesion], int]:
    """Every lesion of a scan, and how many kept candidates lie on none."""
    kept = [one.mask for one in rt4d.segment(image, bundle=bundle).kept]
    on = [[share_on(mask, lesion) >= ON for mask in kept] for lesion in lesions]
    false = sum(not any(each[n] for each in on) for n in range(len(kept)))
    results = []
    for lesion, theirs in zip(lesions, on, strict=True):
        mine = [mask for mask, here in zip(kept, theirs, strict=True) if here]
        union = Mask(np.any([mask.inside for mask in mine], axis=0), image.geometry) if mine else None
        if union is None or share_on(lesion, union) < FOUND:
            results.append(Lesion(scan, lesion.volume_cm3, False, 0.0, 0.0, None, at_point(image, lesion, bundle=bundle)))
            continue
        near, hd95 = surfaces(union, lesion)
        results.append(Lesion(scan, lesion.volume_cm3, True, dice(union, lesion), near, hd95, at_point(image, lesion, bundle=bundle)))
    return results, false


def share_on(mask: Mask, other: Mask) -> float:
    return float(np.count_nonzero(mask.inside & other.inside) / np.count_nonzero(mask.inside))


def surfaces(mask: Mask, other: Mask) -> tuple[float, float]:
    """Surface DSC at 2 mm and HD95, as `rt4d.compare` defines them."""
    found = surface_distances(mask, other)
    return found.surface_dice(TOLERANCE_MM), found.hausdorff_mm(95)


def at_point(image: Volume, lesion: Mask, *, bundle: str | None) -> float:
    try:
        found = rt4d.segment(image, bundle=bundle, point_mm=deepest(lesion)).primary
    except InputError:
        return 0.0
    return dice(found, lesion)


def deepest(mask: Mask) -> Triple:
    start, size = mask.box(2 * max(mask.geometry.spacing_mm))
    part = mask.crop(start, size)
    depth = ndimage.distance_transform_edt(part.inside, sampling=part.geometry.spacing_mm[::-1])
    x, y, z = part.geometry.to_patient(np.array(np.unravel_index(depth.argmax(), depth.shape)[::-1], dtype=float))
    return float(x), float(y), float(z)


def synthetic(folder: Path, hosts: str) -> Iterator[Scan]:
    for path in case_paths(folder):
        case = read_case(path)
        if hosts in case.host:
            whole = case.lesions >= FULL_SHARE / 2
            lesions = [Mask(whole & (case.owner == n), case.geometry) for n in range(1, case.lesion_count + 1)]
            yield f"{path.stem} {case.host}", Volume(case.hu, case.geometry), [mask for mask in lesions if not mask.is_empty]


def real(data: Path) -> Iterator[Scan]:
    for patient, rois in (("lung1_001", ("GTV-1",)), ("lung1_002", ("gtv-1",)), ("lung1_007", ("gtv-1", "gtv-2"))):
        drawn = [real_ct(data / patient, roi) for roi in rois]
        yield f"{patient} ({', '.join(rois)})", drawn[0][0].volume, [mask for _, mask in drawn]
    ct = rt4d.read_4dct(data / "4dct_philips", reference="50")
    gtv = rt4d.read_rtstruct(data / "4dct_philips_gtv.dcm", on=ct.reference)["GTV"]
    yield "4dct_philips, phase 50 (by threshold)", ct.reference.volume, [gtv]


def tables(found: Sequence[Lesion], false: Sequence[int]) -> dict[str, dict[str, object]]:
    """Rows of figures by size, and of all."""
    rows: dict[str, dict[str, object]] = {}
    for low, high in (*STRATA_CM3, (0.0, 1e9)):
        inside = [one for one in found if low <= one.volume_cm3 < high]
        if inside:
            rows["all" if high > 1e6 else f"{low:g} to {high:g} cm³"] = row(inside)
    if false:
        means = np.random.default_rng(SEED).choice(false, (2000, len(false))).mean(axis=1)
        low, high = np.percentile(means, [2.5, 97.5])
        rows["all"]["false positives per scan"] = f"{np.mean(false):.2f} ({low:.2f}-{high:.2f})"
    return rows


def row(lesions: Sequence[Lesion]) -> dict[str, object]:
    hits = sum(one.found for one in lesions)
    interval = stats.binomtest(hits, len(lesions)).proportion_ci(method="exact")
    far = [one.hd95_mm for one in lesions if one.hd95_mm is not None]
    return {
        "lesions": len(lesions),
        "found": f"{hits / len(lesions):.2f} ({interval.low:.2f}-{interval.high:.2f})",
        "DSC (median)": round(float(np.median([one.dice for one in lesions])), 3),
        "surface DSC 2 mm": round(float(np.median([one.surface_dice for one in lesions if one.surface_dice is not None])), 3),
        "HD95 of the found, mm": round(float(np.median(far)), 1) if far else None,
        "DSC at a point": round(float(np.median([one.dice_at_point for one in lesions])), 3),
    }


def single(one: Lesion) -> dict[str, object]:
    return {"DSC": round(one.dice, 3), "surface DSC 2 mm": one.surface_dice, "HD95, mm": one.hd95_mm, "DSC at a point": round(one.dice_at_point, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=("scans", "real"))
    parser.add_argument("data", type=Path)
    parser.add_argument("--bundle")
    parser.add_argument("--hosts", default="", help="scans whose chest has this in its name: generated, thorax_no_tumour")
    parser.add_argument("--figures", type=Path, help="write the rows into this JSON file too, for rt4d.segmentation.training.card.rewrite_card")
    given = parser.parse_args()
    scans = synthetic(given.data, given.hosts) if given.which == "scans" else real(given.data)
    found: list[Lesion] = []
    false: list[int] = []
    for name, image, lesions in scans:
        began = time.perf_counter()
        new, wrong = looked_at(name, image, lesions, bundle=given.bundle)
        found += new
        false.append(wrong)
        told = "; ".join(f"{one.volume_cm3:.1f} cm³ DSC {one.dice:.2f}, at a point {one.dice_at_point:.2f}" for one in new)
        print(f"{name}: {told or 'no lesion'}; false positives {wrong} ({time.perf_counter() - began:.0f} s)", file=sys.stderr, flush=True)
    rows = tables(found, false) if given.which == "scans" else {one.scan + f", {one.volume_cm3:.1f} cm³": single(one) for one in found}
    for title, figures in rows.items():
        print(f"{title:<44}" + "   ".join(f"{name} {value}" for name, value in figures.items()))
    print(f"{len(false)} scans, {len(found)} lesions; false positives per scan {np.mean(false):.2f}")
    if given.figures:
        given.figures.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
