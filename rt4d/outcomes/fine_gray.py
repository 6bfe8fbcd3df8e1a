"""Fine and Gray's regression: how the cumulative incidence of the event goes with what we know of a patient, where other events compete."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rt4d.errors import InputError
from rt4d.outcomes.competing_risk_sets import censoring, censoring_residuals, competing_risk_sets
from rt4d.outcomes.cox import Regression, robust_covariance
from rt4d.outcomes.maximum import maximise
from rt4d.outcomes.risk_sets import score_residuals
from rt4d.outcomes.table import Cohort


def fine_gray(cohort: Cohort, names: Sequence[str]) -> Regression:
    """Subdistribution hazard ratios (Fine & Gray, J Am Stat Assoc 1999), with the paper's robust variance, summed by centre where there are some.

    The weights are the chance not to be censored, estimated from all patients together; ties after Breslow, as in R's cmprsk::crr.
    Raises InputError where nothing competes, and as `cox` does.
    """
    if not cohort.competing_events:
        raise InputError("No competing event", expected="patients with event 2", found="none", do="Use Cox's regression")
    x = cohort.matrix(names)
    means = x.mean(axis=0)
    follow_up = censoring(cohort.time, cohort.event)
    sets = competing_risk_sets(x - means, cohort.time, cohort.event, follow_up)
    maximum = maximise(sets, names=names)
    residuals = score_residuals(sets, maximum.moments) + censoring_residuals(sets, maximum.moments, cohort.event, follow_up)
    return Regression(tuple(names), cohort, sets, maximum, np.asarray(robust_covariance(maximum, residuals, cohort.clusters)), means, residuals)
