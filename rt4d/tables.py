"""Tables as they come from a clinic: CSV, Excel and parquet, every row with the number that a spreadsheet shows."""

from __future__ import annotations

import csv
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rt4d.errors import InputError, NotFoundError

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = (",", ";", "\t")
TEXT = (".csv", ".tsv", ".txt")
KINDS = ".csv, .tsv, .xlsx or .parquet"


def read_table(path: str | Path, *, as_text: bool = False) -> pd.DataFrame:
    """A table as a frame indexed by the row numbers of a spreadsheet: the header is row 1, the first line below it row 2.

    Empty rows are passed over, but counted. A text file may be separated by commas, semicolons (its decimals may then be commas) or tabs.
    With `as_text` every cell is the text that stands there, '' where it is empty: for names and files, among which NA may be somebody's.
    Raises NotFoundError, and InputError for another kind of file, one that cannot be read, no rows, and a column that is there twice.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if not path.is_file():
        raise NotFoundError("There is no such table", where=path, expected=f"a {KINDS} file")
    if suffix not in (*TEXT, ".xlsx", ".parquet"):
        raise InputError("This is not a kind of table that can be read", where=path, expected=KINDS, found=suffix or "no suffix")
    try:
        table = _separated(path, as_text=as_text) if suffix in TEXT else _from_library(path, suffix, as_text=as_text)
    except (InputError, MemoryError):
        raise
    except ImportError as error:
        raise without_extra(path) from error
    except UnicodeDecodeError as error:
        found = f"byte {error.object[error.start]:#04x}"
        raise InputError("The table is not UTF-8 text", where=path, found=found, do="Save it as 'CSV UTF-8'") from error
    except Exception as error:  # what pandas and its engines raise on broken files is of no one kind
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError("The table cannot be read", where=path, expected=f"a {suffix} file", found=said) from error
    return _tidy(table, path, as_text=as_text)


def without_extra(path: Path) -> InputError:
    """What to do about a package for this kind of table that is not installed."""
    do = "Install it: pip install 'rt4d[tables]', or save the table as CSV"
    return InputError("This kind of table needs a package that is not installed", where=path.name, do=do)


def _separated(path: Path, *, as_text: bool) -> pd.DataFrame:
    import pandas as pd

    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
    separator = max(SEPARATORS, key=first.count)
    _refuse_double(next(csv.reader([first], delimiter=separator, skipinitialspace=True), []), path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header would be cut short
        try:
            table = pd.read_csv(
                path, sep=separator, dtype=str, keep_default_na=not as_text, encoding="utf-8-sig", skip_blank_lines=False, index_col=False,
                skipinitialspace=True,
            )  # fmt: skip
        except pd.errors.ParserWarning as error:
            do = "Write decimals with a point, or separate the columns by semicolons"
            raise InputError("Rows have more cells than the header has columns", where=path, do=do) from error
    table = table.apply(lambda column: column.str.strip())
    return _decimal_points(table) if separator == ";" and not as_text else table


def _decimal_points(table: pd.DataFrame) -> pd.DataFrame:
    """The same with 0,5 written 0.5: in a table separated by semicolons the comma is a decimal one."""
    return table.replace(r"^([+-]?\d+),(\d+)$", r"\1.\2", regex=True)


def _from_library(path: Path, suffix: str, *, as_text: bool) -> pd.DataFrame:
    import pandas as pd

    if suffix == ".parquet":
        table = pd.read_parquet(path, engine="pyarrow")
        return table if table.index.names == [None] else table.reset_index()
    header = pd.read_excel(path, engine="openpyxl", header=None, nrows=1, dtype=str)  # below a header pandas renames double columns
    _refuse_double([str(name) for name in header.to_numpy().ravel() if name == name], path)
    if as_text:
        return pd.read_excel(path, engine="openpyxl", dtype=str, keep_default_na=False)
    return pd.read_excel(path, engine="openpyxl")


def _tidy(table: pd.DataFrame, path: Path, *, as_text: bool) -> pd.DataFrame:
    table.columns = [str(name).strip() for name in table.columns]
    _refuse_double(list(table.columns), path)
    table.index = np.arange(2, len(table) + 2)
    if as_text:
        table = table.astype(object).where(table.notna(), "").astype(str).apply(lambda column: column.str.strip())
        table = table[(table != "").any(axis=1)]
    table = table.dropna(how="all")
    if len(table) == 0:
        raise InputError("The table has no rows", where=path)
    return table


def _refuse_double(names: list[str], path: Path) -> None:
    double = [name for name, count in Counter(name.strip() for name in names).items() if count > 1]
    if double:
        raise InputError("Columns are there twice", where=path, found=", ".join(double), do="Give every column a name of its own")
