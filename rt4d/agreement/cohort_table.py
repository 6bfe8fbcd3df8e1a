"""The table that lists a cohort's contours, a row each: read, and checked before anything is computed from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rt4d.contour_files import file_and_part, is_structure_set
from rt4d.errors import InputError, NotFoundError
from rt4d.tables import read_table

if TYPE_CHECKING:
    import pandas as pd

NEEDED = ("patient", "observer", "roi", "contour")
OPTIONAL = ("ct", "cohort", "repeat")
MOST_LISTED = 50
"""Rows, or patients, that one message names; more are counted."""


@dataclass(frozen=True, slots=True)
class ContourRow:
    """One contour of a cohort.

    row: its line in the table, the head being line 1. contour: file, or file and part as ContourFiles reads it. repeat: 2 and more are what
    the observer drew again.
    """

    row: int
    patient: str
    observer: str
    roi: str
    contour: str
    ct: str = ""
    cohort: str = ""
    repeat: int = 1

    def __post_init__(self) -> None:
        if empty := [name for name in NEEDED if not getattr(self, name)]:
            raise InputError("A contour of a cohort needs all its names", where=f"row {self.row}", found=f"no {', '.join(empty)}")
        if self.repeat < 1:
            raise InputError("Contours that an observer drew again are numbered from 2", where=f"row {self.row}", found=self.repeat)

    @property
    def drawn_by(self) -> str:
        """The observer, and which time, as `Observer` says it."""
        return self.observer if self.repeat == 1 else f"{self.observer} (repeat {self.repeat})"

    @property
    def target(self) -> tuple[str, str, str]:
        """What all contours that are to be compared have in common: cohort, patient and ROI."""
        return self.cohort, self.patient, self.roi


@dataclass(frozen=True, slots=True)
class ContourTable:
    """The contours of a cohort, and what was odd about them."""

    rows: tuple[ContourRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def observers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(row.observer for row in self.rows))


def read_contour_table(path: str | Path) -> ContourTable:
    """The contours listed in a CSV, Excel or parquet file, all of which are there; paths in it are relative to its folder.

    Columns patient, observer, roi and contour, and where wanted ct (the folder that an RTSTRUCT was drawn on), cohort and repeat (2 and more
    where the observer drew the same again); others are passed over, which is noted, as are observers without a contour of some patient: who
    looked and found nothing has an empty mask. Refused, with every row that is concerned: columns and cells that are missing, a contour given
    twice, a file or CT that is not there, an RTSTRUCT without its CT, and a table without a single pair.
    """
    path = Path(path)
    frame = read_table(path, as_text=True)
    if lacking := [name for name in NEEDED if name not in frame.columns]:
        raise InputError(
            "The table lacks columns", where=path, expected=", ".join(NEEDED), found=f"no {', '.join(lacking)} among {', '.join(frame.columns)}"
        )
    rows = _rows(frame, path)
    _require_once(rows, path)
    _require_files(rows, path)
    passed_over = [str(name) for name in frame.columns if name not in (*NEEDED, *OPTIONAL)]
    notes = [f"Columns of {path.name} that were not used: {', '.join(passed_over)}"] if passed_over else []
    return ContourTable(rows, (*notes, *_same_contour(rows), *_missing_observers(rows), *_alone(rows, path)))


def listed(items: Iterable[object]) -> str:
    """The first fifty of them, and how many more there are."""
    texts = [str(item) for item in items]
    return ", ".join(texts[:MOST_LISTED]) + (f" and {len(texts) - MOST_LISTED} more" if len(texts) > MOST_LISTED else "")


def _rows(frame: pd.DataFrame, path: Path) -> tuple[ContourRow, ...]:
    frame = frame.reindex(columns=[*NEEDED, *OPTIONAL], fill_value="")
    numbered = list(zip(frame.index.tolist(), frame.to_dict("records"), strict=True))
    if empty := [f"row {row} ({', '.join(name for name in NEEDED if not each[name])})" for row, each in numbered if not all(each[n] for n in NEEDED)]:
        raise InputError("Cells of the table are empty", where=path, found=listed(empty))
    if wrong := [f"row {row} ({each['repeat']})" for row, each in numbered if each["repeat"] and _repeat(each["repeat"]) < 1]:
        raise InputError("Which time an observer drew is a whole number", where=path, expected="1 or nothing, 2, 3 …", found=listed(wrong))
    folder = path.absolute().parent
    placed = [(row, each | {name: str(folder / each[name]) if each[name] else "" for name in ("contour", "ct")}) for row, each in numbered]
    return tuple(ContourRow(row=row, **each | {"repeat": _repeat(each["repeat"] or "1")}) for row, each in placed)


def _repeat(text: str) -> int:
    """The whole number that stands there, also as spreadsheets write it beside empty cells ('2.0'); 0 where there is none."""
    number, _, rest = text.partition(".")
    return int(number) if number.isascii() and number.isdigit() and not rest.strip("0") else 0


def _require_once(rows: Sequence[ContourRow], path: Path) -> None:
    """Refuse two contours of one ROI of one patient by one observer, drawn at one time, and repeats of what was not drawn first."""
    places: dict[tuple[str, ...], list[int]] = {}
    for row in rows:
        places.setdefault((*row.target, row.drawn_by), []).append(row.row)
    if doubled := [f"rows {' and '.join(map(str, each))}" for each in places.values() if len(each) > 1]:
        do = "Keep one, number the second 2 in a column repeat where it was drawn again, or give it an observer's name of its own"
        what = "An observer has several contours of one ROI of one patient"
        raise InputError(what, where=path, found=listed(doubled), do=do)
    if alone := [f"row {row.row}" for row in rows if row.repeat > 1 and (*row.target, row.observer) not in places]:
        raise InputError("What an observer drew again has no first contour beside it", where=path, found=listed(alone), do="Leave repeat empty there")


def _require_files(rows: Sequence[ContourRow], path: Path) -> None:
    """Refuse contours and CTs that are not there, and structure sets without a CT, each row by its number."""
    absent, without_ct = [], []
    for row in rows:
        try:
            file = file_and_part(row.contour)[0]
        except InputError as error:
            absent.append(f"row {row.row} {row.contour}{' (a folder)' if error.found == 'a folder' else ''}")
            continue
        if row.ct and not Path(row.ct).is_dir():
            absent.append(f"row {row.row} {row.ct}")
        elif not row.ct and is_structure_set(file):
            without_ct.append(row.row)
    if absent:
        raise NotFoundError("Files of the table are not there", where=path, found=listed(absent), do="Paths are relative to the table's folder")
    if without_ct:
        do = "Name the folder of the CT that each was drawn on in the column ct"
        raise InputError("Structure sets without a CT", where=path, found=f"rows {listed(without_ct)}", do=do)


def _same_contour(rows: Sequence[ContourRow]) -> Iterator[str]:
    """A file that stands for two contours is most often a slip of the pen."""
    places: dict[str, list[int]] = {}
    for row in rows:
        places.setdefault(row.contour, []).append(row.row)
    if twice := [f"{' and '.join(map(str, each))}" for each in places.values() if len(each) > 1]:
        yield f"Rows name the same contour: {listed(twice)}; look whether that is meant"


def _missing_observers(rows: Sequence[ContourRow]) -> Iterator[str]:
    """Who of a cohort has no contour of an ROI of which patients."""
    for cohort in dict.fromkeys(row.cohort for row in rows):
        ours = [row for row in rows if row.cohort == cohort]
        for roi in dict.fromkeys(row.roi for row in ours):
            drawn = {(row.patient, row.observer) for row in ours if row.roi == roi}
            patients = list(dict.fromkeys(row.patient for row in ours if row.roi == roi))
            for observer in dict.fromkeys(row.observer for row in ours):
                lacking = [patient for patient in patients if (patient, observer) not in drawn]
                if lacking:
                    where = f" in cohort {cohort}" if cohort else ""
                    yield f"{observer} has no contour of {roi} of {len(lacking)} of {len(patients)} patients{where}: {listed(lacking)}"


def _alone(rows: Sequence[ContourRow], path: Path) -> Iterator[str]:
    """Contours that have none to be compared with; refused where that is all of them."""
    counts = Counter(row.target for row in rows)
    alone = [row.row for row in rows if counts[row.target] == 1]
    if len(alone) == len(rows):
        what = "No ROI of any patient has two contours"
        do = "Names of patients and ROIs must be the same for all observers"
        raise InputError(what, where=path, do=do)
    if alone:
        yield f"Rows without another contour to compare with: {listed(alone)}"
