"""Whether times of follow-up can be what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rt4d.errors import InputError
from rt4d.geometry import Floats
from rt4d.outcomes.columns import as_numbers, require_column, rows

if TYPE_CHECKING:
    import pandas as pd

MANY, SHARE = 5, 0.25
"""So many censored patients, and such a share of all, with one and the same time are no coincidence."""


def imputed_follow_up(times: Floats, events: Floats, *, unit: str) -> tuple[str, ...]:
    """A note where many censored patients carry exactly the same time."""
    censored = times[events == 0]
    if not censored.size:
        return ()
    values, counts = np.unique(censored, return_counts=True)
    most = int(counts.argmax())
    if counts[most] < MANY or counts[most] < SHARE * len(censored):
        return ()
    everyone = "all" if counts[most] == len(censored) else f"{counts[most]} of the"
    what = f"Follow-up looks imputed: {everyone} {len(censored)} censored patients carry exactly {values[most]:g} {unit}"
    return (f"{what}. Who was in truth lost earlier counts as followed and well until then; use each patient's own date of last contact",)


def refuse_events_after_death(table: pd.DataFrame, times: Floats, events: Floats, death: str | None) -> None:
    """Nothing can happen to a patient, nor be followed up, after death."""
    if death is None:
        return
    died = as_numbers(require_column(table, death))
    late = ~np.isnan(died) & ~np.isnan(times) & (times > died)
    if late.any():
        of_events = int((late & (events > 0)).sum())
        found = f"{late.sum()} patients, {of_events} of them with an event"
        raise InputError("Times lie after the patient's death", where=f"{death}, {rows(table.index[late])}", found=found, do="Correct the table")
