"""The pairs of one patient's contours, compared one after the other; every contour is read once. A pair that fails says so in its row."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rt4d.agreement.cohort_table import ContourRow
from rt4d.agreement.comparing import Comparison, compare
from rt4d.agreement.detection import Scan
from rt4d.agreement.froc_curve import scored
from rt4d.agreement.mask_matching import match_candidates, match_masks
from rt4d.agreement.matching import Centroid, DiceAtLeast, IouAtLeast, Overlap, ShippedRule
from rt4d.agreement.observers import INTRA
from rt4d.contour_files import Contour, ContourFiles
from rt4d.errors import Rt4dError
from rt4d.volumes import Mask

MACHINE_PHYSICIAN, PHYSICIANS, MACHINES = "machine-physician", "physician-physician", "machine-machine"
RULES = {each.__name__: each for each in (Overlap, DiceAtLeast, IouAtLeast, Centroid)}
LESION_COUNTS = {"lesions_drawn": "drawn", "lesions_found": "found", "lesions_false_positive": "false_positive"}
"""Columns, and what they are in `Matching.to_dict`."""


@dataclass(frozen=True, slots=True)
class PatientJob:
    """All contours of one patient, who of the observers are machines, how contours are compared, and by which rule lesions are matched, if at all."""

    rows: tuple[ContourRow, ...]
    machines: tuple[str, ...]
    tolerance_mm: float
    assume_same_frame: bool
    rule: ShippedRule | None = None

    def pairs(self) -> list[tuple[ContourRow, ContourRow]]:
        """Every pair of contours of one ROI: machines before physicians, else in the order of the table. What was drawn again has its observer's."""
        ordered = sorted(sorted(self.rows, key=lambda row: row.repeat), key=lambda row: row.observer not in self.machines)
        pairs = [(one, other) for one, other in itertools.combinations(ordered, 2) if one.target == other.target]
        return [(one, other) for one, other in pairs if one.observer == other.observer or one.repeat == other.repeat == 1]

    def kind(self, one: ContourRow, other: ContourRow) -> str:
        if one.observer == other.observer:
            return INTRA
        machines = [row.observer in self.machines for row in (one, other)]
        return MACHINES if all(machines) else MACHINE_PHYSICIAN if any(machines) else PHYSICIANS

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"rule": None if self.rule is None else [type(self.rule).__name__, asdict(self.rule)]}

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> PatientJob:
        rows = tuple(ContourRow(**row) for row in given["rows"])
        name, values = given["rule"] or ("", {})
        rule = RULES[name](**values) if name else None
        return cls(rows, tuple(given["machines"]), given["tolerance_mm"], given["assume_same_frame"], rule)


def compared(job: PatientJob) -> Iterator[dict[str, Any]]:
    """A tidy row for each pair of the patient, as soon as it is there."""
    contours: dict[int, Contour | str] = {}
    files: dict[str, ContourFiles] = {}
    for one, other in job.pairs():
        found = [_read(row, job, contours=contours, files=files) for row in (one, other)]
        yield tidy_row(job, one, other, found)


def tidy_row(job: PatientJob, one: ContourRow, other: ContourRow, found: Sequence[Contour | str]) -> dict[str, Any]:
    """One pair's row: who, what came out, what was odd, and where it failed why. Nothing came out where a contour is a reason instead.

    lesions: where a rule is given, a machine's and a physician's as `Matching.to_dict` tells them.
    """
    cohort, patient, roi = one.target
    head = {"cohort": cohort, "patient": patient, "roi": roi, "pair": job.kind(one, other), "machine": one.drawn_by, "physician": other.drawn_by}
    machine, physician = found
    if isinstance(machine, str) or isinstance(physician, str):
        return head | {"error": machine if isinstance(machine, str) else str(physician)}
    try:
        result = compare(machine.mask, physician.mask, tolerance_mm=job.tolerance_mm, machine_label=one.drawn_by, physician_label=other.drawn_by)
        lesions = _lesions(job, head["pair"], machine, physician.mask)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one pair, it is named and the others go on
        return head | {"error": _reason(error)}
    return head | _numbers(result, notes=(*machine.notes, *physician.notes)) | lesions


def _lesions(job: PatientJob, pair: str, machine: Contour, physician: Mask) -> dict[str, Any]:
    """The lesions of a machine and a physician, matched, and their numbers in columns; of other pairs nothing is counted.

    Where the machine told the scores of its candidates, also what the scan adds to a FROC curve.
    """
    if job.rule is None:
        return {}
    if pair != MACHINE_PHYSICIAN:
        return dict.fromkeys(LESION_COUNTS)
    told = match_masks(machine.mask, physician, rule=job.rule).to_dict()
    if machine.candidates is not None:
        every = match_candidates(machine.candidates.candidates, physician, rule=job.rule)
        told["scored"] = asdict(scored(Scan("", every))) | {"specks": machine.candidates.specks}
    return {column: told[name] for column, name in LESION_COUNTS.items()} | {"lesions": told}


def _read(row: ContourRow, job: PatientJob, *, contours: dict[int, Contour | str], files: dict[str, ContourFiles]) -> Contour | str:
    """A contour, or why it cannot be read; read once."""
    if row.row not in contours:
        reader = files.setdefault(row.ct, ContourFiles(on=row.ct or None, assume_same_frame=job.assume_same_frame))
        try:
            contours[row.row] = reader.read(row.contour)
        except Exception as error:  # noqa: BLE001 - the same of one contour
            contours[row.row] = f"row {row.row}: {_reason(error)}"
    return contours[row.row]


def _reason(error: Exception) -> str:
    if isinstance(error, Rt4dError):
        return str(error)
    return "not enough memory" if isinstance(error, MemoryError) else f"internal error: {type(error).__name__}: {error}"


def _numbers(result: Comparison, *, notes: Sequence[str]) -> dict[str, Any]:
    """The numbers of a comparison in columns of their own, and all notes in one."""
    numbers = result.to_dict()
    shift = result.centroid_shift_mm
    numbers["centroid_shift_mm"] = None if shift is None else math.hypot(*shift)
    numbers |= {f"centroid_shift_{axis}_mm": along for axis, along in zip("xyz", shift or (None, None, None), strict=True)}
    numbers["notes"] = "; ".join(dict.fromkeys([*notes, *result.notes]))
    return numbers
