"""Registrations made wrong on purpose among sound ones: how many of the harmful do the checks name, and how often do they cry wolf?

    python benchmarks/sabotage.py [--cases 60] [--minutes 45] [--set report|tuning]

Each case is a generated 4D-CT of ten phases on a reduced grid, of its own tumour, place, motion and noise; its nine registrations are sound unless
the truth says otherwise. Of every case each kind of sabotage below is made once, on a phase drawn by chance; the other eight registrations stay.
Limits were chosen on the set `tuning` (other seeds) and on benchmarks/tuning.py.

Harm is judged by the known truth alone: the ITV misses 5 % or more of the true one, or a phase's centroid is off by 3 mm or more. Flagged is what has
at least one failed check. Printed by kind: how many, how many of them harmful, the share of harmful ones that is flagged and of harmless ones that is
flagged, with exact (Clopper-Pearson) 95 % intervals; and which checks named them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import stats

import rt4d
from rt4d import phantom
from rt4d.errors import Rt4dError
from rt4d.motion import Motion, PhaseMasks
from rt4d.motion.quality import Check, checks
from rt4d.phantom import Phantom, Tumour
from rt4d.phantom.waveform import cosine
from rt4d.phases import FourDCT, Phase
from rt4d.resources import data_folder
from rt4d.volumes import Mask, Volume

GRID = {"size": (110, 86, 62), "spacing_mm": (3.0, 3.0, 4.0)}
PHASES = 10
MISSED, OFF_MM = 0.05, 3.0
SEEDS = {"report": 70_000, "tuning": 10_000}
COUCH_MM = 30.0
WRONG_SPACING = 1.2
STACK_MM = 15.0
PARTS = ("fields", "failed", "back", "back_failed")
EXTRA = ("01", "02", "03", "04")
"""Labels under which spoilt phases are registered beside the sound ones."""


@dataclass(frozen=True)
class Judged:
    """One 4D-CT with what was done to it."""

    kind: str
    harmful: bool
    flagged: tuple[str, ...]


def one(seed: int) -> Phantom:
    """A 4D-CT of its own: everything is drawn by chance, the amplitude from 3 to 25 mm."""
    chance = np.random.default_rng(seed)
    side = chance.choice([-1.0, 1.0])
    centre = (side * chance.uniform(55, 85), chance.uniform(-15, 35), chance.uniform(-25, 30))
    size = chance.uniform(18, 45)
    shape = tuple(float(size * chance.uniform(0.85, 1.15)) for _ in range(3))
    tumour = Tumour(centre, shape, lobulation=float(chance.uniform(0, 0.25)), spicules=int(chance.integers(0, 6)))
    along = float(chance.uniform(3, 25))
    travel = (float(chance.uniform(0, 0.15)) * along, float(chance.uniform(0.1, 0.35)) * along, along)
    wave = cosine(int(chance.choice([2, 4, 6])))
    lag, noise = float(chance.uniform(0, 0.12)), float(chance.uniform(8, 25))
    return phantom.make_4dct(**GRID, tumours=[tumour], amplitude_mm=travel, phases=PHASES, waveform=wave, lag=lag, noise_hu=noise, seed=seed)


def images(case: Phantom, other: Phantom, label: str, chance: np.random.Generator) -> Iterator[tuple[str, npt.NDArray[np.int16]]]:
    """What may stand in a phase's place without anyone having said so; the kinds that need a registration of their own."""
    hu = case.ct[label].volume.hu
    yield "another patient's phase", other.ct[label].volume.hu
    yield "wrong spacing", stretched(hu, WRONG_SPACING)
    yield "couch shift of 30 mm", shifted(hu, round(COUCH_MM / GRID["spacing_mm"][2]) * int(chance.choice([-1, 1])))
    yield "stack artefact", torn(case, label)


def stretched(hu: npt.NDArray[np.int16], by: float) -> npt.NDArray[np.int16]:
    """Slices that stand `by` times as far apart as they are said to: the anatomy shrinks along z about the middle."""
    n = len(hu)
    at = np.clip(np.rint((np.arange(n) - (n - 1) / 2) * by + (n - 1) / 2).astype(int), 0, n - 1)
    return hu[at]


def shifted(hu: npt.NDArray[np.int16], slices: int) -> npt.NDArray[np.int16]:
    """The anatomy so many slices further up; beyond the end the last slice again."""
    return hu[np.clip(np.arange(len(hu)) - slices, 0, len(hu) - 1)]


def torn(case: Phantom, label: str) -> npt.NDArray[np.int16]:
    """From the tumour's middle on upwards the slices were taken while it stood STACK_MM elsewhere."""
    hu = case.ct[label].volume.hu.copy()
    middle = round(float(case.ct.geometry.to_index(np.array(case.trajectory_mm()[label]))[2]))
    hu[middle:] = shifted(hu, round(STACK_MM / GRID["spacing_mm"][2]))[middle:]
    return hu


def judged(case: Phantom, other: Phantom, *, seed: int, stopped: Path) -> Iterator[Judged]:
    """The case as it is, phase by phase and as a whole, and every sabotage of it."""
    chance = np.random.default_rng((seed, 7))
    gtv, labels = case.reference_gtv, [label for label in case.ct.labels if label != case.ct.reference_label]
    wrong = {kind: (label, hu) for label in [str(chance.choice(labels))] for kind, hu in images(case, other, label, chance)}
    extended = with_phases(case.ct, wrong)
    everything = rt4d.track(extended, focus=gtv)
    sound = only(everything, case.ct.labels)
    masks = sound.carry(gtv)
    whole = checks(sound, case.ct, gtv, masks=masks)
    for label in labels:
        yield Judged("sound registration", harm_of(case, masks, (label,)), flags(whole, label))
    yield Judged("sound 4D-CT", harm(case, masks), flags(whole))
    for number, (kind, (label, hu)) in enumerate(wrong.items()):
        yield spoilt(kind, case, sound, gtv, ct=replaced(case.ct, label, hu), taken={label: (everything, EXTRA[number])})
    label = str(chance.choice(labels))
    early = rt4d.track(case.ct, focus=gtv, recipe=stopped, skip=set(labels) - {label})
    yield spoilt("stopped after one iteration", case, sound, gtv, ct=case.ct, taken={label: (early, label)})
    one_of, other_of = (str(each) for each in chance.choice(labels, 2, replace=False))
    copy = replaced(case.ct, one_of, case.ct[other_of].volume.hu)
    yield spoilt("duplicated phase", case, sound, gtv, ct=copy, taken={one_of: (sound, other_of)})
    swapped = replaced(copy, other_of, case.ct[one_of].volume.hu)
    yield spoilt("shuffled phases", case, sound, gtv, ct=swapped, taken={one_of: (sound, other_of), other_of: (sound, one_of)})
    left = tuple(each for each in case.ct.labels if each != label)
    fewer = FourDCT(tuple(phase for phase in case.ct if phase.label != label), case.ct.reference_label)
    yield spoilt("missing phase", case, only(sound, left), gtv, ct=fewer, taken={})


def spoilt(kind: str, case: Phantom, sound: Motion, gtv: Mask, *, ct: FourDCT, taken: Mapping[str, tuple[Motion, str]]) -> Judged:
    """The case judged as a whole after what was found of some phases, both ways, was taken from another motion and label."""
    parts = {
        name: {label: found for label, found in getattr(sound, name).items() if label not in taken}
        | {label: getattr(motion, name)[source] for label, (motion, source) in taken.items() if source in getattr(motion, name)}
        for name in PARTS
    }
    motion = replace(sound, labels=ct.labels, **parts)
    masks = motion.carry(gtv)
    try:
        harmful = harm(case, masks)
    except Rt4dError as refused:  # no ITV came out, so none can do harm, and why was said
        return Judged(kind, False, (type(refused).__name__,))
    return Judged(kind, harmful, flags(checks(motion, ct, gtv, masks=masks)))


def harm(case: Phantom, masks: PhaseMasks) -> bool:
    """Whether the ITV misses MISSED of the true one, or a phase that is there has its centroid off by OFF_MM."""
    union = rt4d.itv(masks).mask
    missed = np.count_nonzero(case.itv.inside & ~union.inside) / np.count_nonzero(case.itv.inside)
    return bool(missed >= MISSED) or harm_of(case, masks, tuple(masks))


def harm_of(case: Phantom, masks: PhaseMasks, labels: Sequence[str]) -> bool:
    """Whether the centroid of one of these phases is off by OFF_MM. A phase that rt4d itself leaves out has none: what the ITV lacks then counts."""
    truth = case.trajectory_mm()
    there = [label for label in labels if label in masks]
    return any(np.linalg.norm(np.subtract(masks[label].centroid_mm, truth[label])) >= OFF_MM for label in there)


def flags(found: Sequence[Check], label: str | None = None) -> tuple[str, ...]:
    """The names of the failed checks, of one phase or of all."""
    return tuple(sorted({check.name for check in found if check.verdict == "fail" and label in (None, check.phase)}))


def only(motion: Motion, labels: Sequence[str]) -> Motion:
    """The motion without the phases that are not named."""
    kept = {name: {label: found for label, found in getattr(motion, name).items() if label in labels} for name in (*PARTS, "seconds")}
    return replace(motion, labels=tuple(labels), **kept)


def replaced(ct: FourDCT, label: str, hu: npt.NDArray[np.int16]) -> FourDCT:
    phases = (replace(each, volume=Volume(hu, each.geometry)) if each.label == label else each for each in ct)
    return FourDCT(tuple(phases), ct.reference_label)


def with_phases(ct: FourDCT, wrong: Mapping[str, tuple[str, npt.NDArray[np.int16]]]) -> FourDCT:
    more = [Phase(Volume(hu, ct.geometry), ct[label].identity, EXTRA[n]) for n, (label, hu) in enumerate(wrong.values())]
    return FourDCT((*ct.phases, *more), ct.reference_label)


def stopped_recipe(folder: Path) -> Path:
    """lung_focus that seeks nothing first and ends after one iteration of each resolution, with steps that do not leap."""
    source = data_folder("registration") / "lung_focus"
    for name in ("recipe.toml", "bspline.txt"):
        text = source.joinpath(name).read_text(encoding="utf-8")
        lines = [ENDED.get(line.split(" ")[0], line) for line in text.splitlines()]
        folder.joinpath(name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


ENDED = {
    "(MaximumNumberOfIterations": "(MaximumNumberOfIterations 1)",
    "(MaximumStepLength": "(MaximumStepLength 1 1 1 1)",
    "search_mm": "search_mm = 0.0",
}


def table(found: Sequence[Judged]) -> bool:
    """Print the table; whether all of it is as the issue asks."""
    by_kind: dict[str, list[Judged]] = defaultdict(list)
    for each in found:
        by_kind[each.kind].append(each)
    print(f"{'kind':<28}{'n':>5}{'harmful':>9}{'flagged of the harmful':>34}{'flagged of the harmless':>34}   named by")
    for kind, group in by_kind.items():
        print(line(kind, group))
    wrong = [each for each in found if not each.kind.startswith("sound")]
    sound = by_kind["sound registration"]
    print(line("all sabotaged", wrong))
    harmful = [each for each in (*wrong, *sound) if each.harmful]
    calm = [each for each in sound if not each.harmful]
    caught, alarms = np.mean([bool(each.flagged) for each in harmful]), np.mean([bool(each.flagged) for each in calm])
    print(f"harmful ones flagged {100 * caught:.1f} % (asked for: 98), sound and harmless ones flagged {100 * alarms:.1f} % (at most 2)")
    return bool(caught >= 0.98 and alarms <= 0.02)


def line(kind: str, group: Sequence[Judged]) -> str:
    harmful = [each for each in group if each.harmful]
    calm = [each for each in group if not each.harmful]
    names = Counter(name for each in group for name in each.flagged)
    said = ", ".join(f"{name} {n}" for name, n in names.most_common(4))
    return f"{kind:<28}{len(group):5d}{len(harmful):9d}{share(harmful):>34}{share(calm):>34}   {said}"


def share(group: Sequence[Judged]) -> str:
    if not group:
        return "-"
    n, k = len(group), sum(bool(each.flagged) for each in group)
    interval = stats.binomtest(k, n).proportion_ci(method="exact")
    return f"{k}/{n} = {100 * k / n:.1f} % ({100 * interval.low:.1f}-{100 * interval.high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--set", choices=SEEDS, default="report")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no more cases after so long")
    given = parser.parse_args()
    found: list[Judged] = []
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        stopped = stopped_recipe(Path(scratch))
        other = one(SEEDS[given.set] - 1)
        for number in range(given.cases):
            if time.perf_counter() - began > 60 * given.minutes:
                break
            seed = SEEDS[given.set] + number
            case = one(seed)
            new = list(judged(case, other, seed=seed, stopped=stopped))
            found += new
            other = case
            odd = [f"{each.kind}: {', '.join(each.flagged) or 'not flagged'}" for each in new if each.harmful != bool(each.flagged)]
            print(f"case {number + 1} ({time.perf_counter() - began:.0f} s) {'; '.join(odd)}", file=sys.stderr, flush=True)
    good = table(found)
    print(f"{sum(each.kind == 'sound 4D-CT' for each in found)} cases, {time.perf_counter() - began:.0f} s")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
