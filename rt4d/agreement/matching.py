"""Which lesions of the machine are which of the physician's, by a rule that is chosen, and said with every result.

Under `Overlap` and `Centroid` several machine lesions may find one lesion of the physician's (a split lesion: it is found once, none of them is a
false positive), under `Overlap` one machine lesion also several (merged lesions: all are found, it is one true positive). Under `DiceAtLeast` and
`IouAtLeast` each lesion has at most one partner: as many pairs as can be, of those the ones with the highest sum of IoU (the Hungarian method);
a second machine lesion on a lesion that has its partner is a false positive.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from rt4d import geometry as grids
from rt4d.agreement.lesions import Lesion
from rt4d.errors import InputError
from rt4d.geometry import Floats

Bools = npt.NDArray[np.bool_]


class Rule(Protocol):
    """When a machine's lesion is one of the physician's; str() says it in words."""

    def pairs(self, machine: Sequence[Lesion], physician: Sequence[Lesion], common_cm3: Floats) -> Bools:
        """Which machine lesion goes with which of the physician's, shape (machine, physician), as is the volume that they share."""
        ...


@dataclass(frozen=True, slots=True)
class Overlap:
    """A machine's lesion lies on a physician's where at least one voxel, and at least the share `of_machine` of it, lies there.

    The physician's is found where the machine lesions on it together hold at least the share `of_physician` of it.
    """

    of_machine: float = 0.0
    of_physician: float = 0.0

    def __post_init__(self) -> None:
        for share in (self.of_machine, self.of_physician):
            _require_share(share, least=0.0)

    def pairs(self, machine: Sequence[Lesion], physician: Sequence[Lesion], common_cm3: Floats) -> Bools:
        del physician
        own = np.array([one.volume_cm3 for one in machine]).reshape(-1, 1)
        return np.asarray((common_cm3 > 0) & (common_cm3 >= (self.of_machine - 1e-9) * own))

    def __str__(self) -> str:
        shares = [f"{100 * self.of_machine:g} % of the machine's lesion"] if self.of_machine else []
        shares += [f"together {100 * self.of_physician:g} % of the physician's"] if self.of_physician else []
        return "overlap of at least " + " and ".join(shares) if shares else "any overlap"


@dataclass(frozen=True, slots=True)
class DiceAtLeast:
    """A machine's lesion is a physician's where their Dice coefficient is at least `least`; one to one."""

    least: float

    def __post_init__(self) -> None:
        _require_share(self.least)

    def pairs(self, machine: Sequence[Lesion], physician: Sequence[Lesion], common_cm3: Floats) -> Bools:
        iou = _iou(machine, physician, common_cm3)
        return _one_to_one(2 * iou / (1 + iou) >= self.least - 1e-9, iou)

    def __str__(self) -> str:
        return f"DSC of at least {self.least:g}, one to one"


@dataclass(frozen=True, slots=True)
class IouAtLeast:
    """A machine's lesion is a physician's where intersection over union is at least `least`; one to one."""

    least: float

    def __post_init__(self) -> None:
        _require_share(self.least)

    def pairs(self, machine: Sequence[Lesion], physician: Sequence[Lesion], common_cm3: Floats) -> Bools:
        iou = _iou(machine, physician, common_cm3)
        return _one_to_one(iou >= self.least - 1e-9, iou)

    def __str__(self) -> str:
        return f"IoU of at least {self.least:g}, one to one"


@dataclass(frozen=True, slots=True)
class Centroid:
    """A machine's lesion is the physician's that holds its centroid; else the one whose centroid is nearest, where within `within_mm`."""

    within_mm: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.within_mm < np.inf:
            raise InputError("A distance between centroids is in mm", expected="0 or more", found=self.within_mm)

    def pairs(self, machine: Sequence[Lesion], physician: Sequence[Lesion], common_cm3: Floats) -> Bools:
        chosen = np.zeros(common_cm3.shape, dtype=bool)
        for each, one in zip(chosen, machine, strict=True):
            apart = np.linalg.norm(np.reshape([other.centroid_mm for other in physician], (-1, 3)) - one.centroid_mm, axis=1)
            holding = np.array([other.holds(one.centroid_mm) for other in physician], dtype=bool)
            near = holding if holding.any() else (apart <= self.within_mm) & (self.within_mm > 0)
            if near.any():
                each[np.where(near, apart, np.inf).argmin()] = True
        return chosen

    def __str__(self) -> str:
        near = f" or at most {self.within_mm:g} mm from its centroid" if self.within_mm else ""
        return f"the machine's centroid in the physician's lesion{near}"


ShippedRule = Overlap | DiceAtLeast | IouAtLeast | Centroid
"""Rules that can be sent to another process and given on the command line."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Matching:
    """Both observers' lesions of one scan, and which goes with which.

    pairs: shape (machine, physician). common_cm3: the volume that they share, same shape. is_found: shape (physician,).
    """

    rule: Rule
    machine: tuple[Lesion, ...]
    physician: tuple[Lesion, ...]
    common_cm3: Floats
    pairs: Bools
    is_found: Bools

    @property
    def found(self) -> tuple[Lesion, ...]:
        """The physician's lesions that the machine found."""
        return tuple(one for one, yes in zip(self.physician, self.is_found, strict=True) if yes)

    @property
    def missed(self) -> tuple[Lesion, ...]:
        """The physician's lesions that the machine did not find."""
        return tuple(one for one, yes in zip(self.physician, self.is_found, strict=True) if not yes)

    @property
    def true_positive(self) -> tuple[Lesion, ...]:
        """The machine's lesions that go with one of the physician's."""
        return tuple(one for one, row in self._marked() if row.any())

    @property
    def false_positive(self) -> tuple[Lesion, ...]:
        """The machine's lesions that go with none of the physician's."""
        return tuple(one for one, row in self._marked() if not row.any())

    def at_least(self, score: float) -> Matching:
        """The same scan, matched anew, had the machine kept only lesions of at least this score. Refused where one has no score."""
        scores = [one.score for one in self.machine]
        if None in scores:
            raise InputError("A machine's lesion has no score", do="Give lesions_of(masks, scores=…)")
        kept = np.array([one is not None and one >= score for one in scores], dtype=bool)
        machine = tuple(one for one, yes in zip(self.machine, kept, strict=True) if yes)
        return _matched(self.rule, machine, self.physician, self.common_cm3[kept])

    def to_dict(self) -> dict[str, Any]:
        """The rule, counts, and every lesion with what became of it and the numbers of those that it goes with."""
        return {
            "rule": str(self.rule),
            "drawn": len(self.physician),
            "found": len(self.found),
            "missed": len(self.missed),
            "false_positive": len(self.false_positive),
            "lesions": [
                *(_listed(one, "physician", "found" if yes else "missed", self.machine, on_it) for one, yes, on_it in self._drawn()),
                *(_listed(one, "machine", "true positive" if row.any() else "false positive", self.physician, row) for one, row in self._marked()),
            ],
        }

    def _drawn(self) -> Iterator[tuple[Lesion, bool, Bools]]:
        """Each of the physician's lesions, whether it was found, and which of the machine's go with it."""
        return zip(self.physician, self.is_found.tolist(), self.pairs.T, strict=True)

    def _marked(self) -> Iterator[tuple[Lesion, Bools]]:
        """Each of the machine's lesions, and which of the physician's go with it."""
        return zip(self.machine, self.pairs, strict=True)

    def __str__(self) -> str:
        lines = [f"A lesion is found by: {self.rule}"]
        for n, one in enumerate(self.physician):
            on_it = [self._told(int(m), n) for m in np.flatnonzero(self.pairs[:, n])]
            said = ("found: " if self.is_found[n] else "missed: ") + ", ".join(on_it) if on_it else "missed"
            lines.append(f"physician {one.number:>3} {one.volume_cm3:9.2f} cm³ {one.longest_axis_mm:5.0f} mm  {said}")
        lines += [f"machine   {one.number:>3} {one.volume_cm3:9.2f} cm³ {one.longest_axis_mm:5.0f} mm  false positive" for one in self.false_positive]
        lines += [] if self.machine or self.physician else ["no lesions"]
        return "\n".join(lines)

    def _told(self, m: int, n: int) -> str:
        dice = 2 * self.common_cm3[m, n] / (self.machine[m].volume_cm3 + self.physician[n].volume_cm3)
        return f"machine {self.machine[m].number} (DSC {dice:.2f})"


def match(machine: Sequence[Lesion], physician: Sequence[Lesion], *, rule: Rule) -> Matching:
    """The lesions of one scan, machine's and physician's, brought together by the rule; either may have none. Refused on different grids."""
    together = [*machine, *physician]
    for one in together:
        grids.require(together[0].geometry, one.geometry, what="Lesions are matched on one grid", do="Resample first (rt4d.resampling.resample_mask)")
    common = np.zeros((len(machine), len(physician)))
    for m, n in np.argwhere(_boxes_meet(machine, physician)):
        common[m, n] = machine[m].common_cm3(physician[n])
    return _matched(rule, tuple(machine), tuple(physician), common)


def _boxes_meet(machine: Sequence[Lesion], physician: Sequence[Lesion]) -> Bools:
    """Which lesions may share a voxel, shape (machine, physician): to look at every pair of a thousand specks takes half a minute."""
    starts, stops = (
        [np.reshape([np.add(one.start, by * np.array(one.part.geometry.size)) for one in lesions], (-1, 3)) for lesions in (machine, physician)]
        for by in (0, 1)
    )
    return np.asarray(np.all((starts[0][:, None] < stops[1]) & (starts[1] < stops[0][:, None]), axis=-1))


def _listed(one: Lesion, observer: str, outcome: str, others: Sequence[Lesion], goes_with: Bools) -> dict[str, Any]:
    return {
        "observer": observer,
        "number": one.number,
        "volume_cm3": one.volume_cm3,
        "longest_axis_mm": one.longest_axis_mm,
        "centroid_mm": list(one.centroid_mm),
        "outcome": outcome,
        "with": [other.number for other, yes in zip(others, goes_with, strict=True) if yes],
    }


def _matched(rule: Rule, machine: tuple[Lesion, ...], physician: tuple[Lesion, ...], common_cm3: Floats) -> Matching:
    pairs = rule.pairs(machine, physician, common_cm3)
    is_found = np.asarray(pairs.any(axis=0))
    if isinstance(rule, Overlap) and rule.of_physician > 0:
        for n in np.flatnonzero(is_found):
            held = physician[n].held_by([machine[m] for m in np.flatnonzero(pairs[:, n])])
            is_found[n] = physician[n].volume_of(held) >= (rule.of_physician - 1e-9) * physician[n].volume_cm3
    return Matching(rule=rule, machine=machine, physician=physician, common_cm3=common_cm3, pairs=pairs, is_found=is_found)


def _iou(machine: Sequence[Lesion], physician: Sequence[Lesion], common_cm3: Floats) -> Floats:
    """Intersection over union of all pairs, shape (machine, physician)."""
    own = np.array([one.volume_cm3 for one in machine]).reshape(-1, 1)
    theirs = np.array([one.volume_cm3 for one in physician]).reshape(1, -1)
    return np.asarray(common_cm3 / (own + theirs - common_cm3))


def _one_to_one(passing: Bools, iou: Floats) -> Bools:
    """Of the pairs that pass, as many as can be with every lesion in at most one; of those choices the one with the highest sum of IoU."""
    passing = passing & (iou > 0)
    worth = np.where(passing, iou + min(iou.shape) + 1, 0.0)
    chosen = np.zeros(iou.shape, dtype=bool)
    chosen[linear_sum_assignment(worth, maximize=True)] = True
    return np.asarray(chosen & passing)


def _require_share(share: float, *, least: float | None = None) -> None:
    if not (0 < share <= 1 or share == least):
        raise InputError("A share lies between 0 and 1", expected="for example 0.5", found=share)
