"""Any number of physicians and machines over any number of patients: every pair compared, and each against the consensus of the others.

What comes out are rows, one per patient and pair, as `rt4d.agreement.cohort` makes them from files: `against_physicians`, `volume_agreement`
and `intra_observer` take the rows of either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rt4d.agreement.comparing import Comparison, compare
from rt4d.agreement.consensus import OF_TWO, Consensus, staple
from rt4d.errors import InputError
from rt4d.volumes import Mask

if TYPE_CHECKING:
    import pandas as pd

INTRA, PHYSICIAN_CONSENSUS = "intra-observer", "physician-consensus"
FEWEST = 3
"""Physicians of whom one can be left out."""


@dataclass(frozen=True, slots=True)
class Observer:
    """Who drew a contour: a physician or a machine. repeat: 2 and more are contours that the same observer drew again."""

    name: str
    kind: Literal["physician", "machine"] = "physician"
    repeat: int = 1

    def __post_init__(self) -> None:
        if not self.name or self.kind not in ("physician", "machine") or self.repeat < 1:
            raise InputError("An observer has a name, is a physician or a machine, and repeats count from 1", found=repr(self))

    def __str__(self) -> str:
        return self.name if self.repeat == 1 else f"{self.name} (repeat {self.repeat})"


Contours = Mapping[str, Mapping[Observer, Mask | None]]
"""The contours of each patient, of each observer; None, or no entry, where there is none. An empty mask is a contour: nothing was found to draw."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObserverPair:
    """One pair of contours of a patient.

    kind: 'machine-physician', 'physician-physician', 'machine-machine', 'intra-observer', 'physician-consensus' or 'machine-consensus'.
    without: of a consensus, the physician who is not part of it.
    """

    patient: str
    kind: str
    comparison: Comparison
    without: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {"patient": self.patient, "pair": self.kind, **({"without": self.without} if self.without else {}), **self.comparison.to_dict()}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObserverPairs:
    """Pairs of contours over patients. missing: whose contours each patient lacks. left_out: patients without any pair, and why.

    Masks of what only one of a pair holds lie on the part of the patient's grid that all contours fill.
    """

    pairs: tuple[ObserverPair, ...]
    missing: Mapping[str, tuple[str, ...]]
    left_out: Mapping[str, str]

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of the consensuses."""
        return of_two_physicians(self.rows)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each pair: patient, pair, machine, physician, and the numbers of the comparison; None where undefined."""
        return [pair.to_dict() for pair in self.pairs]

    def table(self) -> pd.DataFrame:
        """The rows as a table."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    def __str__(self) -> str:
        lines = []
        for kind in dict.fromkeys(pair.kind for pair in self.pairs):
            pairs = [pair for pair in self.pairs if pair.kind == kind]
            dice = [pair.comparison.dice for pair in pairs if pair.comparison.dice is not None]
            low, middle, high = np.percentile(dice, [25, 50, 75]) if dice else (np.nan,) * 3
            told = f"DSC median {middle:.2f} [{low:.2f}–{high:.2f}]" if dice else "DSC undefined"
            empty = f", undefined in {len(pairs) - len(dice)}" if dice and len(dice) < len(pairs) else ""
            lines.append(f"{kind:<22}{len(pairs):>5} pairs of {len({pair.patient for pair in pairs})} patients  {told}{empty}")
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"missing: {patient} has no contour of {', '.join(names)}" for patient, names in self.missing.items()]
        return "\n".join([*lines, *(f"left out: {patient} ({why})" for patient, why in self.left_out.items())])


def all_pairs(contours: Contours, *, tolerance_mm: float = 2.0) -> ObserverPairs:
    """Every pair of contours of each patient, compared once. Of a machine and a physician the machine stands first, else who is named first.

    Between observers only the first contour of each counts; repeats are compared within their observer ('intra-observer').
    """
    pairs, left_out = [], {}
    for patient, drawn in _close_up(contours):
        found = [
            ObserverPair(patient=patient, kind=kind, comparison=_compared(drawn[one], drawn[other], str(one), str(other), tolerance_mm))
            for one, other, kind in _pairs_of(drawn)
        ]
        pairs += found
        if not found:
            left_out[patient] = f"{len(drawn)} contour{'' if len(drawn) == 1 else 's'}: no pair"
    return ObserverPairs(pairs=tuple(pairs), missing=missing_contours(contours), left_out=left_out)


def leave_one_out(contours: Contours, *, consensus: Callable[[Mapping[str, Mask]], Consensus] = staple, tolerance_mm: float = 2.0) -> ObserverPairs:
    """Each physician against the consensus of the others (`staple` or `majority`), and every machine against each of these same consensuses.

    Only first contours count. A patient needs three physicians on one grid; who has fewer is left out and named.
    """
    pairs: list[ObserverPair] = []
    left_out = {}
    for patient, drawn in _close_up(contours):
        physicians = {str(who): mask for who, mask in drawn.items() if who.kind == "physician" and who.repeat == 1}
        machines = {str(who): mask for who, mask in drawn.items() if who.kind == "machine" and who.repeat == 1}
        if len(physicians) < FEWEST:
            left_out[patient] = f"contours of {len(physicians)} physicians, three are needed"
            continue
        for without, own in physicians.items():
            others = consensus({name: mask for name, mask in physicians.items() if name != without}).mask
            for name, mask, kind in [(without, own, PHYSICIAN_CONSENSUS), *((*each, "machine-consensus") for each in machines.items())]:
                comparison = _compared(mask, others, name, f"consensus without {without}", tolerance_mm)
                pairs.append(ObserverPair(patient=patient, kind=kind, comparison=comparison, without=without))
    return ObserverPairs(pairs=tuple(pairs), missing=missing_contours(contours), left_out=left_out)


def of_two_physicians(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The note on leave-one-out rows whose consensus is of two physicians because the patient has three; none where there are no such rows."""
    left_out: dict[str, set[str]] = {}
    for row in rows:
        if row["pair"] == PHYSICIAN_CONSENSUS:
            left_out.setdefault(str(row["patient"]), set()).add(str(row["machine"]))
    if not (few := sum(len(each) == FEWEST for each in left_out.values())):
        return ()
    return (f"consensus of two physicians in {few} of {len(left_out)} patients: {OF_TWO}. Four physicians or more are wanted",)


def missing_contours(contours: Contours) -> dict[str, tuple[str, ...]]:
    """Whose contours a patient lacks, of all observers who drew anyone; only patients who lack one."""
    everyone = list(dict.fromkeys(who for drawn in contours.values() for who in drawn))
    clashes = sorted({one.name for one, other in combinations(everyone, 2) if one.name == other.name and one.kind != other.kind})
    if clashes:
        raise InputError("A physician and a machine bear one name", found=", ".join(clashes))
    absent = {patient: tuple(str(who) for who in everyone if drawn.get(who) is None) for patient, drawn in contours.items()}
    return {patient: names for patient, names in absent.items() if names}


def _pairs_of(drawn: Mapping[Observer, Mask]) -> Iterator[tuple[Observer, Observer, str]]:
    """All pairs of first contours, and all of one observer's own; machines before physicians."""
    ordered = sorted(drawn, key=lambda who: who.kind != "machine")
    for one, other in combinations(ordered, 2):
        if one.name == other.name:
            first, second = sorted((one, other), key=lambda who: who.repeat)
            yield first, second, INTRA
        elif one.repeat == other.repeat == 1:
            yield one, other, f"{one.kind}-{other.kind}"


def _close_up(contours: Contours) -> Iterator[tuple[str, dict[Observer, Mask]]]:
    """Patient by patient the contours that are there, cropped to what they fill together where they lie on one grid."""
    if not contours:
        raise InputError("There are no patients to compare observers on", expected="at least one", found="none")
    for patient, drawn in contours.items():
        there = {who: mask for who, mask in drawn.items() if mask is not None}
        masks = list(there.values())
        if masks and all(masks[0].geometry.is_same_grid(mask.geometry) for mask in masks[1:]):
            start, size = _window(masks)
            there = {who: mask.crop(start, size) for who, mask in there.items()}
        yield patient, there


def _window(masks: Sequence[Mask]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Start and size (x y z) of the box of all masks with two voxels all round, as far as the grid goes; of empty ones, of its first voxel."""
    boxes = [mask.box() for mask in masks if not mask.is_empty] or [((0, 0, 0), (1, 1, 1))]
    first = np.maximum(np.min([start for start, _ in boxes], axis=0) - 2, 0)
    last = np.minimum(np.max([np.add(start, size) for start, size in boxes], axis=0) + 2, masks[0].geometry.size)
    return tuple(first.tolist()), tuple((last - first).tolist())


def _compared(one: Mask, other: Mask, label: str, other_label: str, tolerance_mm: float) -> Comparison:
    return compare(one, other, tolerance_mm=tolerance_mm, machine_label=label, physician_label=other_label)
