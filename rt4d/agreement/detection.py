"""How well lesions were found over a set of scans: by lesion, by scan and by size, the rule of matching said with every table.

By lesion: sensitivity is the share of the physician's lesions that were found, precision the share of the machine's lesions that go with one of
the physician's. By scan: a scan with lesions counts as found where at least one of them was found (marks elsewhere do not make it so), a scan
without any as a false alarm where the machine marked anything. In a stratum of size, sensitivity counts the physician's lesions of that size,
precision and false positives the machine's lesions of that size, whatever the size of the lesion that they go with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np

from rt4d.agreement.intervals import Interval, Proportion, bootstrap_interval
from rt4d.errors import InputError

MEASURES = {"longest_axis_mm": ("longest axis", "mm"), "volume_cm3": ("volume", "cm³")}


class Sized(Protocol):
    """What is asked of a lesion: its size."""

    @property
    def volume_cm3(self) -> float: ...

    @property
    def longest_axis_mm(self) -> float: ...


class Matched(Protocol):
    """What is asked of a scan's lesions: a `Matching`, or what `Matching.to_dict` tells of one (`rt4d.agreement.cohort_detection`)."""

    @property
    def rule(self) -> object: ...

    @property
    def machine(self) -> Sequence[Sized]: ...

    @property
    def physician(self) -> Sequence[Sized]: ...

    @property
    def found(self) -> Sequence[Sized]: ...

    @property
    def true_positive(self) -> Sequence[Sized]: ...

    @property
    def false_positive(self) -> Sequence[Sized]: ...


M = TypeVar("M", bound=Matched, covariant=True)


@dataclass(frozen=True, slots=True)
class Stratum:
    """Lesions of a size: from `low` up to, but not including, `high`."""

    measure: Literal["longest_axis_mm", "volume_cm3"]
    low: float = 0.0
    high: float = np.inf

    def __post_init__(self) -> None:
        if self.measure not in MEASURES or not 0 <= self.low < self.high:
            raise InputError("A stratum needs a measure and two bounds", expected=f"{' or '.join(MEASURES)}, 0 ≤ low < high", found=repr(self))

    def holds(self, lesion: Sized) -> bool:
        size: float = getattr(lesion, self.measure)
        return self.low <= size < self.high

    def __str__(self) -> str:
        name, unit = MEASURES[self.measure]
        if self.low == 0 and self.high == np.inf:
            return "all lesions"
        if self.high == np.inf:
            return f"{name} ≥ {self.low:g} {unit}"
        return f"{name} < {self.high:g} {unit}" if self.low == 0 else f"{name} {self.low:g} to {self.high:g} {unit}"


ALL = Stratum("longest_axis_mm")
BY_AXIS = (Stratum("longest_axis_mm", 10.0), Stratum("longest_axis_mm", 0.0, 10.0))
"""Measurable lesions (RECIST 1.1) and smaller ones."""
BY_VOLUME = tuple(Stratum("volume_cm3", low, high) for low, high in ((0.0, 1.0), (1.0, 5.0), (5.0, 30.0), (30.0, 100.0), (100.0, np.inf)))


@dataclass(frozen=True, slots=True, eq=False)
class Scan(Generic[M]):
    """One scan's lesions, matched. patient: whose it is, so that several scans of one are drawn together; '' is the scan's own name."""

    name: str
    matching: M
    patient: str = ""

    @property
    def group(self) -> str:
        return self.patient or self.name


@dataclass(frozen=True, slots=True)
class Confusion:
    """Scans, counted by what the physician drew and what the machine found."""

    found: int
    missed: int
    false_alarm: int
    rightly_clear: int

    @property
    def sensitivity(self) -> Proportion:
        """Of the scans with lesions, those where at least one was found."""
        return Proportion(self.found, self.found + self.missed)

    @property
    def specificity(self) -> Proportion:
        """Of the scans without lesions, those where the machine marked nothing."""
        return Proportion(self.rightly_clear, self.rightly_clear + self.false_alarm)

    def to_dict(self) -> dict[str, Any]:
        counts = {name: getattr(self, name) for name in ("found", "missed", "false_alarm", "rightly_clear")}
        return {**counts, "sensitivity": self.sensitivity.to_dict(), "specificity": self.specificity.to_dict()}

    def __str__(self) -> str:
        """The table, with percentages of each column."""
        columns = [(self.found, self.missed), (self.false_alarm, self.rightly_clear)]
        told = [[f"{n} ({100 * n / sum(column):.0f} %)" if sum(column) else "0" for n in column] for column in columns]
        lines = [f"{'scans':<22}{'physician: lesion':>20}{'physician: none':>18}"]
        for row, name in enumerate(("machine: found", "machine: not found")):
            lines.append(f"{name:<22}{told[0][row]:>20}{told[1][row]:>18}")
        return "\n".join([*lines, f"sensitivity by scan {self.sensitivity}", f"specificity by scan {self.specificity}"])


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionDetection:
    """What was found in one stratum of size.

    sensitivity, precision: with exact intervals, as if lesions were independent. sensitivity_by_patient: the bootstrap's interval, patients drawn
    with all their lesions. false_positive_interval: of false positives per scan, drawn alike. Both None of fewer than two patients.
    """

    stratum: Stratum
    sensitivity: Proportion
    precision: Proportion
    sensitivity_by_patient: Interval | None
    false_positives: int
    scans: int
    false_positive_interval: Interval | None

    @property
    def false_positives_per_scan(self) -> float:
        return self.false_positives / self.scans

    def to_dict(self) -> dict[str, Any]:
        return {
            "stratum": str(self.stratum),
            "sensitivity": self.sensitivity.to_dict(),
            "sensitivity_by_patient": _listed(self.sensitivity_by_patient),
            "precision": self.precision.to_dict(),
            "false_positives": self.false_positives,
            "false_positives_per_scan": self.false_positives_per_scan,
            "false_positive_interval": _listed(self.false_positive_interval),
        }

    def __str__(self) -> str:
        rate = f"{self.false_positives_per_scan:.2f} ({_told(self.false_positive_interval)})"
        return f"{self.stratum!s:<22}{self.sensitivity!s:<30}{_told(self.sensitivity_by_patient):<13}{self.precision!s:<30}{rate}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """Detection over a set of scans: of all lesions first, then by strata of size, then by scan. left_out: scans that do not count, and why."""

    rule: str
    scans: int
    patients: int
    lesions: tuple[LesionDetection, ...]
    confusion: Confusion
    left_out: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "scans": self.scans,
            "patients": self.patients,
            "lesions": [each.to_dict() for each in self.lesions],
            "by_scan": self.confusion.to_dict(),
            "left_out": dict(self.left_out),
        }

    def __str__(self) -> str:
        counts = f"{self.scans} scan{'' if self.scans == 1 else 's'} of {self.patients} patient{'' if self.patients == 1 else 's'}"
        head = f"Detection in {counts}. A lesion is found by: {self.rule}"
        columns = f"{'':<22}{'sensitivity':<30}{'bootstrap¹':<13}{'precision':<30}false positives per scan (bootstrap¹)"
        legend = "Intervals of 95 %, exact. ¹ Patients drawn with all their lesions"
        lines = [head, columns, *(str(each).rstrip() for each in self.lesions), legend, "", str(self.confusion)]
        lines += [f"left out: {name} ({why})" for name, why in self.left_out.items()]
        return "\n".join(lines)


def detection_in(scans: Sequence[Scan[Matched]], *, strata: Sequence[Stratum] = BY_AXIS, left_out: Mapping[str, str] | None = None) -> Detection:
    """Sensitivity, precision, false positives per scan, and sensitivity and specificity by scan, with intervals at 95 %.

    left_out: scans that could not be counted and why, to be printed with the result. Refused: no scan, two of one name, more than one rule.
    """
    rule = require_scans(scans)
    return Detection(
        rule=rule,
        scans=len(scans),
        patients=len({scan.group for scan in scans}),
        lesions=tuple(_in_stratum(scans, stratum) for stratum in (ALL, *strata)),
        confusion=_confusion(scans),
        left_out=dict(left_out or {}),
    )


def require_scans(scans: Sequence[Scan[Matched]]) -> str:
    """The one rule by which all scans were matched, in words; refused where there is none, or a scan is there twice."""
    names = [scan.name for scan in scans]
    if not names:
        raise InputError("Detection needs scans", expected="at least one", found="none")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError("A scan is there twice", found=", ".join(twice))
    rules = sorted({str(scan.matching.rule) for scan in scans})
    if len(rules) > 1:
        raise InputError("All scans are matched by one rule", found="; ".join(rules))
    return rules[0]


def _in_stratum(scans: Sequence[Scan[Matched]], stratum: Stratum) -> LesionDetection:
    drawn = [(one in scan.matching.found, scan.group) for scan in scans for one in scan.matching.physician if stratum.holds(one)]
    right = [sum(map(stratum.holds, scan.matching.true_positive)) for scan in scans]
    wrong = [sum(map(stratum.holds, scan.matching.false_positive)) for scan in scans]
    return LesionDetection(
        stratum=stratum,
        sensitivity=Proportion(sum(found for found, _ in drawn), len(drawn)),
        precision=Proportion(sum(right), sum(right) + sum(wrong)),
        sensitivity_by_patient=_mean_interval([found for found, _ in drawn], [group for _, group in drawn]),
        false_positives=sum(wrong),
        scans=len(scans),
        false_positive_interval=_mean_interval(wrong, [scan.group for scan in scans]),
    )


def _mean_interval(values: Sequence[float], groups: Sequence[str]) -> Interval | None:
    return bootstrap_interval(values, np.mean, groups=groups) if len(set(groups)) > 1 else None


def _confusion(scans: Sequence[Scan[Matched]]) -> Confusion:
    ill = [scan.matching for scan in scans if scan.matching.physician]
    well = [scan.matching for scan in scans if not scan.matching.physician]
    found, alarms = sum(bool(each.found) for each in ill), sum(bool(each.machine) for each in well)
    return Confusion(found, len(ill) - found, alarms, len(well) - alarms)


def _listed(interval: Interval | None) -> list[float] | None:
    return None if interval is None else list(interval)


def _told(interval: Interval | None) -> str:
    return "no interval" if interval is None else f"{interval[0]:.2f}–{interval[1]:.2f}"
