"""Whether intervals and p values of rt4d's outcome models keep what they promise, on simulated cohorts with a known effect.

    python benchmarks/outcomes.py [--simulations 5000] [--patients 400]

Each cohort is a table of patients whose false-positive volume, counted in voxels of differing size, raises the hazard of local failure by a
known factor per cm³ (or not at all). It goes the way of any table: voxels to cm³, checks, regression. Printed are the coverage of the 95 %
interval (it should lie between 93 and 97 %), the type-I error at p < 0.05 without an effect (4 to 6 %), and the mean estimate beside the truth:
for Cox's regression with uniform censoring, the same where patients of one centre resemble one another, the same where moreover the machine
draws more in some centres than in others, and for Fine and Gray's where death competes, drawn from their model (Fine & Gray 1999, section 4).
Exit code 1 where a figure is out of bounds and at least 5,000 cohorts were drawn; below that the bounds say nothing. The robust variance is
the one of R's survival, which is known to be too small with few centres, most of all for what differs between centres: that line is printed to
show by how much (Student's t repairs a part of it), and not bound. Fine and Gray's variance is that of R's cmprsk, too small with few events:
`--patients 150` shows by how much.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rt4d.errors import InputError
from rt4d.outcomes.cox import Regression, cox
from rt4d.outcomes.fine_gray import fine_gray
from rt4d.outcomes.table import cohort_from_table
from rt4d.outcomes.voxel_units import in_units

VOXELS_MM3 = np.array([0.8, 1.5, 3.0, 8.0])
COVERAGE, TYPE_ONE = (0.93, 0.97), (0.04, 0.06)
ENOUGH = 5000
CENTRES = 40
EFFECT = 0.15
"""The logarithm of the hazard ratio per cm³ where there is an effect."""
CURED = 0.6
"""Of the mean patient, the share that has the event sooner or later where death competes."""

Chance = np.random.Generator
Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
Centres = np.ndarray[tuple[int], np.dtype[np.int_]]
Draw = Callable[[Chance, Floats, Centres, float], dict[str, object]]


def by_itself(chance: Chance, volume: Floats, centre: Centres, effect: float) -> dict[str, object]:
    return _followed(chance, chance.exponential(np.exp(-effect * volume)))


def in_centres(chance: Chance, volume: Floats, centre: Centres, effect: float) -> dict[str, object]:
    """Centres differ a little in how patients fare."""
    frailty = chance.normal(0, 0.2, CENTRES)[centre]
    return {"centre": [f"C{each}" for each in centre], **_followed(chance, chance.exponential(np.exp(-effect * volume - frailty)))}


def beside_death(chance: Chance, volume: Floats, centre: Centres, effect: float) -> dict[str, object]:
    """Fine and Gray's own model: incidence 1 - (1 - p(1 - exp(-t)))^exp(effect × volume)."""
    risk = np.exp(effect * (volume - volume.mean()))
    ever = 1 - (1 - CURED) ** risk
    failing = chance.random(len(volume)) < ever
    drawn = chance.random(len(volume)) * ever
    failed = -np.log(1 - (1 - (1 - drawn) ** (1 / risk)) / CURED)
    died = chance.exponential(1 / risk)
    end = chance.uniform(0.3, 3, len(volume))
    event = np.where(failing, failed, died)
    return {"days": 365 * np.minimum(event, end) + 1, "event": np.where(event <= end, np.where(failing, 1, 2), 0)}


def _followed(chance: Chance, event: Floats) -> dict[str, object]:
    end = chance.uniform(0.3, 3, len(event))
    return {"days": 365 * np.minimum(event, end) + 1, "event": (event <= end).astype(int)}


@dataclass(frozen=True)
class Model:
    name: str
    draw: Draw
    regression: Callable[..., Regression]
    cluster: str | None = None
    between: float = 0.0
    """By how much the machine's volume differs between centres: the spread of the logarithm of their factors."""
    bound: bool = True
    """Whether it must keep the bounds: a robust variance of few unlike centres does not, which is why rt4d warns of it."""


MODELS = (
    Model("Cox per cm³", by_itself, cox),
    Model(f"Cox per cm³, {CENTRES} centres, robust", in_centres, cox, "centre"),
    Model("the same, volume by centre", in_centres, cox, "centre", between=0.5, bound=False),
    Model("Fine–Gray per cm³", beside_death, fine_gray),
)


def cohort_table(model: Model, chance: Chance, patients: int, effect: float) -> pd.DataFrame:
    centre = chance.integers(CENTRES, size=patients)
    volume = chance.gamma(1.5, 1.5, patients) * np.exp(model.between * chance.normal(size=CENTRES))[centre]
    size = chance.choice(VOXELS_MM3, patients)
    counts = np.round(volume * 1000 / size)
    columns = {"patient": np.arange(patients), "false_positive_voxels": counts, "voxel_volume_mm3": size}
    return pd.DataFrame(columns | model.draw(chance, counts * size / 1000, centre, effect))


def estimate(model: Model, table: pd.DataFrame) -> tuple[float, float, float]:
    """Coefficient, and the ends of its interval, as any table's."""
    units = in_units(table, ["false_positive_voxels"])
    name = units.asked["false_positive_voxels"]
    cohort = cohort_from_table(units.table, time="days", event="event", covariates=[name], cluster=model.cluster)
    effect = model.regression(cohort, [name]).effects[name]
    return effect.coefficient, *(float(np.log(each)) for each in effect.ci95)


def simulate(model: Model, effect: float, options: argparse.Namespace) -> tuple[float, float, int, float]:
    """Mean coefficient, coverage of the true effect, cohorts without an estimate, seconds per cohort."""
    chance = np.random.default_rng(options.seed)
    began, found, refused = time.perf_counter(), [], 0
    for _ in range(options.simulations):
        try:
            found.append(estimate(model, cohort_table(model, chance, options.patients, effect)))
        except InputError:
            refused += 1
    mean, low, high = np.array(found).T
    covered = np.mean((low <= effect) & (effect <= high))
    return float(mean.mean()), float(covered), refused, (time.perf_counter() - began) / options.simulations


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=ENOUGH)
    parser.add_argument("--patients", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    good = True
    print(f"{options.simulations} cohorts of {options.patients} patients; hazard ratio per cm³ {np.exp(EFFECT):.3f} (logarithm {EFFECT}), or none")
    print(f"{'model':<32}{'mean log HR':>12}{'coverage':>10}{'type-I error':>14}{'refused':>9}{'ms each':>9}")
    for model in MODELS:
        mean, covered, refused, seconds = simulate(model, EFFECT, options)
        _, null, more, _ = simulate(model, 0.0, options)
        print(f"{model.name:<32}{mean:>12.4f}{100 * covered:>9.1f}%{100 * (1 - null):>13.1f}%{refused + more:>9}{1000 * seconds:>9.1f}", flush=True)
        good &= not model.bound or (COVERAGE[0] <= covered <= COVERAGE[1] and TYPE_ONE[0] <= 1 - null <= TYPE_ONE[1])
    return 0 if good or options.simulations < ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())
