"""Is the machine as close to physicians as they are to one another? Per patient, with a paired test and a non-inferiority margin.

A patient's value is the median over pairs. As pairs that share an observer are correlated, a machine that is one more physician does not come out at
a difference of exactly 0: with five physicians at some 0.005 DSC in its favour, with three at up to 0.02 (simulated, at a DSC of 0.9).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rt4d.agreement.intervals import Interval, bootstrap_interval
from rt4d.agreement.observers import INTRA, PHYSICIAN_CONSENSUS, ObserverPairs, of_two_physicians
from rt4d.agreement.paired import PairedComparison, compare_paired
from rt4d.agreement.ranks import hodges_lehmann_interval, signed_rank
from rt4d.errors import InputError, NotFoundError
from rt4d.geometry import Floats

Rows = Iterable[Mapping[str, Any]]
"""As `ObserverPairs.rows` and a cohort's table (`to_dict("records")`) have them."""

MEASURES = {
    "dice": "DSC",
    "jaccard": "Jaccard",
    "surface_dice": "surface DSC",
    "hd95_mm": "HD95",
    "hausdorff_mm": "HD",
    "mean_surface_distance_mm": "mean surface distance",
}
"""What agreement is measured by, in words."""
MARGIN = 0.05
"""Of DSC, Jaccard and surface DSC, where none is chosen."""
ALPHA = 0.025
"""One-sided, as for a two-sided interval of 95 % (ICH E9)."""
BETWEEN_PHYSICIANS = {"machine-physician": "physician-physician", "machine-consensus": PHYSICIAN_CONSENSUS}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AgainstPhysicians:
    """A machine's agreement with physicians against theirs with one another.

    comparison: of each patient, the median over the machine's pairs (first) and over the physicians' (second), and Wilcoxon's test of the
    difference. bound: the one-sided 97.5 % bound of Hodges-Lehmann's difference towards the machine being worse; None below six patients.
    p: one-sided, that the machine is worse by the margin or more. non_inferior: whether the bound excludes that. notes: contours and pairs missing,
    and what consensuses of two physicians come to.
    """

    machine: str
    measure: str
    pair: str
    comparison: PairedComparison
    margin: float
    bound: float | None
    p: float
    notes: tuple[str, ...]

    @property
    def non_inferior(self) -> bool:
        if self.bound is None:
            return False
        return self.bound > -self.margin if _higher_is_closer(self.measure) else self.bound < self.margin

    @property
    def statement(self) -> str:
        """The outcome in words."""
        unit = " mm" if self.measure.endswith("_mm") else ""
        worse = "lower" if _higher_is_closer(self.measure) else "higher"
        question = f"{self.machine} is {'' if self.non_inferior else 'not shown to be '}non-inferior to physicians in {MEASURES[self.measure]}"
        n = len(self.comparison.pairs.patients)
        if self.bound is None:
            return f"{question}: {n} patients are too few (six are needed)"
        shown = f"at most {abs(self.bound):.3f}{unit} {worse}" if (self.bound < 0) == _higher_is_closer(self.measure) else f"not {worse}"
        return f"{question}: {shown} (one-sided 97.5 % bound {self.bound:+.3f}{unit}, margin {self.margin:g}{unit}, p = {self.p:.2g}, {n} patients)"

    def to_dict(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "measure": self.measure,
            "pair": self.pair,
            "margin": self.margin,
            "alpha": ALPHA,
            "bound": self.bound,
            "p_non_inferiority": self.p,
            "non_inferior": self.non_inferior,
            "statement": self.statement,
            "comparison": self.comparison.to_dict(),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        head = f"{self.pair} against {BETWEEN_PHYSICIANS[self.pair]}: of each patient the median {MEASURES[self.measure]} over pairs"
        return "\n".join([head, self.statement, str(self.comparison), *(f"note: {note}" for note in self.notes)])


def against_physicians(rows: ObserverPairs | Rows, *, machine: str, measure: str = "dice", margin: float | None = None) -> AgainstPhysicians:
    """A machine's agreement with physicians against theirs with one another, paired by patient.

    rows: all pairs, or leave-one-out, of one ROI. margin: 0.05 for DSC, Jaccard and surface DSC; for distances it must be given, in mm.
    A patient without a defined value on either side is left out and named: distances are undefined where a contour is empty, so that a
    tumour which the machine missed counts in DSC (0) and not in mm.
    """
    width = _margin(measure, margin)
    table = _one_roi(rows)
    pairless = [f"left out: {patient} ({why})" for patient, why in rows.left_out.items()] if isinstance(rows, ObserverPairs) else []
    pair = _family(table, machine)
    mine = [row for row in table if row["pair"] == pair and row["machine"] == machine]
    theirs = [row for row in table if row["pair"] == BETWEEN_PHYSICIANS[pair]]
    medians = _medians(mine, measure), _medians(theirs, measure)
    comparison = compare_paired(*medians, quantity=f"median {MEASURES[measure]}", labels=(machine, "physicians"), words=("lower", "higher"))
    better = comparison.pairs.differences * (1 if _higher_is_closer(measure) else -1)
    interval = hodges_lehmann_interval(better, 1 - 2 * ALPHA)
    return AgainstPhysicians(
        machine=machine,
        measure=measure,
        pair=pair,
        comparison=comparison,
        margin=width,
        bound=None if interval is None else interval[0] * (1 if _higher_is_closer(measure) else -1),
        p=signed_rank(better + width).p_greater,
        notes=(*of_two_physicians(theirs), *pairless, *_absent(mine), *_absent(theirs), *_undefined([*mine, *theirs], measure)),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IntraObserver:
    """How well one observer repeats a contour: all values, of which patient, their median and quartiles, and the median's interval by patient."""

    observer: str
    measure: str
    patients: tuple[str, ...]
    values: Floats
    undefined: tuple[str, ...]

    @property
    def median(self) -> float:
        return float(np.median(self.values))

    @property
    def interval(self) -> Interval | None:
        return bootstrap_interval(self.values, groups=self.patients) if len(set(self.patients)) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        low, high = np.percentile(self.values, [25, 75]).tolist()
        interval = None if self.interval is None else list(self.interval)
        told = {"observer": self.observer, "measure": self.measure, "n": len(self.values), "patients": len(set(self.patients))}
        return {**told, "median": self.median, "quartile_1": low, "quartile_3": high, "interval": interval, "undefined": list(self.undefined)}

    def __str__(self) -> str:
        low, high = np.percentile(self.values, [25, 75])
        interval = "" if self.interval is None else f", 95 % {self.interval[0]:.3f}–{self.interval[1]:.3f} by bootstrap"
        counts = f"{len(self.values)} pairs of {len(set(self.patients))} patients"
        told = f"median {MEASURES[self.measure]} {self.median:.3f} [{low:.3f}–{high:.3f}]{interval}, {counts}"
        return f"{self.observer} against {self.observer}: {told}" + (f"; undefined: {', '.join(self.undefined)}" if self.undefined else "")


def intra_observer(rows: ObserverPairs | Rows, *, measure: str = "dice") -> tuple[IntraObserver, ...]:
    """Of each observer with repeats, the agreement of the contours with one another. Refused where nobody repeated any."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in _one_roi(rows):
        if row["pair"] == INTRA:
            found.setdefault(str(row["machine"]).split(" (repeat")[0], []).append(row)
    if not found:
        raise InputError("Nobody drew a contour twice", expected="Observer(name, repeat=2) beside Observer(name)")
    results = []
    for observer, theirs in found.items():
        there = [row for row in theirs if _is_number(row[measure])]
        if there:
            values, patients = np.array([float(row[measure]) for row in there]), tuple(str(row["patient"]) for row in there)
            undefined = tuple(str(row["patient"]) for row in theirs if not _is_number(row[measure]))
            results.append(IntraObserver(observer=observer, measure=measure, patients=patients, values=values, undefined=undefined))
    return tuple(results)


def _margin(measure: str, margin: float | None) -> float:
    if measure not in MEASURES:
        raise NotFoundError("Agreement is not measured so", expected=", ".join(MEASURES), found=measure)
    if margin is None and measure.endswith("_mm"):
        raise InputError("A distance needs its own margin", where=measure, expected="margin in mm", do="Choose it before you look at the data")
    width = MARGIN if margin is None else margin
    if not 0 < width < np.inf:
        raise InputError("A non-inferiority margin is above 0", found=margin)
    return width


def _higher_is_closer(measure: str) -> bool:
    return not measure.endswith("_mm")


def _one_roi(rows: ObserverPairs | Rows) -> list[Mapping[str, Any]]:
    """The rows; refused where they are of several ROIs or cohorts, whose patients would be counted as one."""
    table = list(rows.rows if isinstance(rows, ObserverPairs) else rows)
    for column in ("roi", "cohort"):
        if len(several := sorted({str(row[column]) for row in table if column in row})) > 1:
            raise InputError(f"Rows of one {column} are compared at a time", found=", ".join(several), do="Select one")
    return table


def _family(table: Sequence[Mapping[str, Any]], machine: str) -> str:
    """Whether the rows hold the machine against physicians or against consensuses; refused where they hold neither or both."""
    machines = {str(row["machine"]) for row in table if row["pair"] in BETWEEN_PHYSICIANS}
    if machine not in machines:
        raise NotFoundError("No rows of that machine", expected=", ".join(sorted(machines)) or "machine-physician rows", found=machine)
    here = [pair for pair, between in BETWEEN_PHYSICIANS.items() if {pair, between} & {row["pair"] for row in table}]
    if len(here) > 1:
        raise InputError("Rows of all pairs and of leave-one-out are compared separately", found=", ".join(here))
    return here[0]


def _medians(rows: Sequence[Mapping[str, Any]], measure: str) -> dict[str, float | None]:
    """Of each patient the median over pairs for which the measure is defined; None where it is for none."""
    values: dict[str, list[float]] = {}
    for row in rows:
        values.setdefault(str(row["patient"]), []).extend([float(row[measure])] if _is_number(row[measure]) else [])
    return {patient: float(np.median(each)) if each else None for patient, each in values.items()}


def _absent(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Pairs that some patients have and others lack."""
    pairs: dict[str, dict[str, None]] = {}
    for row in rows:
        pairs.setdefault(str(row["patient"]), {})[f"{row['machine']} – {row['physician']}"] = None
    every = dict.fromkeys(name for each in pairs.values() for name in each)
    lacking = {patient: [name for name in every if name not in each] for patient, each in pairs.items()}
    return [f"{patient} has no pair {', '.join(names)}" for patient, names in lacking.items() if names]


def _undefined(rows: Sequence[Mapping[str, Any]], measure: str) -> list[str]:
    """Pairs of which the measure is undefined."""
    wrong = [row for row in rows if not _is_number(row[measure])]
    return [f"{row['patient']}: {MEASURES[measure]} of {row['machine']} – {row['physician']} is undefined" for row in wrong]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and bool(np.isfinite(value))
