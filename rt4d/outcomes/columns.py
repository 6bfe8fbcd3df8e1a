"""Columns of a table as numbers, levels and words, each refused by row where it is not what it must be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rt4d.errors import InputError, NotFoundError
from rt4d.geometry import Floats

if TYPE_CHECKING:
    import pandas as pd

MOST_LEVELS = 10
DECIMAL_COMMA = r"[+-]?[\d.]*\d,\d+"


def require_column(table: pd.DataFrame, name: str) -> pd.Series[Any]:
    """The column of that name; the message lists those that there are."""
    if name not in table.columns:
        raise NotFoundError("The table has no such column", where=name, expected=f"one of {', '.join(map(str, table.columns))}")
    return table[name]


def as_numbers(column: pd.Series[Any]) -> Floats:
    """The numbers of a column, NaN where a cell is empty. Raises InputError naming the rows that hold something else."""
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        raise InputError("A column holds dates or spans, not numbers", where=column.name, do="Give the time as a number of days or months")
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    wrong = column.notna().to_numpy() & ~np.isfinite(numbers)
    if wrong.any():
        _refuse_decimal_commas(column[wrong])
        do = "Write a number in each of these cells, or leave it empty where nothing is known"
        raise InputError("A column must hold numbers", where=f"{column.name}, {rows(column.index[wrong])}", found=shown(column[wrong]), do=do)
    return np.asarray(numbers, dtype=float)


def shown(column: pd.Series[Any]) -> str:
    """A few of a column's different values, as they stand there."""
    return ", ".join(repr(str(value)) for value in column.unique()[:3])


def is_words(column: pd.Series[Any]) -> bool:
    """Whether no cell of a column is a number, so that its values are levels."""
    import pandas as pd

    filled = column.dropna()
    return len(filled) > 0 and bool(pd.to_numeric(filled, errors="coerce").isna().all())


def as_levels(column: pd.Series[Any]) -> dict[str, Floats]:
    """One column of 0 and 1 per level but the most frequent one, which the others are compared with; NaN where a cell is empty."""
    _refuse_decimal_commas(column.dropna())
    words = column.astype("string").str.strip()
    counts = words.value_counts()
    if not 2 <= len(counts) <= MOST_LEVELS:
        expected, do = f"2 to {MOST_LEVELS}", "Join levels, or leave it out"
        raise InputError("A column of words must have a few levels", where=column.name, expected=expected, found=len(counts), do=do)
    reference = min(counts.index, key=lambda level: (-counts[level], level))
    others = sorted(level for level in counts.index if level != reference)
    missing = words.isna().to_numpy()
    found = {level: (words == level).fillna(False).to_numpy(dtype=float) for level in others}
    return {f"{column.name}: {level} against {reference}": np.where(missing, np.nan, values) for level, values in found.items()}


def _refuse_decimal_commas(column: pd.Series[Any]) -> None:
    """They are read in a table separated by semicolons only; elsewhere 0,5 and 1,5 would be two words."""
    commas = column[column.astype("string").str.strip().str.fullmatch(DECIMAL_COMMA).fillna(False).to_numpy(dtype=bool)]
    if len(commas):
        where = f"{column.name}, {rows(commas.index)}"
        do = "Write 0.5 for 0,5 and no separators of thousands, or separate the columns by semicolons"
        raise InputError("Numbers are written with a decimal comma", where=where, found=shown(commas), do=do)


def counted(number: int, what: str) -> str:
    """'1 patient', '2 patients'."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def rows(numbers: Iterable[Any]) -> str:
    """Row numbers in a few words: 'row 4', 'rows 4, 7, 9 and 12 more'."""
    listed: Sequence[int] = [int(number) for number in numbers]
    shown = ", ".join(str(number) for number in listed[:8])
    more = f" and {len(listed) - 8} more" if len(listed) > 8 else ""
    return f"{'row' if len(listed) == 1 else 'rows'} {shown}{more}"
