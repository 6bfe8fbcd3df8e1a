"""Which thresholds a bundle should have: what the segmenter finds on scans that were held back from training, for each choice.

    python benchmarks/thresholds.py CASES --bundle NAME --held-back TRAINING/fold0/cases.json [--scans 60]

CASES is the folder that the bundle was trained on and cases.json the list that `rt4d train` leaves beside its checkpoints: only what that
member never learnt from is looked at, and none of the scans that benchmarks/segmentation.py reports on. For each threshold of the probability:
the median DSC over lesions without input and with a point (that lesion alone), and for candidate scores the lesions found and the false
positives per scan, as benchmarks/segmentation.py defines them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from segmentation import FOUND, ON, deepest, share_on

from rt4d.agreement import dice
from rt4d.errors import InputError
from rt4d.segmentation.bundle import Bundle, read_bundle
from rt4d.segmentation.candidates import candidate_at, find_candidates
from rt4d.segmentation.cases import FULL_SHARE, Case, read_case
from rt4d.segmentation.inference import probability
from rt4d.volumes import Mask, Volume

THRESHOLDS = (0.3, 0.4, 0.5, 0.6)
SCORES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
SMALLEST_CM3 = (0.1, 0.2, 0.3)


@dataclass(frozen=True)
class Found:
    """Of one scan at one threshold: candidates as (score, cm³, on which lesions, voxels of each lesion), and the union's DSC by lesion."""

    scores: list[float]
    volumes_cm3: list[float]
    on: list[list[bool]]
    shares: list[list[float]]
    dice: list[float]
    dice_at_point: list[float]


def looked_at(case: Case, bundle: Bundle) -> dict[float, Found]:
    image = Volume(case.hu, case.geometry)
    whole = case.lesions >= FULL_SHARE / 2
    lesions = [Mask(whole & (case.owner == n), case.geometry) for n in range(1, case.lesion_count + 1)]
    lesions = [mask for mask in lesions if not mask.is_empty]
    everywhere = probability(image, bundle)
    clicked = [(probability(image, bundle, point_mm=deepest(mask)), deepest(mask), mask) for mask in lesions]
    found = {}
    for threshold in THRESHOLDS:
        loose = replace(bundle, threshold=threshold, threshold_at_point=threshold, candidate_score=0.0, smallest_cm3=0.0)
        candidates = [one for one in find_candidates(everywhere, loose, case.geometry) if not one.part.is_empty]
        masks = [one.mask for one in candidates]
        on = [[share_on(mask, lesion) >= ON for lesion in lesions] for mask in masks]
        shares = [[share_on(lesion, mask) for lesion in lesions] for mask in masks]
        dices = []
        for n, lesion in enumerate(lesions):
            union = np.zeros(case.geometry.shape, bool)
            for mask, here in zip(masks, on, strict=True):
                union |= mask.inside & here[n]
            dices.append(dice(Mask(union, case.geometry), lesion))
        at_point = []
        for near, point, lesion in clicked:
            try:
                at_point.append(dice(candidate_at(near, loose, case.geometry, point).mask, lesion))
            except InputError:
                at_point.append(0.0)
        found[threshold] = Found([one.score for one in candidates], [one.volume_cm3 for one in candidates], on, shares, dices, at_point)
    return found


def detected(scans: list[Found], score: float, smallest_cm3: float) -> tuple[int, int, float]:
    """Lesions found, lesions, false positives per scan."""
    hits, lesions, false = 0, 0, 0
    for scan in scans:
        kept = [n for n, (s, v) in enumerate(zip(scan.scores, scan.volumes_cm3, strict=True)) if s >= score and v >= smallest_cm3]
        false += sum(not any(scan.on[n]) for n in kept)
        for lesion in range(len(scan.dice)):
            lesions += 1
            hits += sum(scan.shares[n][lesion] for n in kept if scan.on[n][lesion]) >= FOUND
    return hits, lesions, false / len(scans)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--held-back", type=Path, required=True)
    parser.add_argument("--scans", type=int, default=60)
    given = parser.parse_args()
    bundle = read_bundle(given.bundle)
    names = json.loads(given.held_back.read_text(encoding="utf-8"))["held_back"]
    by_threshold: dict[float, list[Found]] = defaultdict(list)
    for number, name in enumerate(names[: given.scans], start=1):
        for threshold, found in looked_at(read_case(given.cases / name), bundle).items():
            by_threshold[threshold].append(found)
        print(f"{number} of {min(given.scans, len(names))} scans", file=sys.stderr, flush=True)
    for threshold, scans in by_threshold.items():
        alone = float(np.median([value for scan in scans for value in scan.dice]))
        pointed = float(np.median([value for scan in scans for value in scan.dice_at_point]))
        print(f"threshold {threshold:g}: DSC (median) {alone:.3f}, at a point {pointed:.3f}")
        for smallest in SMALLEST_CM3:
            said = []
            for score in SCORES:
                hits, lesions, false = detected(scans, score, smallest)
                said.append(f"{score:g}: {hits / lesions:.2f} / {false:.2f}")
            print(f"  at least {smallest:g} cm³; score: found / false per scan   " + "   ".join(said))


if __name__ == "__main__":
    main()
