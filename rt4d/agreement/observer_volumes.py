"""How the volumes of observers agree, pair by pair: from the rows of all pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rt4d.agreement.limits_of_agreement import BlandAltman, bland_altman
from rt4d.errors import InputError


def volumes_by_observer(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """The volume in cm³ of each observer's contour of each patient: what `intraclass` and `compare_paired` take."""
    volumes: dict[str, dict[str, float]] = {}
    for row in rows:
        for side in ("machine", "physician"):
            volume = row[f"volume_{side}_cm3"]
            if volume is not None and np.isfinite(volume):
                volumes.setdefault(str(row[side]), {})[str(row["patient"])] = float(volume)
    return volumes


def volume_agreement(rows: Iterable[Mapping[str, Any]], *, ratio: bool = False) -> tuple[BlandAltman, ...]:
    """Limits of agreement of the volumes of every two observers, with the points of their scatter in `pairs.first` and `pairs.second`.

    Who lacks one of the two is left out of that pair and named. Refused: rows of several ROIs, and a pair of fewer than two patients.
    """
    table = list(rows)
    if len(rois := sorted({str(row["roi"]) for row in table if "roi" in row})) > 1:
        raise InputError("Rows of one roi are compared at a time", found=", ".join(rois), do="Select one")
    volumes = volumes_by_observer(table)
    everyone = dict.fromkeys(str(row["patient"]) for row in table)
    found = []
    for first, second in dict.fromkeys((str(row["machine"]), str(row["physician"])) for row in table):
        mine, theirs = ({patient: volumes.get(who, {}).get(patient) for patient in everyone} for who in (first, second))
        found.append(bland_altman(mine, theirs, quantity="volume", unit="cm³", labels=(first, second), ratio=ratio))
    return tuple(found)
