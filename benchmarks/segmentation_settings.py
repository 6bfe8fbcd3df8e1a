"""What a bundle's thresholds, and its looks through larger and smaller voxels, are chosen by, on scans that its weights never learnt from.

    python benchmarks/segmentation_settings.py thresholds CASES --held-back LISTS [--bundle NAME]
    python benchmarks/segmentation_settings.py looks CASES --held-back LISTS [--bundle NAME]
    python benchmarks/segmentation_settings.py small CASES --held-back LISTS [--bundle NAME]

CASES is the folder that it was trained on, and LISTS the train.json of every go that its weights come from (or the cases.json that `rt4d train`
leaves beside its checkpoints): only scans are looked at that the first of them held back and none learnt from, and none that
benchmarks/segmentation.py reports on. Scans of the lists that are not in the folder are left out, and counted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage
from segmentation import Drawn, Outlined, deepest, drawn_in, in_the_lungs, matched, outlined, outlines

from rt4d.agreement import Matching, Scan, detection_in, dice, froc
from rt4d.errors import InputError
from rt4d.segmentation.bundle import DEFAULT, Bundle, read_bundle
from rt4d.segmentation.candidates import candidate_at, find_candidates
from rt4d.segmentation.cases import read_case
from rt4d.segmentation.inference import probability
from rt4d.segmentation.looks import together
from rt4d.segmentation.probabilities import TOUCHING, Probability

THRESHOLDS, FAINT, SMALLEST_CM3 = (0.2, 0.3, 0.4, 0.5), (0.05, 0.1, 0.15, 0.2), (0.1, 0.2, 0.3)
RATES = (0.1, 0.2, 0.5, 1.0, 2.0)
SMALL_CM3 = 5.0
SCORE_SHARES, FROM_CM3 = (0.0, 0.5), (30.0, 100.0)


def thresholds(cases: Path, names: Sequence[str], bundle: Bundle) -> None:
    """Print, for each threshold of the probability and smallest volume, the outlines, and which score gives which sensitivity and false positives.

    First without faint candidates; then, with the bundle's own threshold, with those from several thresholds on.
    """
    pairs = [(each, each) for each in THRESHOLDS] + [(bundle.threshold, faint) for faint in FAINT]
    scans: dict[tuple[tuple[float, float], float], list[Scan[Matching]]] = {}
    rows: dict[tuple[float, float], list[Outlined]] = {}
    for number, name in enumerate(names, start=1):
        case = read_case(cases / name)
        scan = drawn_in(case, name)
        image, lesions = scan.image, scan.lesions
        everywhere = probability(image, bundle)
        clicked = [(probability(image, bundle, point_mm=deepest(mask)), deepest(mask), mask) for mask in lesions]
        for pair in pairs:
            threshold, faint = pair
            loose = replace(bundle, threshold=threshold, threshold_at_point=threshold, faint_threshold=faint, candidate_score=0.0, smallest_cm3=0.0)
            candidates = find_candidates(everywhere, loose, case.geometry)
            for smallest in SMALLEST_CM3:
                large = [one for one in candidates if one.volume_cm3 >= smallest]
                scans.setdefault((pair, smallest), []).append(Scan(name, in_the_lungs(large, scan)))
            pointed = []
            for near, point, mask in clicked:
                try:
                    pointed.append(dice(candidate_at(near, loose, case.geometry, point).mask, mask))
                except InputError:
                    pointed.append(0.0)
            rows.setdefault(pair, []).extend(outlined(name, matched(candidates, lesions), pointed))
        print(f"{number} of {len(names)} scans", file=sys.stderr, flush=True)
    for pair, some in rows.items():
        print("threshold {:g}, faint from {:g}: ".format(*pair) + "   ".join(f"{name} {value}" for name, value in outlines(some).items()))
        for smallest in SMALLEST_CM3:
            curve = froc(scans[pair, smallest])
            said = []
            for rate in RATES:
                good = np.flatnonzero(curve.false_positives_per_scan <= rate)
                score = f"score {curve.thresholds[good[-1]]:.2f}: " if good.size else ""
                said.append(f"{score}{curve.sensitivity_at(rate):.3f} at {rate:g}")
            print(f"  from {smallest:g} cm³, sensitivity at false positives per scan: " + ";  ".join(said))


def looks(cases: Path, names: Sequence[str], bundle: Bundle) -> None:
    """Print what is found in the lungs by the first look, by the one through larger voxels, and by both as the bundle says and otherwise."""
    if bundle.coarse is None:
        raise SystemExit("This bundle has no look through larger voxels")
    apart = replace(bundle, coarse=replace(bundle.coarse, from_cm3=float("inf"), score_share=1.0), fine=None)
    rows: dict[str, Row] = {}
    shares: dict[bool, list[float]] = {True: [], False: []}
    for number, name in enumerate(names, start=1):
        scan = drawn_in(read_case(cases / name), name)
        found = probability(scan.image, apart)
        for on_one, share in known_shares(found, scan, bundle):
            shares[on_one].append(share)
        for name_of, seen in laid_together(found, bundle).items():
            rows.setdefault(name_of, Row()).add(name, seen, scan, bundle)
        print(f"{number} of {len(names)} scans", file=sys.stderr, flush=True)
    for name_of, row in rows.items():
        print(f"{name_of:<48}{row}")
    for on_one, what in ((True, "of what lies on a lesion"), (False, "of what lies on none")):
        listed = " ".join(f"{share:.2f}" for share in sorted(shares[on_one])) or "–"
        print(f"large ones of the look through larger voxels, the share that the first knows, {what}: {listed}")


def small(cases: Path, names: Sequence[str], bundle: Bundle) -> None:
    """Print the same without the look through smaller voxels, with it as the bundle says, and with it otherwise."""
    if bundle.fine is None:
        raise SystemExit("This bundle has no look through smaller voxels")
    others = [{"share": 0.3}, {"to_cm3": 3.0}, {"spacing_mm": 1.5}]
    finer = [replace(bundle.fine, **other) for other in others]
    rows = {f"at {one.spacing_mm:g} mm, overlap {one.overlap:g}, to {one.to_cm3:g} cm³, share {one.share:g}": one for one in (bundle.fine, *finer)}
    choices = {"without it": replace(bundle, fine=None)} | {row: replace(bundle, fine=one) for row, one in rows.items()}
    found = {row: Row() for row in choices}
    for number, name in enumerate(names, start=1):
        scan = drawn_in(read_case(cases / name), name)
        for row, choice in choices.items():
            found[row].add(name, probability(scan.image, choice), scan, choice)
        print(f"{number} of {len(names)} scans", file=sys.stderr, flush=True)
    for row, made in found.items():
        print(f"{row:<48}{made}")


class Row:
    """What one choice finds in scan after scan, in words: what is kept, the FROC curve, and mean DSC of all lesions and of those below 5 cm³."""

    def __init__(self) -> None:
        self._kept: list[Scan[Matching]] = []
        self._every: list[Scan[Matching]] = []
        self._outlined: list[Outlined] = []

    def add(self, name: str, seen: Probability, scan: Drawn, bundle: Bundle) -> None:
        candidates = find_candidates(seen, bundle, scan.image.geometry)
        chosen = [one for one in candidates if one.kept]
        self._kept.append(Scan(name, in_the_lungs(chosen, scan)))
        self._every.append(Scan(name, in_the_lungs(candidates, scan)))
        self._outlined.extend(outlined(name, matched(chosen, scan.lesions), [float("nan")] * len(scan.lesions)))

    def __str__(self) -> str:
        overall, curve = detection_in(self._kept, strata=()).lesions[0], froc(self._every)
        rates = ", ".join(f"{curve.sensitivity_at(rate):.3f} at {rate:g}" for rate in RATES)
        all_of_them, below = (np.mean([one.dice for one in self._outlined if one.volume_cm3 < most]) for most in (float("inf"), SMALL_CM3))
        dsc = f"mean DSC {all_of_them:.3f}, below {SMALL_CM3:g} cm³ {below:.3f}"
        return f"kept {overall.sensitivity} at {overall.false_positives_per_scan:.2f}; FROC {rates}; {dsc}"


def known_shares(found: Probability, scan: Drawn, bundle: Bundle) -> Iterator[tuple[bool, float]]:
    """Of each thing that the second look finds and that is large: whether half of it or more lies on a lesion, and which share the first look knows.

    Only those of which the first knows less than `known_to`: of the others it outlines all by itself.
    """
    fine, coarse, own = found.values, found.scores, bundle.coarse
    assert coarse is not None
    assert own is not None
    index = np.moveaxis(scan.image.geometry.to_index(found.geometry.centres())[..., ::-1], -1, 0)
    lesions = sum((ndimage.map_coordinates(one.inside.astype(np.uint8), index, order=0) for one in scan.lesions), np.zeros(fine.shape, np.uint8)) > 0
    number, count = ndimage.label(coarse >= bundle.threshold, structure=TOUCHING)
    for each in range(1, count + 1):
        inside = number == each
        known = float(np.mean(fine[inside] >= bundle.threshold))
        if inside.sum() * found.geometry.voxel_volume_mm3 >= 1000 * own.from_cm3 and known < own.known_to:
            yield bool(lesions[inside].mean() >= 0.5), known


def laid_together(found: Probability, bundle: Bundle) -> dict[str, Probability]:
    """Of two looks told apart (values: the first, scores: the second), what each choice makes of them."""
    fine, coarse, own = found.values, found.scores, bundle.coarse
    assert coarse is not None
    assert own is not None
    made = {"the first look": replace(found, scores=None), "the second look": replace(found, values=coarse, scores=None)}
    choices = [(share, own.from_cm3) for share in SCORE_SHARES] + [(own.score_share, size) for size in FROM_CM3]
    for share, size in dict.fromkeys([(own.score_share, own.from_cm3), *choices]):
        voxels, known = 1000 * size / found.geometry.voxel_volume_mm3, (own.known_from, own.known_to)
        both = together(fine, coarse, threshold=bundle.threshold, from_voxels=voxels, known=known)
        made[f"share {share:g} in scores, outlines from {size:g} cm³"] = replace(found, values=both, scores=(1 - share) * both + share * coarse)
    return made


def never_learnt(lists: Sequence[Path]) -> list[str]:
    """The scans that the first of some trainings held back and none of them learnt from."""
    told = [json.loads(path.read_text(encoding="utf-8")) for path in lists]
    each = [next(iter(one["members"].values())) if "members" in one else one for one in told]
    learnt = {name for one in each for name in one["train"]}
    return [name for name in each[0]["held_back"] if name not in learnt]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=("thresholds", "looks", "small"))
    parser.add_argument("cases", type=Path)
    parser.add_argument("--bundle", default=DEFAULT)
    parser.add_argument("--held-back", type=Path, nargs="+", required=True, help="lists of the trainings that it comes from, the last one first")
    parser.add_argument("--most", type=int, help="look at no more scans than this")
    given = parser.parse_args()
    listed = never_learnt(given.held_back)
    names = [name for name in listed if (given.cases / name).is_file()]
    print(f"{len(names)} of {len(listed)} scans that nothing was learnt from are here", file=sys.stderr)
    choose = {"thresholds": thresholds, "looks": looks, "small": small}[given.which]
    choose(given.cases, names[: given.most], read_bundle(given.bundle))


if __name__ == "__main__":
    main()
