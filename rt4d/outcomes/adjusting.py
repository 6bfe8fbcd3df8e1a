"""A covariate beside the volume of the tumour: large tumours have more of everything, false-positive voxels too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rt4d.geometry import Floats
from rt4d.outcomes.cox import cox
from rt4d.outcomes.effects import Effect
from rt4d.outcomes.table import Cohort

GTV_COLUMNS = ("physician_volume_cm3", "volume_physician_cm3", "gtv_volume_cm3")


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Effects before and after adjusting for the volume of the GTV, in the same patients: those whose volume is known.

    correlation: Spearman's, of each covariate with that volume.
    """

    volume: str
    n: int
    events: int
    before: dict[str, Effect]
    after: dict[str, Effect]
    of_volume: Effect
    correlation: dict[str, float]
    notes: tuple[str, ...]


def adjusted_for_volume(cohort: Cohort, names: Sequence[str], *, volume: str) -> Adjusted:
    """The joint effects of these covariates without and with the volume, of a cohort that has it."""
    before, after = cox(cohort, names).effects, cox(cohort, [*names, volume]).effects
    correlation = {name: rank_correlation(cohort.covariates[name], cohort.covariates[volume]) for name in names}
    return Adjusted(volume, cohort.n, cohort.events, before, {name: after[name] for name in names}, after[volume], correlation, cohort.notes)


def rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's correlation, -1 to 1; ties share their ranks."""
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])
