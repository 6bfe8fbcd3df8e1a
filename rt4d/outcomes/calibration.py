"""Whether as many patients had the event as a Cox model says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rt4d.errors import InputError
from rt4d.geometry import Floats
from rt4d.outcomes.cox import Regression
from rt4d.outcomes.curves import kaplan_meier


@dataclass(frozen=True, slots=True)
class CalibrationGroup:
    """Patients of like risk: how many of them the model expects to have the event until then, and how many had it (1 - Kaplan–Meier).

    Nobody having had it, there is no interval (None).
    """

    n: int
    predicted: float
    observed: float
    ci95: tuple[float, float] | None


def predicted_risk(model: Regression, time: float) -> Floats:
    """Each patient's chance to have had the event until `time`, shape (n,). Refused where events compete: a Cox model alone cannot say it then."""
    if model.cohort.competing_events:
        raise InputError("A Cox model does not give the chance of an event that others compete with", do="Look at the cumulative incidence")
    if not 0 < time <= model.cohort.time.max():
        last = f"more than 0 and at most {model.cohort.time.max():g} {model.cohort.unit}"
        raise InputError("Nobody was followed until then", expected=last, found=f"{time:g}")
    events = model.sets.time[model.sets.events]
    at = model.maximum.moments
    hazard = float(at.hazard[events <= time].sum())
    return np.asarray(1 - np.exp(-hazard * np.exp(model.linear_predictor - at.highest)), dtype=float)


def calibration(model: Regression, time: float, *, groups: int = 4) -> tuple[CalibrationGroup, ...]:
    """Predicted and observed risk at `time` in groups of rising predicted risk; of the patients that the model was made from."""
    risk = predicted_risk(model, time)
    edges = np.unique(np.quantile(risk, np.linspace(0, 1, groups + 1)[1:-1]))
    place = np.searchsorted(edges, risk, side="right")
    return tuple(_group(model, place == group, risk, time) for group in np.unique(place))


def _group(model: Regression, chosen: npt.NDArray[np.bool_], risk: Floats, time: float) -> CalibrationGroup:
    n, predicted = int(chosen.sum()), float(risk[chosen].mean())
    if not (model.cohort.event[chosen] == 1).any():
        return CalibrationGroup(n, predicted, 0.0, None)
    spared = kaplan_meier(model.cohort.only(chosen)).at([time])
    return CalibrationGroup(n, predicted, 1 - float(spared["value"][0]), (1 - float(spared["high"][0]), 1 - float(spared["low"][0])))
