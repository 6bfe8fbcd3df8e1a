"""The unit that a covariate's name tells, so that a hazard ratio says what it is for."""

from __future__ import annotations

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
VOXELS = "voxels"


def unit_of(name: str) -> str:
    """'per cm³' for a name that ends in _cm3, and so on; 'against …' for a level of a covariate in words; else 'per 1'."""
    if ": " in name and " against " in name:
        return "against" + name.rpartition(" against")[2]
    return next((unit for ending, unit in UNITS.items() if name.lower().endswith(ending)), "per 1")


def counts_voxels(name: str) -> bool:
    """Whether a covariate is a number of voxels, which means nothing without their size."""
    return name.lower().endswith(VOXELS)
