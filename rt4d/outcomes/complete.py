"""Who is left out because something is missing, and whether those are patients to be missed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rt4d.geometry import Floats
from rt4d.outcomes.columns import as_numbers, counted, require_column, rows

if TYPE_CHECKING:
    import pandas as pd

OVERLAP_COLUMNS = ("dice", "recall")
"""Where one of these is 0, the machine found nothing of the tumour."""


def complete_rows(
    table: pd.DataFrame, columns: Mapping[str, Floats], *, events: Floats, cluster: str | None
) -> tuple[npt.NDArray[np.bool_], tuple[str, ...]]:
    """Which rows have everything, and for each column with gaps a note: the rows, the events among them, and the machine's misses among them."""
    gaps = {name: np.isnan(values) for name, values in columns.items()}
    if cluster is not None:
        gaps[cluster] = require_column(table, cluster).isna().to_numpy()
    missed = misses(table)
    told = {name.split(":")[0]: _told(name.split(":")[0], table, gap, events, missed) for name, gap in gaps.items() if gap.any()}
    lost = np.any(list(gaps.values()), axis=0)
    happened = counted(int((events[lost] == 1).sum()), "event")
    total = (f"Left out in all: {lost.sum()} of {len(table)} patients, with {happened}",) if len(told) > 1 else ()
    return ~lost, (*told.values(), *total)


def misses(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """The rows in which the machine found nothing of the tumour; none where no column says so."""
    name = next((each for each in OVERLAP_COLUMNS if each in table.columns), None)
    return np.zeros(len(table), dtype=bool) if name is None else np.asarray(as_numbers(table[name]) == 0)


def _told(name: str, table: pd.DataFrame, gap: npt.NDArray[np.bool_], events: Floats, missed: npt.NDArray[np.bool_]) -> str:
    lost, happened = counted(int(gap.sum()), "patient"), counted(int((events[gap] == 1).sum()), "event")
    text = f"{name} is missing in {rows(table.index[gap])}: {lost} with {happened} left out"
    count = int((gap & missed).sum())
    if not count:
        return text
    return f"{text}, among them {counted(count, 'tumour')} that the machine missed ({missed.sum()} in all): the result no longer speaks for those"
