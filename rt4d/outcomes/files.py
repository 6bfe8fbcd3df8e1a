"""Cohort tables as they come: CSV, Excel and parquet, one row per patient, every row with the number that a spreadsheet shows."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from rt4d.errors import InputError, NotFoundError

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = (",", ";", "\t")
KINDS = ".csv, .tsv, .xlsx or .parquet"


def read_table(path: Path) -> pd.DataFrame:
    """A table as a frame indexed by the row numbers of a spreadsheet: the header is row 1, the first patient row 2.

    Empty rows are passed over, but counted. A text file may be separated by commas, semicolons (its decimals may then be commas) or tabs.
    Raises NotFoundError, and InputError for another kind of file, no rows, and a column that is there twice.
    """
    if not path.is_file():
        raise NotFoundError("There is no such table", where=path)
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv", ".txt"):
        table = _text(path)
    elif suffix in (".xlsx", ".parquet"):
        table = _extra(path, suffix)
    else:
        raise InputError("This is not a kind of table that can be read", where=path, expected=KINDS, found=suffix or "no suffix")
    table.columns = [str(name).strip() for name in table.columns]
    table.index = np.arange(2, len(table) + 2)
    table = table.dropna(how="all")
    if len(table) == 0:
        raise InputError("The table has no rows", where=path)
    return table


def _text(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            separator = max(SEPARATORS, key=first.count)
            header = next(csv.reader([first], delimiter=separator), [])
        _refuse_double([name.strip() for name in header], path)
        table = pd.read_csv(path, sep=separator, dtype=str, encoding="utf-8-sig", skip_blank_lines=False, index_col=False)
    except UnicodeDecodeError:
        raise InputError("The table is not UTF-8 text", where=path, do="Save it as 'CSV UTF-8'") from None
    except (pd.errors.EmptyDataError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise InputError("The table cannot be read as separated text", where=path, found=" ".join(str(error).split())) from None
    table = table.apply(lambda column: column.str.strip())
    return _decimal_points(table) if separator == ";" else table


def _decimal_points(table: pd.DataFrame) -> pd.DataFrame:
    """The same with 0,5 written 0.5: in a table separated by semicolons the comma is a decimal one."""
    return table.replace(r"^([+-]?\d+),(\d+)$", r"\1.\2", regex=True)


def _extra(path: Path, suffix: str) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_excel(path, engine="openpyxl") if suffix == ".xlsx" else pd.read_parquet(path, engine="pyarrow")
    except ImportError:
        raise InputError(f"{suffix} tables need an extra library", where=path, do="pip install 'rt4d[tables]', or save the table as CSV") from None
    except (ValueError, OSError, KeyError, BadZipFile) as error:
        raise InputError("The table cannot be read", where=path, expected=f"a {suffix} file", found=" ".join(str(error).split())[:200]) from None
    _refuse_double([str(name).strip() for name in table.columns], path)
    return table


def _refuse_double(names: list[str], path: Path) -> None:
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise InputError("Columns are there twice", where=path, found=", ".join(double), do="Give every column a name of its own")
