"""The report of a comparison: what `rt4d compare --report` writes of contours in files, and a script of masks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rt4d import figures
from rt4d import geometry as grids
from rt4d.agreement.comparing import Comparison
from rt4d.agreement.greatest_difference import greatest_difference_mm
from rt4d.agreement.matching import Matching
from rt4d.agreement.places import Places, locate
from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Triple
from rt4d.report.page import Picture, made_with, number_text, picture, require_new_page, write_new_page
from rt4d.volumes import Mask, Volume

PICTURED = 8
"""Of so many pairs of the first contour there are pictures, of those that agree least: a page stays under 15 MB and prints to a few pages."""
KINDS = ("false_positive", "false_negative")
SIDES = (("right", "left"), ("anterior", "posterior"), ("inferior", "superior"))
COLUMNS = (
    ("DSC", "dice", 3),
    ("surface DSC", "surface_dice", 3),
    ("HD95, mm", "hd95_mm", 1),
    ("mean distance, mm", "mean_surface_distance_mm", 2),
    ("first, cm³", "volume_machine_cm3", 2),
    ("second, cm³", "volume_physician_cm3", 2),
    ("first alone (FP), cm³", "false_positive_cm3", 2),
    ("second alone (FN), cm³", "false_negative_cm3", 2),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComparedPair:
    """A comparison with both of its masks. places: where false positives and negatives lie, looked for where not given. lesions: where matched."""

    comparison: Comparison
    machine: Mask
    physician: Mask
    places: Mapping[str, Places] | None = None
    lesions: Matching | None = None

    @property
    def name(self) -> str:
        return f"{self.comparison.machine} – {self.comparison.physician}"


def write_comparison_report(
    path: str | Path, pairs: Sequence[ComparedPair], *, ct: Volume | None = None, notes: Sequence[str] = (), made_of: Mapping[str, str] | None = None
) -> Path:
    """The path of a new HTML file: each pair's numbers without a verdict, both contours in three planes, where they differ, and lesions.

    ct: the image beneath the contours. made_of: inputs by name, for the record. Contours are called by their labels; no name, number or
    birth date of a patient is read from anything. Refused: no pairs, and a path as `require_new_page` refuses it.
    """
    path = require_new_page(path)
    if not pairs:
        raise InputError("A report of a comparison needs pairs", expected="at least one", found="none")
    on_ct = {id(pair): _ct_of(pair, ct) for pair in pairs}
    first = [pair for pair in pairs if pair.comparison.machine == pairs[0].comparison.machine]
    shown = sorted(first, key=lambda pair: 2.0 if pair.comparison.dice is None else pair.comparison.dice)[:PICTURED]
    told = [_told(pair, on_ct[id(pair)], pictured=pair in shown) for pair in pairs]
    return write_new_page(
        path,
        "comparison.html.jinja",
        pairs=told,
        columns=COLUMNS,
        tolerance_mm=pairs[0].comparison.tolerance_mm,
        matrix=_matrix(pairs),
        observers=_observers(pairs, ct),
        left_out=len(first) - len(shown),
        notes=list(notes),
        made=made_with(made_of or {}),
    )


def shift_text(shift_mm: Triple | None) -> str:
    """In words, where to the machine's contour is shifted: '3.9 mm left, 1.1 mm superior'."""
    if shift_mm is None:
        return ""
    along = [(round(mm, 1), sides) for mm, sides in zip(shift_mm, SIDES, strict=True)]
    return ", ".join(f"{abs(mm):.1f}\N{NO-BREAK SPACE}mm\N{NO-BREAK SPACE}{sides[mm > 0]}" for mm, sides in along if mm) or "no shift"


def _told(pair: ComparedPair, ct: Volume | None, *, pictured: bool) -> dict[str, Any]:
    """One pair's part of the page."""
    found = pair.comparison
    places = pair.places or {kind: locate(getattr(found, kind), pair.physician) for kind in KINDS}
    most = greatest_difference_mm(found, pair.physician) if pictured else None
    return {
        "name": pair.name,
        "machine": found.machine,
        "physician": found.physician,
        "numbers": found.to_dict(),
        "shift": shift_text(found.centroid_shift_mm),
        "shift_mm": None if found.centroid_shift_mm is None else sum(mm**2 for mm in found.centroid_shift_mm) ** 0.5,
        "grid": pair.physician.geometry,
        "most": None if most is None else ", ".join(f"{axis} {number_text(mm, 1)}" for axis, mm in zip("xyz", most, strict=True)),
        "pictures": list(_pictures(pair, ct, most, places)) if pictured else [],
        "places": {kind: places[kind].to_dict() for kind in KINDS},
        "lesions": None if pair.lesions is None else pair.lesions.to_dict(),
    }


def _pictures(pair: ComparedPair, ct: Volume | None, most: Triple | None, places: Mapping[str, Places]) -> Iterator[Picture]:
    found = pair.comparison
    if pair.machine.is_empty and pair.physician.is_empty:
        return
    case = figures.Case(pair.name, ct, pair.machine, pair.physician)
    beneath = "; beneath, through where they differ most" if most else ""
    ground = "the CT" if ct is not None else "a plain ground: no CT was given that they lie on"
    yield picture(figures.difference_planes(case, most_mm=most), f"Both contours on {ground}, through the middle of the physician's{beneath}.")
    if not pair.physician.is_empty and not (found.false_positive.is_empty and found.false_negative.is_empty):
        says = "What only one of both contours holds: to which side of the physician's centroid, and how far from the physician's surface."
        yield picture(figures.places_plot(places), says)


def _ct_of(pair: ComparedPair, ct: Volume | None) -> Volume | None:
    """The CT where the pair lies in its frame of reference."""
    try:
        if ct is not None:
            grids.require_same_frame(ct.geometry, pair.physician.geometry)
    except GeometryError:
        return None
    return ct


def _matrix(pairs: Sequence[ComparedPair]) -> dict[str, Any] | None:
    """The DSC of every two contours, by name; None where not all were compared with one another."""
    dice = {frozenset((pair.comparison.machine, pair.comparison.physician)): pair.comparison.dice for pair in pairs}
    names = list(dict.fromkeys(name for pair in pairs for name in (pair.comparison.machine, pair.comparison.physician)))
    whole = [name for name in names if sum(name in two for two in dice) >= 2]
    if len(whole) < 3 or any(frozenset((one, other)) not in dice for n, one in enumerate(whole) for other in whole[:n]):
        return None
    rows = [[None if one == other else dice[frozenset((one, other))] for other in whole] for one in whole]
    return {"names": whole, "rows": rows}


def _observers(pairs: Sequence[ComparedPair], ct: Volume | None) -> Picture | None:
    """All contours in one picture, where there are more than two that lie in one frame of reference."""
    contours: dict[str, Mask] = {}
    for pair in pairs:
        contours |= {pair.comparison.machine: pair.machine, pair.comparison.physician: pair.physician}
    if len(contours) < 3 or all(mask.is_empty for mask in contours.values()):
        return None
    there = ct if all(_ct_of(pair, ct) for pair in pairs) else None
    return picture(figures.observer_planes(contours, ct=there), "All contours, through the mean of their centroids.")

