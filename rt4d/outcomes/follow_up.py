"""Whether times of follow-up can be what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rt4d.errors import InputError
from rt4d.geometry import Floats
from rt4d.outcomes.columns import as_numbers, counted, require_column, rows

if TYPE_CHECKING:
    import pandas as pd

MANY, SHARE = 5, 0.25
"""So many censored patients, and such a share of all, with one and the same time are no coincidence."""


LIFE = {"days": 40_000, "months": 1_300}
"""Nobody is followed for longer than some 110 years."""


def refuse_impossible_follow_up(table: pd.DataFrame, times: Floats, *, time: str, unit: str) -> None:
    """Times longer than a life are in another unit than they are said to be."""
    wrong = times > LIFE[unit]
    if wrong.any():
        where, found = f"{time}, {rows(table.index[wrong])}", f"{np.nanmax(times):g} {unit}"
        do = "Say with --unit, or in the column's name, which unit the time is in"
        raise InputError("Patients were followed for longer than a life", where=where, expected=f"at most {LIFE[unit]} {unit}", found=found, do=do)


def nobody_censored(events: Floats) -> tuple[str, ...]:
    """A note where the codes of events look like those of another program."""
    if (events == 0).any() or not ((events == 1).any() and (events == 2).any()):
        return ()
    what = "Nobody is censored: every patient has the event (1) or the competing one (2)"
    return (f"{what}. Tables made for R or SPSS may hold 1 for censored and 2 for the event: here they are 0 and 1",)


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
        found = f"{counted(int(late.sum()), 'patient')}, {of_events} with an event"
        raise InputError("Times lie after the patient's death", where=f"{death}, {rows(table.index[late])}", found=found, do="Correct the table")
