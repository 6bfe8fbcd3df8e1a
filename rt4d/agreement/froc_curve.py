"""The free-response ROC curve: lesion sensitivity against false positives per scan as the threshold on the machine's scores falls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rt4d.agreement.detection import ALL, Scan, Stratum, require_scans
from rt4d.agreement.intervals import Interval, bootstrap_interval
from rt4d.agreement.matching import Matching
from rt4d.errors import InputError
from rt4d.geometry import Floats

RATES = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
"""False positives per scan at which sensitivity is told (LUNA16)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Froc:
    """The operating points, one for each distinct score from the highest down: lesions of one score come in together.

    thresholds, sensitivity, false_positives_per_scan: shape (points,). What else it holds is how many lesions, found and false ones come in
    at each score of each scan, for the intervals.
    """

    rule: str
    stratum: Stratum
    patients: tuple[str, ...]
    lesions: npt.NDArray[np.int_]
    scan: npt.NDArray[np.int_]
    score: Floats
    found: npt.NDArray[np.int_]
    false: npt.NDArray[np.int_]

    @property
    def thresholds(self) -> Floats:
        return self.score[self._last]

    @property
    def sensitivity(self) -> Floats:
        return self._curve(np.ones(len(self.lesions)), self._last)[0]

    @property
    def false_positives_per_scan(self) -> Floats:
        return self._curve(np.ones(len(self.lesions)), self._last)[1]

    def sensitivity_at(self, rate: float) -> float:
        """The highest sensitivity of an operating point with at most so many false positives per scan; 0 where there is none.

        Nothing is interpolated between points: no threshold gives what lies between them.
        """
        return self._at(rate, np.ones(len(self.lesions)), self._last)

    def interval_at(self, rate: float, *, seed: int = 0, repetitions: int = 1000) -> Interval | None:
        """Its interval at 95 % by bootstrap over patients (a draw without any lesion counts with sensitivity 0); None of a single patient."""
        if len(set(self.patients)) < 2:
            return None
        every, last = np.arange(len(self.lesions), dtype=float), self._last

        def drawn(scans: Floats) -> float:
            return self._at(rate, np.bincount(scans.astype(int), minlength=len(every)).astype(float), last)

        return bootstrap_interval(every, drawn, groups=self.patients, seed=seed, repetitions=repetitions)

    @property
    def mean_sensitivity(self) -> float:
        """The mean of the sensitivities at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives per scan."""
        return float(np.mean([self.sensitivity_at(rate) for rate in RATES]))

    def to_dict(self) -> dict[str, Any]:
        at = [{"rate": rate, "sensitivity": self.sensitivity_at(rate), "interval": self.interval_at(rate)} for rate in RATES]
        curve = {name: getattr(self, name).tolist() for name in ("thresholds", "sensitivity", "false_positives_per_scan")}
        return {"rule": self.rule, "stratum": str(self.stratum), "at": at, "mean_sensitivity": self.mean_sensitivity, **curve}

    def __str__(self) -> str:
        what = f"{self.stratum}, {self.lesions.sum()} of them in {len(self.lesions)} scans of {len(set(self.patients))} patients"
        lines = [f"FROC: {what}. A lesion is found by: {self.rule}", "false positives per scan   sensitivity (95 %, by patient)"]
        for rate in RATES:
            interval = self.interval_at(rate)
            told = "" if interval is None else f" ({interval[0]:.2f}–{interval[1]:.2f})"
            lines.append(f"{rate:>8g}{'':<19}{self.sensitivity_at(rate):.2f}{told}")
        most = self.false_positives_per_scan[-1] if len(self.thresholds) else 0.0
        lines.append(f"{'mean':>8}{'':<19}{self.mean_sensitivity:.2f}")
        return "\n".join([*lines, f"All machine lesions together give {most:.2f} false positives per scan."])

    @property
    def _last(self) -> npt.NDArray[np.int_]:
        """Where each distinct score has its last place."""
        return np.flatnonzero(np.diff(self.score, append=-np.inf))

    def _curve(self, weight: Floats, last: npt.NDArray[np.int_]) -> tuple[Floats, Floats]:
        """Sensitivity and false positives per scan, where each scan counts so often."""
        lesions = float(weight @ self.lesions)
        found, false = (np.cumsum(weight[self.scan] * each)[last] for each in (self.found, self.false))
        return np.asarray(found / lesions if lesions else 0.0 * found), np.asarray(false / weight.sum())

    def _at(self, rate: float, weight: Floats, last: npt.NDArray[np.int_]) -> float:
        sensitivity, false = self._curve(weight, last)
        return float(sensitivity[false <= rate + 1e-9].max(initial=0.0))


@dataclass(frozen=True, slots=True)
class ScoredScan:
    """One scan as the curve counts it.

    patient: whose it is. lesions: the physician's. events: of each distinct score from the highest down, the score, and how many more lesions
    are found and how many more are false where lesions of that score come in.
    """

    patient: str
    lesions: int
    events: tuple[tuple[float, int, int], ...]


def froc(scans: Sequence[Scan[Matching]], *, stratum: Stratum = ALL) -> Froc:
    """The curve over a set of scans, matched anew at each score. Refused where a machine lesion has no score, and where no lesion is drawn."""
    rule = require_scans(scans)
    return curve_of([scored(scan, stratum=stratum) for scan in scans], rule=rule, stratum=stratum)


def scored(scan: Scan[Matching], *, stratum: Stratum = ALL) -> ScoredScan:
    """What a scan adds to the curve. Refused where a machine lesion has no score."""
    return ScoredScan(scan.group, sum(map(stratum.holds, scan.matching.physician)), tuple(_events(scan, stratum)))


def curve_of(scans: Sequence[ScoredScan], *, rule: str, stratum: Stratum = ALL) -> Froc:
    """The curve over scans that were counted before, all by one rule and stratum. Refused where no lesion is drawn."""
    lesions = np.array([scan.lesions for scan in scans])
    if not lesions.any():
        raise InputError("A FROC curve needs lesions to find", where=str(stratum), found="none in any scan")
    events = [(n, *event) for n, scan in enumerate(scans) for event in scan.events]
    events.sort(key=lambda event: (-event[1], event[0]))
    table = np.array(events, dtype=float).reshape(-1, 4)
    return Froc(
        rule=rule,
        stratum=stratum,
        patients=tuple(scan.patient for scan in scans),
        lesions=lesions,
        scan=table[:, 0].astype(int),
        score=table[:, 1],
        found=table[:, 2].astype(int),
        false=table[:, 3].astype(int),
    )


def _events(scan: Scan[Matching], stratum: Stratum) -> list[tuple[float, int, int]]:
    """For each distinct score of a scan: how many more lesions are found, and how many more are false, where lesions of that score come in."""
    scores = [one.score for one in scan.matching.at_least(-np.inf).machine if one.score is not None]
    events, before = [], (0, 0)
    for score in sorted(set(scores), reverse=True):
        kept = scan.matching.at_least(score)
        now = sum(map(stratum.holds, kept.found)), sum(map(stratum.holds, kept.false_positive))
        events.append((score, now[0] - before[0], now[1] - before[1]))
        before = now
    return events
