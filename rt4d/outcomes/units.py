"""The units that names of columns tell: of covariates, so that a hazard ratio says what it is for, and of time."""

from __future__ import annotations

import re
from typing import Literal

from rt4d.errors import InputError

Unit = Literal["days", "months"]
UNITS_OF_TIME: tuple[Unit, ...] = ("days", "months")
OTHER_UNITS_OF_TIME = ("years", "weeks", "hours")
UNITS = {
    "_cm3": "per cm³",
    "_mm3": "per mm³",
    "_mm": "per mm",
    "_cm": "per cm",
    "_percent": "per percentage point",
    "_years": "per year",
    "_months": "per month",
    "_days": "per day",
    "_gy": "per Gy",
}
VOXELS = re.compile(r"voxels?(_?(count|number|n))?$", re.IGNORECASE)


def unit_of(name: str) -> str:
    """'per cm³' for a name that ends in _cm3, and so on; 'against …' for a level of a covariate in words; else 'per 1'."""
    if ": " in name and " against " in name:
        return "against" + name.rpartition(" against")[2]
    return next((unit for ending, unit in UNITS.items() if name.lower().endswith(ending)), "per 1")


def counts_voxels(name: str) -> bool:
    """Whether a covariate is a number of voxels, which means nothing without their size."""
    return VOXELS.search(name) is not None


def unit_of_time(column: str, stated: Unit | None) -> Unit | None:
    """The unit of a time as its column's name ends, else the one that was stated; None where neither tells it.

    Raises InputError where the two contradict each other, and for a unit that is not read here.
    """
    name = column.lower()
    if other := next((each for each in OTHER_UNITS_OF_TIME if name.endswith((each, each[:-1]))), None):
        raise InputError("Time must be in days or months", where=column, found=other, do="Convert it, and name the column for its unit")
    own = next((each for each in UNITS_OF_TIME if name.endswith((each, each[:-1]))), None)
    if own and stated and own != stated:
        raise InputError("--unit contradicts the column's name", where=column, expected=own, found=stated)
    return stated or own
