"""What has to be known before a result is believed."""

from __future__ import annotations

import math

import numpy as np

from rt4d.outcomes.analysis import Analysis
from rt4d.outcomes.effects import Effect, decimals, told
from rt4d.outcomes.units import unit_of_time

FEW_EVENTS_PER_VARIABLE = 10
FEW_CENTRES = 50
"""With 40, the robust 95 % interval held the truth in 93.7 % of simulated cohorts, and in 92.1 % where volumes differ between centres."""
FEW_FOR_FINE_GRAY = 60
"""With 45 events, Fine and Gray's test at 5 % was measured to reject in 6.7 % of simulated cohorts without an effect, with 67 in 5.6 %."""
MOVES = 0.5
"""A patient who alone moves a coefficient by this part of its standard error is named."""
CORRELATED = 0.7
ABSURD = 50.0
"""The logarithm of a hazard ratio that no patients could show."""
CHANCE = 0.05


def caveats(found: Analysis) -> list[str]:
    """Plain sentences: of the units, of the data, then of the model."""
    notes = [*found.units.refused.values(), *found.units.notes, *found.cohort.notes, *_unit(found)]
    if found.question.time_zero is None:
        notes.append(f"What {found.question.time} is counted from is not stated; it must be the same for all patients (--time-zero records it)")
    if found.adjusted is not None:
        notes += [f"Adjusting for {found.adjusted.volume}: {note}" for note in found.adjusted.notes if note not in found.cohort.notes]
    notes += found.unsaid
    checks = (_competing, _size, _absurd, _volume, _proportional, _bent, _influential, _bootstrap)
    return [*notes, *(note for check in checks for note in check(found))]


def _unit(found: Analysis) -> list[str]:
    """Where nothing tells the unit of time."""
    time, cohort = found.question.time, found.cohort
    if unit_of_time(time, found.question.unit) is not None:
        return []
    longest = f"the longest follow-up is then {cohort.time.max():g} {cohort.unit}"
    return [f"{time} does not say its unit and is taken to be in {cohort.unit} (--unit): {longest}"]


def _competing(found: Analysis) -> list[str]:
    count = found.cohort.competing_events
    if found.competing is not None and found.cohort.events < FEW_FOR_FINE_GRAY and found.cohort.clusters is None:
        return [f"{found.cohort.events} events: with fewer than about {FEW_FOR_FINE_GRAY} Fine and Gray's intervals are a little too narrow"]
    if not count or found.competing is not None:
        return []
    what = f"{count} patients had a competing event, which ends their follow-up: hazard ratios are cause-specific"
    return [f"{what}. --competing adds what it means for incidence"]


def _size(found: Analysis) -> list[str]:
    notes = []
    if found.events_per_variable < FEW_EVENTS_PER_VARIABLE:
        notes.append(
            f"{found.events_per_variable:.1f} events per covariate ({found.cohort.events} for {len(found.model.names)}): below "
            f"{FEW_EVENTS_PER_VARIABLE} hazard ratios are unsteady and biased away from 1"
        )
    centres = set(found.cohort.clusters or ())
    if centres and len(centres) < FEW_CENTRES:
        notes.append(f"Only {len(centres)} centres: with fewer than about {FEW_CENTRES} robust intervals are too narrow and p values too small")
    return notes


def _absurd(found: Analysis) -> list[str]:
    """Hazard ratios for a step that is many times what patients differ by."""
    names = [name for name, effect in found.joint.items() if max(abs(math.log(max(end, 1e-300))) for end in effect.ci95) > ABSURD]
    what = "one unit is far more than patients differ by: give the covariate in another unit"
    return [f"The hazard ratio of {', '.join(names)} says nothing, for {what}"] if names else []


def _volume(found: Analysis) -> list[str]:
    if found.adjusted is None:
        return []
    strong = [(name, value) for name, value in found.adjusted.correlation.items() if abs(value) > CORRELATED]
    volume = found.adjusted.volume
    return [f"{name} and {volume} go together (Spearman {value:.2f}): their effects can hardly be told apart" for name, value in strong]


def _proportional(found: Analysis) -> list[str]:
    changing = [f"{name} (p {test.p:.3f})" for name, test in found.proportional.by_covariate.items() if test.p < CHANCE]
    return [f"Hazards are not proportional for {', '.join(changing)}: the hazard ratio is a mean over follow-up"] if changing else []


def _bent(found: Analysis) -> list[str]:
    curved = [f"{name} (p {test.p:.3f})" for name, test in found.bend.items() if test is not None and test.p < CHANCE]
    return [f"The effect is no straight line for {', '.join(curved)}: one hazard ratio per unit does not describe it"] if curved else []


def _influential(found: Analysis) -> list[str]:
    model = found.model
    errors = np.sqrt(np.diag(model.covariance))
    notes = []
    for name, moved, error, coefficient in zip(model.names, model.influence.T, errors, model.coefficients, strict=True):
        most = int(np.abs(moved).argmax())
        if abs(moved[most]) > MOVES * error:
            digits = decimals(*Effect(float(coefficient), float(error)).ci95)
            with_all, without = Effect(float(coefficient), 0.0), Effect(float(coefficient - moved[most]), 0.0)
            ratios = f"from {told(with_all.hazard_ratio, digits)} to about {told(without.hazard_ratio, digits)}"
            notes.append(f"One patient weighs much: without row {model.cohort.rows[most]} the hazard ratio of {name} would go {ratios}")
    return notes


def _bootstrap(found: Analysis) -> list[str]:
    if found.bootstrap is not None:
        return []
    return ["The bootstrap gives no interval: too many drawings have no estimate, so the result hangs on a few patients"]
