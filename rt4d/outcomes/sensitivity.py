"""Whether a result hangs on the tumours that the machine missed, or on the size of the voxels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rt4d.geometry import Floats
from rt4d.outcomes.cox import cox
from rt4d.outcomes.effects import Effect
from rt4d.outcomes.table import Cohort


@dataclass(frozen=True, slots=True)
class Variant:
    """The joint model again, one thing changed: what, in whom, and the effects."""

    what: str
    n: int
    events: int
    effects: dict[str, Effect]


def without(cohort: Cohort, names: Sequence[str], *, rows: Sequence[int]) -> Variant | None:
    """The same without these rows, the machine's misses; None where the cohort holds none of them."""
    missed = np.isin(cohort.rows, rows)
    if not missed.any():
        return None
    rest = cohort.only(~missed)
    return Variant(f"without the {missed.sum()} tumours that the machine missed", rest.n, rest.events, cox(rest, names).effects)


def per_deviation(cohort: Cohort, names: Sequence[str], *, counts: Mapping[str, tuple[str, Floats]]) -> list[Variant]:
    """The joint effects of volumes, and of the bare counts of voxels instead, each for one standard deviation more, so that they compare.

    counts: for the volume that stands for it in the model, the name of a count and each patient's number of voxels, of whatever size.
    """
    bare = replace(cohort, covariates={**cohort.covariates, **dict(counts.values())})
    return [
        _scaled("by volume", cohort, names, list(counts)),
        _scaled(
            "by the bare number of voxels, whatever their size",
            bare,
            [counts[name][0] if name in counts else name for name in names],
            [name for name, _ in counts.values()],
        ),
    ]


def _scaled(what: str, cohort: Cohort, names: Sequence[str], wanted: Sequence[str]) -> Variant:
    effects = cox(cohort, names).effects
    deviations = {name: float(cohort.covariates[name].std(ddof=1)) for name in wanted}
    scaled = {name: effects[name].per(size, f"per standard deviation ({size:.3g})") for name, size in deviations.items()}
    return Variant(what, cohort.n, cohort.events, scaled)
