"""Detection over a cohort: every pair of a machine's and a physician's mask is a scan, whose lesions were matched where the pair was compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rt4d.agreement.cohort_pairs import MACHINE_PHYSICIAN
from rt4d.agreement.cohort_table import listed
from rt4d.agreement.detection import Detection, Scan, detection_in
from rt4d.agreement.froc_curve import Froc, ScoredScan, curve_of
from rt4d.agreement.intervals import Proportion
from rt4d.errors import InputError


@dataclass(frozen=True, slots=True)
class RecordedLesion:
    """A lesion of which only the size is left. number: as its observer's lesions are counted."""

    number: int
    volume_cm3: float
    longest_axis_mm: float


@dataclass(frozen=True, slots=True)
class RecordedMatching:
    """What `Matching.to_dict` tells of a scan, as detection takes it."""

    rule: str
    machine: tuple[RecordedLesion, ...]
    physician: tuple[RecordedLesion, ...]
    found: tuple[RecordedLesion, ...]
    true_positive: tuple[RecordedLesion, ...]
    false_positive: tuple[RecordedLesion, ...]

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> RecordedMatching:
        def those(**wanted: str) -> tuple[RecordedLesion, ...]:
            there = (one for one in told["lesions"] if all(one[name] == value for name, value in wanted.items()))
            return tuple(RecordedLesion(one["number"], one["volume_cm3"], one["longest_axis_mm"]) for one in there)

        return cls(
            rule=told["rule"],
            machine=those(observer="machine"),
            physician=those(observer="physician"),
            found=those(outcome="found"),
            true_positive=those(outcome="true positive"),
            false_positive=those(outcome="false positive"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortDetection:
    """How well one machine found what one physician drew as one ROI, over the patients of a cohort.

    froc: the curve over all of its candidates, where it told their scores; froc_note: what is to be known of it, or why there is none.
    """

    cohort: str
    roi: str
    machine: str
    physician: str
    detection: Detection
    froc: Froc | None = None
    froc_note: str = ""

    @property
    def title(self) -> str:
        return f"{' '.join(filter(None, (self.cohort, self.roi)))}: {self.machine} against {self.physician}"

    def to_dict(self) -> dict[str, Any]:
        names = {"cohort": self.cohort, "roi": self.roi, "machine": self.machine, "physician": self.physician}
        curve = {} if self.froc is None else {"froc": self.froc.to_dict()}
        return names | self.detection.to_dict() | curve | ({"froc_note": self.froc_note} if self.froc_note else {})

    def __str__(self) -> str:
        curve = [] if self.froc is None else ["", str(self.froc)]
        return "\n".join([self.title, str(self.detection), *curve, *([f"note: {self.froc_note}"] if self.froc_note else [])])

    def rows(self) -> Iterator[dict[str, Any]]:
        """A row for each stratum of lesions, and one for the scans, as a table has them. drawn: of scans, those with a lesion."""
        head = {name: getattr(self, name) for name in ("cohort", "roi", "machine", "physician")}
        head |= {name: getattr(self.detection, name) for name in ("rule", "scans", "patients")}
        for each in self.detection.lesions:
            low, high = each.sensitivity_by_patient or (None, None)
            least, most = each.false_positive_interval or (None, None)
            yield {
                **head,
                "counted": str(each.stratum),
                **_cells(each.sensitivity, "sensitivity", "found", "drawn"),
                "sensitivity_by_patient_low": low,
                "sensitivity_by_patient_high": high,
                **_cells(each.precision, "precision", "true_positives", "marked"),
                "false_positives": each.false_positives,
                "false_positives_per_scan": each.false_positives_per_scan,
                "false_positives_per_scan_low": least,
                "false_positives_per_scan_high": most,
            }
        scans = self.detection.confusion
        yield {
            **head,
            "counted": "scans",
            **_cells(scans.sensitivity, "sensitivity", "found", "drawn"),
            "false_positives": scans.false_alarm,
            **_cells(scans.specificity, "specificity", "rightly_clear", "clear"),
        }


def detections(rows: Sequence[Mapping[str, Any]]) -> tuple[CohortDetection, ...]:
    """Detection by cohort, ROI, machine and physician, of the rows of a cohort's pairs; a pair that failed is left out and named.

    Of machine and physician of whom every pair failed there is none.
    """
    groups: dict[tuple[str, str, str, str], list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: str(row["patient"])):
        if row["pair"] == MACHINE_PHYSICIAN:
            groups.setdefault((row["cohort"], row["roi"], row["machine"], row["physician"]), []).append(row)
    found = []
    for (cohort, roi, machine, physician), part in sorted(groups.items()):
        scans = [Scan(row["patient"], RecordedMatching.from_dict(row["lesions"])) for row in part if "lesions" in row]
        if scans:
            failed = {row["patient"]: row["error"] for row in part if "lesions" not in row}
            detection = detection_in(scans, left_out=failed)
            curve, note = _froc([row for row in part if "lesions" in row], detection.rule)
            names = {"cohort": cohort, "roi": roi, "machine": machine, "physician": physician}
            found.append(CohortDetection(**names, detection=detection, froc=curve, froc_note=note))
    return tuple(found)


def _froc(rows: Sequence[Mapping[str, Any]], rule: str) -> tuple[Froc | None, str]:
    """The curve, and what is to be known of it; none where no scan has scores, and none but the reason where only some have, or no lesions."""
    told = {row["patient"]: row["lesions"]["scored"] for row in rows if "scored" in row["lesions"]}
    if not told:
        return None, ""
    if lacking := [row["patient"] for row in rows if row["patient"] not in told]:
        return None, f"no FROC curve: {len(lacking)} of {len(rows)} contours have no scores, as candidates.json has ({listed(lacking)})"
    scans = [ScoredScan(patient, each["lesions"], tuple(map(tuple, each["events"]))) for patient, each in told.items()]
    try:
        curve = curve_of(scans, rule=rule)
    except InputError as error:
        return None, f"no FROC curve: {error}"
    specks = sum(each["specks"] for each in told.values())
    without = f"; but {specks} too small to have a mask (rt4d segment), so it ends early" if specks else ""
    return curve, f"the curve counts all candidates, kept or not{without}"


def _cells(proportion: Proportion, name: str, successes: str, trials: str) -> dict[str, Any]:
    """A proportion, its exact interval and its counts in columns of their own."""
    low, high = proportion.interval() or (None, None)
    counts = {successes: proportion.successes, trials: proportion.trials}
    return {**counts, name: proportion.value, f"{name}_low": low, f"{name}_high": high}
