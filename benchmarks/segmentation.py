"""How well the segmenter finds and outlines tumours: on synthetic scans of held-back shapes and textures, and on real planning CTs.

    python benchmarks/synthetic_scans.py DATA HELD --scans 120 --seed 900000 --part held
    python benchmarks/segmentation.py scans HELD [--bundle NAME] [--hosts generated] [--card BUNDLE]
    python benchmarks/segmentation.py real DATA [--bundle NAME] [--card BUNDLE]
    python benchmarks/segmentation.py generated [--most 40] [--bundle NAME] [--card BUNDLE]
    python benchmarks/segmentation.py speed DATA
    python benchmarks/segmentation.py folds CASES --bundle FOLDER [--most SCANS OF EACH FOLD] [--card BUNDLE]

The whole of `rt4d.segment` is run, as a user would. A candidate is *on* a lesion where at least a tenth of it lies there; a lesion is *found* where
the kept candidates on it hold at least a tenth of it; a kept candidate on no lesion is a false positive. DSC, surface DSC (2 mm) and HD95 are those
of the union of the candidates on a lesion; a lesion that was not found counts with DSC 0 and no HD95. 'At a point' is `--point` at the voxel deepest
inside the lesion. A lesion here is a connected piece; of the real CTs it is the physician's whole GTV (ROI), in one piece or ten. Chests
`generated-…` are formulas of their own seeds; `thorax_no_tumour` is the one real chest, which training saw too, bent otherwise.

`generated` takes the reference phase of generated 4D-CTs (`rt4d phantom`: formulas, of which training saw other chests and no tumour), one tumour of
8 to 75 mm in each, at a place of its own: free in the lung, at the wall, at the hilum or on the diaphragm, as chance has it, or within the heart,
where it cannot be seen: those are left out of 'in the lungs'.

`speed` is the command line, from a CT of 512×512×134 to all files, and from one of 300 slices; beside it the same network with MONAI alone.

`folds` is cross-validation: FOLDER is what `rt4d train CASES --cross-validate` made, and each of its members is measured on the scans that it held
back, alone, with the thresholds and looks of the shipped bundle. The tables are those of all folds together, patients never split.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from itv import real_ct, watched
from scipy import ndimage

import rt4d
from rt4d import phantom
from rt4d.agreement import BY_VOLUME, Froc, Matching, Overlap, Scan, Stratum, compare, detection_in, dice, froc, lesions_of, match
from rt4d.agreement.detection import ALL, Detection
from rt4d.agreement.froc_curve import RATES
from rt4d.errors import InputError
from rt4d.geometry import Geometry, Triple
from rt4d.images import write_volume
from rt4d.phantom import Tumour
from rt4d.resources import data_folder
from rt4d.segmentation.bundle import DEFAULT, METADATA, SECTION, bundle_digest
from rt4d.segmentation.candidates import Candidate
from rt4d.segmentation.cases import FULL_SHARE, Case, read_case
from rt4d.segmentation.training.card import rewrite_card
from rt4d.segmentation.training.folds import case_paths
from rt4d.segmentation.training.patches import LEAST_LUNG, LUNG_HU, buried_lesions
from rt4d.volumes import Mask, Volume

TITLES = {
    "scans": "Synthetic scans of held-back shapes and textures",
    "generated": "Generated 4D-CTs, their reference phase, one tumour each",
    "real": "Real CTs that nothing was learnt from",
    "folds": "Cross-validation",
}
RULE = Overlap(of_machine=0.1, of_physician=0.1)
MONAI_ALONE = Path(__file__).with_name("monai_alone.py")
GENERATED_FROM, GENERATED_MM = 70_000, (8.0, 75.0)
GENERATED_GRID: dict[str, Any] = {"size": (360, 280, 90), "spacing_mm": (1.0, 1.0, 3.0)}


@dataclass(frozen=True)
class Outlined:
    """How one lesion of one scan came out without any input, and at a point; None of what there is not."""

    scan: str
    volume_cm3: float
    dice: float
    surface_dice: float
    hd95_mm: float | None
    dice_at_point: float


def matched(candidates: Sequence[Candidate], lesions: Sequence[Mask]) -> Matching:
    seen = [one for one in candidates if not one.part.is_empty]
    return match(lesions_of([one.mask for one in seen], scores=[one.score for one in seen]), lesions_of(lesions), rule=RULE)


def outlined(scan: str, found: Matching, at_point: Sequence[float]) -> list[Outlined]:
    rows = []
    for n, (lesion, pointed) in enumerate(zip(found.physician, at_point, strict=True)):
        union = np.zeros(lesion.geometry.shape, bool)
        for one, here in zip(found.machine, found.pairs[:, n], strict=True):
            if here and found.is_found[n]:
                union |= one.mask.inside
        seen = compare(Mask(union, lesion.geometry), lesion.mask)
        rows.append(Outlined(scan, lesion.volume_cm3, seen.dice or 0.0, seen.surface_dice or 0.0, seen.hd95_mm, pointed))
    return rows


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


@dataclass(frozen=True)
class Drawn:
    """A scan with its lesions, and which of them have less than a quarter of lung around them."""

    name: str
    image: Volume
    lesions: Sequence[Mask]
    buried: Sequence[Mask] = ()


def in_the_lungs(candidates: Sequence[Candidate], scan: Drawn) -> Matching:
    """What is matched where the buried lesions, and what was marked on them, are left out."""
    seen = [one for one in candidates if not one.part.is_empty]
    on_buried = [bool(row.any()) for row in matched(seen, scan.buried).pairs] if scan.buried else [False] * len(seen)
    of_lung = [lesion for lesion in scan.lesions if not any(lesion is one for one in scan.buried)]
    return matched([one for one, out in zip(seen, on_buried, strict=True) if not out], of_lung)


def drawn_in(case: Case, name: str) -> Drawn:
    deep = set(buried_lesions(case))
    whole = case.lesions >= FULL_SHARE / 2
    each = {n: Mask(whole & (case.owner == n), case.geometry) for n in range(1, case.lesion_count + 1)}
    lesions = {n: mask for n, mask in each.items() if not mask.is_empty}
    return Drawn(name, Volume(case.hu, case.geometry), list(lesions.values()), [mask for n, mask in lesions.items() if n in deep])


def synthetic(folder: Path, hosts: str) -> Iterator[Drawn]:
    for path in case_paths(folder):
        case = read_case(path)
        if hosts in case.host:
            yield drawn_in(case, f"{path.stem} {case.host}")


def real(data: Path) -> Iterator[Drawn]:
    for patient, rois in (("lung1_001", ("GTV-1",)), ("lung1_002", ("gtv-1",)), ("lung1_007", ("gtv-1", "gtv-2"))):
        drawn = [real_ct(data / patient, roi) for roi in rois]
        yield Drawn(f"{patient} ({', '.join(rois)})", drawn[0][0].volume, [mask for _, mask in drawn])
    ct = rt4d.read_4dct(data / "4dct_philips", reference="50")
    gtv = rt4d.read_rtstruct(data / "4dct_philips_gtv.dcm", on=ct.reference)["GTV"]
    yield Drawn("4dct_philips, phase 50 (by threshold)", ct.reference.volume, [gtv])


def generated(count: int) -> Iterator[Drawn]:
    """Reference phases of generated 4D-CTs: size, place, shape and noise of each by chance, from its own seed."""
    for seed in range(GENERATED_FROM, GENERATED_FROM + count):
        chance = np.random.default_rng(seed)
        centre = (chance.choice([-1.0, 1.0]) * chance.uniform(40, 105), chance.uniform(-35, 50), chance.uniform(-40, 60))
        size_mm = float(np.exp(chance.uniform(*np.log(GENERATED_MM))))
        x, y, z = (size_mm * chance.uniform(0.85, 1.15) for _ in range(3))
        tumour = Tumour(centre, (x, y, z), lobulation=float(chance.uniform(0, 0.25)), spicules=int(chance.integers(0, 6)), seed=seed)
        noise = float(chance.uniform(8, 25))
        case = phantom.make_4dct(**GENERATED_GRID, tumours=[tumour], phases=("00", "50"), amplitude_mm=(0.5, 2.0, 8.0), noise_hu=noise, seed=seed)
        image, gtv = case.ct.reference.volume, case.reference_gtv
        next_to_it = ndimage.binary_dilation(gtv.inside, iterations=2) & ~gtv.inside
        yield Drawn(f"generated {seed}", image, [gtv], [gtv] if np.mean(image.hu[next_to_it] < LUNG_HU) < LEAST_LUNG else [])


def measure(scans: Iterator[tuple[Drawn, str | None]], *, card: Path | None, title: str, each: bool) -> None:
    """Print every scan, segmented with its bundle, while it runs, then detection, the FROC curve and the outlines by size; or each lesion alone."""
    kept, in_lungs, every, rows = [], [], [], []
    digest = hashlib.sha256()
    for scan, bundle in scans:
        for array in (scan.image.hu, *(lesion.inside for lesion in scan.lesions)):
            digest.update(np.ascontiguousarray(array).tobytes())
        began = time.perf_counter()
        found = rt4d.segment(scan.image, bundle=bundle)
        seconds = time.perf_counter() - began
        kept.append(Scan(scan.name, matched(found.kept, scan.lesions)))
        in_lungs.append(Scan(scan.name, in_the_lungs(found.kept, scan)))
        every.append(Scan(scan.name, in_the_lungs(found.candidates, scan)))
        new = outlined(scan.name, kept[-1].matching, [at_point(scan.image, lesion, bundle=bundle) for lesion in scan.lesions])
        rows += new
        told = "; ".join(f"{one.volume_cm3:.1f} cm³ DSC {one.dice:.2f}, at a point {one.dice_at_point:.2f}" for one in new)
        wrong = len(kept[-1].matching.false_positive)
        print(f"{scan.name}: {told or 'no lesion'}; false positives {wrong} ({seconds:.0f} s)", file=sys.stderr, flush=True)
    made_of: dict[str, dict[str, object]] = {"all": {"scans": len(kept), "lesions": len(rows), "sha256": digest.hexdigest()[:16]}}
    sections = {f"{title}: which": made_of}
    print(f"{title}: {len(kept)} scans, {len(rows)} lesions, sha256 of voxels and lesions {digest.hexdigest()[:16]}", end="\n\n")
    for name, some in (("lesions in the lungs found", in_lungs), ("lesions found", kept))[1 if each else 0 :]:
        detected = detection_in(some, strata=BY_VOLUME)
        print(f"{name}\n{detected}", end="\n\n")
        if not each:
            sections[f"{title}: {name}"] = found_rows(detected)
    curve = froc(every)
    print(curve, end="\n\n")
    if not each:
        sections[f"{title}: FROC, lesions in the lungs"] = froc_rows(curve)
    table = {f"{one.scan}, {one.volume_cm3:.1f} cm³": outlines([one]) for one in rows} if each else by_size(rows)
    for row, values in table.items():
        print(f"{row:<48}" + "   ".join(f"{name} {value}" for name, value in values.items()))
    if card is not None:
        rewrite_card(card, sections | {f"{title}: outlines": table})


def folds(cases: Path, ensemble: Path, scratch: Path, *, most: int | None) -> Iterator[tuple[Drawn, str]]:
    """The scans that each member held back, at most so many of each, and the bundle of that member alone."""
    told = json.loads((ensemble / "configs/train.json").read_text(encoding="utf-8"))["members"]
    for member, lists in told.items():
        bundle = alone(ensemble, member, scratch / member)
        for name in lists["held_back"][:most]:
            yield drawn_in(read_case(cases / name), f"{member}: {name}"), bundle


def alone(ensemble: Path, member: str, folder: Path) -> str:
    """A bundle of one member of an ensemble, with the thresholds of the shipped one; its name and digest."""
    shutil.copytree(ensemble, folder)
    file = f"models/{member}.pt"
    metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    shipped = json.loads((data_folder("models") / DEFAULT / METADATA).read_text(encoding="utf-8"))[SECTION]
    kept = {key: metadata[SECTION][key] for key in ("spacing_mm", "window_hu", "patch")}
    metadata[SECTION] = shipped | kept | {"members": [file], "sha256": {file: metadata[SECTION]["sha256"][file]}}
    (folder / METADATA).write_text(json.dumps(metadata), encoding="utf-8")
    return f"{folder}@sha256:{bundle_digest(folder, [file])}"


def found_rows(detected: Detection) -> dict[str, dict[str, object]]:
    return {
        str(row.stratum): {
            "found": str(row.sensitivity),
            "false positives per scan": f"{row.false_positives_per_scan:.2f}",
            "95 %": "" if row.false_positive_interval is None else "{:.2f}–{:.2f}".format(*row.false_positive_interval),
        }
        for row in detected.lesions
    }


def froc_rows(curve: Froc) -> dict[str, dict[str, object]]:
    rows: dict[str, dict[str, object]] = {}
    for rate in RATES:
        interval = curve.interval_at(rate)
        told = "" if interval is None else "{:.2f}–{:.2f}".format(*interval)
        rows[f"{rate:g} false positives per scan"] = {"sensitivity": f"{curve.sensitivity_at(rate):.2f}", "95 %, by patient": told}
    return rows


def by_size(rows: Sequence[Outlined]) -> dict[str, dict[str, object]]:
    inside: dict[Stratum, list[Outlined]] = {stratum: [one for one in rows if stratum.low <= one.volume_cm3 < stratum.high] for stratum in BY_VOLUME}
    return {str(stratum): outlines(some) for stratum, some in {**inside, ALL: list(rows)}.items() if some}


def outlines(rows: Sequence[Outlined]) -> dict[str, object]:
    far = [one.hd95_mm for one in rows if one.hd95_mm is not None]
    low, median, high = np.percentile([one.dice for one in rows], [25, 50, 75])
    return {
        "lesions": len(rows),
        "DSC": f"{median:.3f}" if len(rows) == 1 else f"{median:.3f} [{low:.2f}-{high:.2f}]",
        "surface DSC 2 mm": round(float(np.median([one.surface_dice for one in rows])), 3),
        "HD95 of the found, mm": round(float(np.median(far)), 1) if far else None,
        "DSC at a point": round(float(np.median([one.dice_at_point for one in rows])), 3),
    }


def speed(data: Path) -> bool:
    """The quicker of two runs of each job; whether that of 134 slices took at most 20 s and none of ours 4 GiB. The peer runs once."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        ct = rt4d.read_ct(data / "lung1_001").volume
        usual, long = write_volume(folder / "ct.nii.gz", ct), write_volume(folder / "long.nii.gz", stretched(ct, 300))
        segment, alone = [sys.executable, "-m", "rt4d", "segment"], [sys.executable, str(MONAI_ALONE)]
        ours = [_timed("rt4d segment, DICOM", [*segment, str(data / "lung1_001"), "--out"], folder, runs=2)]
        ours += [_timed(f"rt4d segment, {path.name}", [*segment, str(path), "--out"], folder, runs=2) for path in (usual, long)]
        peer, _ = _timed("MONAI alone, ct.nii.gz", [*alone, str(usual)], folder, runs=1)
    print(f"MONAI alone takes {peer / ours[1][0]:.1f} times as long")
    return ours[0][0] <= 20 and all(gib <= 4 for _, gib in ours)


def _timed(name: str, command: list[str], folder: Path, *, runs: int) -> tuple[float, float]:
    """Seconds of the quickest run, and the most GiB of any."""
    seen = [watched([*command, str(folder / f"{name}, {run}.nii.gz")]) for run in range(runs)]
    if any(code for *_, code in seen):
        raise SystemExit(f"{name} failed")
    seconds, gib = min(seconds for seconds, *_ in seen), max(gib for _, gib, _ in seen)
    print(f"{name:<30}{seconds:7.1f} s{gib:7.2f} GiB", flush=True)
    return seconds, gib


def stretched(ct: Volume, slices: int) -> Volume:
    """The CT on so many slices, nearest ones repeated, as thick as they were."""
    nearest = np.arange(slices) * len(ct.hu) // slices
    x, y, _ = ct.geometry.size
    return Volume(ct.hu[nearest], Geometry((x, y, slices), ct.geometry.spacing_mm, ct.geometry.origin_mm, ct.geometry.direction))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=("scans", "real", "generated", "speed", "folds"))
    parser.add_argument("data", type=Path, nargs="?", help="none for generated")
    parser.add_argument("--bundle")
    parser.add_argument("--hosts", default="", help="scans whose chest has this in its name: generated, thorax_no_tumour")
    parser.add_argument("--most", type=int, help="look at no more scans than this; of each fold")
    parser.add_argument("--card", type=Path, help="write the figures into the model card of this bundle's folder too")
    given = parser.parse_args()
    if given.data is None and given.which != "generated":
        parser.error("a folder is needed")
    if given.which == "speed":
        sys.exit(0 if speed(given.data) else 1)
    title = f"{TITLES[given.which]}{given.hosts and f', {given.hosts}'} (`benchmarks/segmentation.py {given.which}`)"
    if given.which == "folds":
        with tempfile.TemporaryDirectory() as scratch:
            measure(folds(given.data, Path(given.bundle), Path(scratch), most=given.most), card=given.card, title=title, each=False)
        return
    if given.which == "generated":
        scans = generated(given.most or 40)
    else:
        scans = synthetic(given.data, given.hosts) if given.which == "scans" else real(given.data)
    some = ((scan, given.bundle) for _, scan in zip(range(given.most or 10**6), scans, strict=False))
    measure(some, card=given.card, title=title, each=given.which == "real")


if __name__ == "__main__":
    main()
